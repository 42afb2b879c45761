"""``kueue-ks whatif JOB.yaml | cordon CLUSTER | drain CLUSTER``: reads and tells, and writes nothing.

What reads and decides is imported when the command really runs: ``--help`` does not wait for it.
"""

import re
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from kube_runtime.objects import Obj
from kueue_ks.errors import CommandError, Exit
from kueue_ks.flags import (
    HubContext,
    HubKubeconfig,
    ItsContext,
    ItsKubeconfig,
    Output,
    WdsContext,
    WdsKubeconfig,
)

VERBS: Final = ("cordon", "drain")
CONDITION: Final = re.compile(r"\s*(waiting|moving|never)\s*(>=|<=|==|>|<)\s*(\d+)\s*")


def whatif_command(  # noqa: PLR0913  these are the flags
    what: Annotated[
        str, typer.Argument(help="The file of a Job, or cordon, or drain.", metavar="JOB.yaml|cordon|drain")
    ],
    cluster: Annotated[str, typer.Argument(help="For cordon and drain.", metavar="CLUSTER")] = "",
    *,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Where the job would be created, if not as it says.")
    ] = "",
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
    fail_if: Annotated[
        str,
        typer.Option("--fail-if", help="Exit 3 if so: waiting, moving or never, compared: 'waiting>0'."),
    ] = "",
    request_timeout: Annotated[
        float, typer.Option("--request-timeout", min=0.1, help="Seconds for each of hub, WDS and ITS.")
    ] = 5.0,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    wds_kubeconfig: WdsKubeconfig = None,
    wds_context: WdsContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
) -> None:
    """What would happen, by the controllers' own code; nothing is changed.

    JOB.yaml: would it get quota, which cluster would it go to, and why to no other.

    cordon, drain CLUSTER: which jobs would move, wait, or lose their last cluster, and what of the quotas.
    """
    flags = locals()
    condition = _condition(fail_if)
    job = None if what in VERBS else _job_file(what)
    _contradictions(what, cluster, namespace, condition)
    from kueue_ks.views.reading import settings  # noqa: PLC0415  see the module's docstring
    from kueue_ks.whatif.show import show  # noqa: PLC0415

    question = (what, cluster, job, namespace)
    report = show(settings(**flags), request_timeout, *question, output=output)
    raise typer.Exit(Exit.FINDINGS if condition and holds(condition, report.counts) else Exit.FINE)


def _contradictions(what: str, cluster: str, namespace: str, condition: tuple[str, str, int] | None) -> None:
    """Raises CommandError for what cannot be meant together: a test that can never fail is a defect."""
    compared = condition[0] if condition is not None else ""
    problem = fix = ""
    if what in VERBS and not cluster:
        problem, fix = f"{what} needs a cluster", f"kueue-ks whatif {what} CLUSTER"
    elif what in VERBS and namespace:
        problem, fix = f"-n says where a job would be created, and {what} creates none", "leave it out"
    elif what in VERBS and compared == "never":
        problem, fix = f"--fail-if never is about a job, not about {what}", "compare waiting"
    elif what not in VERBS and cluster:
        problem = f"a job is asked about without a cluster: {cluster!r} is too much"
        fix = f"kueue-ks whatif {what}, or cordon {cluster}, or drain {cluster}"
    elif what != "drain" and compared == "moving":
        asked = what if what in VERBS else "a job"
        problem, fix = f"--fail-if moving is about drain, not about {asked}", "compare waiting"
    if problem:
        raise CommandError(problem, fix=fix, code=Exit.USAGE)


def holds(condition: tuple[str, str, int], counts: dict[str, int]) -> bool:
    """Whether a condition of ``--fail-if`` is true."""
    name, compared, limit = condition
    value = counts[name]
    return {
        ">": value > limit,
        "<": value < limit,
        ">=": value >= limit,
        "<=": value <= limit,
        "==": value == limit,
    }[compared]


def _condition(text: str) -> tuple[str, str, int] | None:
    if not text:
        return None
    found = CONDITION.fullmatch(text)
    if found is None:
        what = f"--fail-if {text!r} is no condition"
        raise CommandError(
            what, fix="waiting, moving or never, then >, >=, ==, <= or <, then a number", code=Exit.USAGE
        )
    return found[1], found[2], int(found[3])


def _job_file(path: str) -> Obj:
    import yaml  # noqa: PLC0415  see the module's docstring

    fix = "give the file of a Job, or cordon CLUSTER, or drain CLUSTER"
    try:
        found: Any = yaml.safe_load(sys.stdin if path == "-" else Path(path).read_text(encoding="utf-8"))
    except OSError as bad:
        what = f"{path}: {bad.strerror}"
        raise CommandError(what, fix=fix, code=Exit.USAGE) from bad
    except (UnicodeDecodeError, yaml.YAMLError) as bad:
        what = f"{path} cannot be read as YAML"
        raise CommandError(what, why=str(bad), fix=fix, code=Exit.USAGE) from bad
    parts = [found.get("spec"), found.get("metadata") or {}] if isinstance(found, dict) else [None]
    if not isinstance(found, dict) or not all(isinstance(part, dict) for part in parts):
        what = f"{path} holds no Job"
        raise CommandError(what, fix="give the file of one Job", code=Exit.USAGE)
    return found
