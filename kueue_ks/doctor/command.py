"""``kueue-ks doctor``: look at everything, say what is wrong and what mends it. Writes nothing.

What reads and judges is imported when it really runs: ``--help`` does not wait for it.
"""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from kueue_ks.flags import HubContext, HubKubeconfig, ItsContext, ItsKubeconfig, WdsContext, WdsKubeconfig

OUTPUTS: Final = ("text", "json")
PATIENCE: Final = 2.5
"""Seconds for each API server, all at once: with the start of the program it stays within 3 s or so."""


def _output(value: str) -> str:
    if value not in OUTPUTS:
        msg = f"it is one of {', '.join(OUTPUTS)}"
        raise typer.BadParameter(msg)
    return value


def doctor_command(  # noqa: PLR0913  these are the flags
    *,
    output: Annotated[
        str,
        typer.Option("--output", "-o", callback=_output, metavar="|".join(OUTPUTS), help="How to print it."),
    ] = "text",
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="Exit 0 also when something failed.")
    ] = False,
    request_timeout: Annotated[
        float, typer.Option("--request-timeout", min=0.1, help="Seconds for each API server.")
    ] = PATIENCE,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    wds_kubeconfig: WdsKubeconfig = None,
    wds_context: WdsContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
    worker_kubeconfig: Annotated[
        Path | None, typer.Option(help="Kubeconfig that has the contexts of the workers.")
    ] = None,
    worker_context: Annotated[
        list[str] | None, typer.Option(help="Context of a worker; may be given several times.")
    ] = None,
) -> None:
    """Check hub, WDS, ITS and the given workers: versions, rights, queues, policies, clusters, clocks.

    Exit code 3 when something failed, else 0: warnings and what cannot be seen are told only.
    """
    import asyncio  # noqa: PLC0415  see the module's docstring
    import json  # noqa: PLC0415
    import time  # noqa: PLC0415

    from kube_runtime import telemetry  # noqa: PLC0415
    from kube_runtime.connections import ConnectionSettings  # noqa: PLC0415
    from kueue_ks.doctor.examination import examine  # noqa: PLC0415
    from kueue_ks.doctor.finding import report_of  # noqa: PLC0415
    from kueue_ks.doctor.reading import read  # noqa: PLC0415
    from kueue_ks.doctor.text import text  # noqa: PLC0415
    from kueue_ks.errors import Exit  # noqa: PLC0415
    from kueue_ks.install.checks import Duty  # noqa: PLC0415
    from kueue_ks.reports import document  # noqa: PLC0415
    from kueue_ks.views.facts import rfc3339  # noqa: PLC0415

    telemetry.configure_logging(json=False, level="critical")  # what cannot be read is a finding here
    given = {
        ("hub", Duty.HUB): (hub_kubeconfig, hub_context),
        ("wds", Duty.WDS): (wds_kubeconfig, wds_context),
        ("its", Duty.ITS): (its_kubeconfig, its_context),
        **{(each, Duty.WORKER): (worker_kubeconfig, each) for each in worker_context or ()},
    }
    if worker_kubeconfig and not worker_context:
        given["worker", Duty.WORKER] = (worker_kubeconfig, None)
    where = [
        (name, duty, ConnectionSettings(kubeconfig=file, context=context))
        for (name, duty), (file, context) in given.items()
    ]
    began = time.monotonic()
    facts = asyncio.run(read(where, deadline=request_timeout))
    report = report_of(examine(facts), at=rfc3339(facts.now), seconds=time.monotonic() - began)
    if output == "json":
        json.dump(document("DoctorReport", report), sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        print("\n".join(text(report)))
    raise typer.Exit(Exit.FINDINGS if report.failed and not exit_zero else Exit.FINE)
