"""``kueue-ks audit``: compare everything, tell what should not be, and mend what is safe when asked to.

What reads and compares is imported when the command really runs: ``--help`` does not wait for it.
"""

from typing import Annotated

import typer

from kueue_ks.flags import (
    HubContext,
    HubKubeconfig,
    ItsContext,
    ItsKubeconfig,
    Output,
    WdsContext,
    WdsKubeconfig,
)


def audit_command(  # noqa: PLR0913  these are the flags
    *,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is safe; it is listed first.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --repair: only list it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for what may pass by itself; a report takes 60.")
    ] = 90.0,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit 0 also with findings.")] = False,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    wds_kubeconfig: WdsKubeconfig = None,
    wds_context: WdsContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
) -> None:
    """Compare Workloads, copies, policies, ManifestWorks and workers' reports, and tell what should not be.

    Exit code 3 with findings, 0 without, 1 when something could not be read.
    """
    flags = locals()
    from kueue_ks.audit.run import agreement, exit_code, run  # noqa: PLC0415  see the module's docstring
    from kueue_ks.views.reading import settings  # noqa: PLC0415

    agreed = agreement(dry_run=dry_run, yes=yes)
    report = run(settings(**flags), timeout, agreed, repair=repair, output=output)
    raise typer.Exit(exit_code(report, exit_zero=exit_zero))
