"""``kueue-ks quota [plan] [CLUSTERQUEUE]``: reads and tells, writes nothing."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kueue_ks.flags import HubContext, HubKubeconfig, ItsContext, ItsKubeconfig, WdsContext, WdsKubeconfig
from kueue_ks.views.command import PATIENCE, NoHeaders, Output, RequestTimeout

if TYPE_CHECKING:
    from kueue_ks.views.seen import Seen

StaleAfter = Annotated[
    float,
    typer.Option(
        "--stale-after",
        min=1,
        envvar="KUEUE_KS_STALE_AFTER",
        help="Seconds after which a report is not believed, as QuotaManager has it.",
    ),
]
STALE_AFTER: Final = 180.0  # quota_manager.settings, which --help need not wait for

PLAN: Final = "plan"


def quota_command(  # noqa: PLR0913  these are the flags
    what: Annotated[
        str,
        typer.Argument(help="A ClusterQueue or cohort/NAME; all without it. Or plan.", metavar="[plan]"),
    ] = "",
    name: Annotated[str, typer.Argument(help="For plan.", metavar="[CLUSTERQUEUE]")] = "",
    *,
    output: Output = "table",
    no_headers: NoHeaders = False,
    request_timeout: RequestTimeout = PATIENCE,
    stale_after: StaleAfter = STALE_AFTER,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    wds_kubeconfig: WdsKubeconfig = None,
    wds_context: WdsContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
) -> None:
    """What the quotas of managed queues are made of: what each cluster has, what is left out and why.

    CAPACITY: ALLOCATABLE of the flavor's nodes less EXCLUDED and FOREIGN (asked by others' pods).

    WANTED: what QuotaManager would write if it had heard all reports now and waited for nothing.

    plan: the quotas that would change, old and new, and which jobs would use more than there is.
    """
    flags = locals()
    import asyncio  # noqa: PLC0415  --help does not wait for them

    from kueue_ks.quota.plan import quota_plan  # noqa: PLC0415
    from kueue_ks.quota.report import quota_report  # noqa: PLC0415
    from kueue_ks.quota.text import plan_lines, quota_lines  # noqa: PLC0415
    from kueue_ks.reports import document  # noqa: PLC0415
    from kueue_ks.views.reading import FOR_QUOTA, FOR_QUOTA_PLAN, Eyes, settings  # noqa: PLC0415
    from kueue_ks.views.terminal import terminal  # noqa: PLC0415

    planned = what == PLAN
    queue = name if planned else what
    where = settings(**flags)

    async def look() -> "Seen":
        async with Eyes(where, deadline=request_timeout) as eyes:
            return await eyes.look(FOR_QUOTA_PLAN if planned else FOR_QUOTA)

    seen = asyncio.run(look())
    screen = terminal(sys.stdout)
    report = quota_report(seen, queue, stale_after=stale_after)
    _require_managed(queue, report.managed, read=seen.cluster_queues is not None)
    if planned:
        plan = quota_plan(seen, queue, stale_after=stale_after)
        told = document("QuotaPlan", plan)
        lines = plan_lines(plan, screen.width, heads=not no_headers)
    else:
        told = document("QuotaReport", report)
        lines = quota_lines(report, screen.width, heads=not no_headers)
    if output == "json":
        print(json.dumps(told, indent=2, ensure_ascii=not screen.unicode))
    elif lines:
        print(screen.render(lines))
    for unread, why in report.unread.items():
        print(f"warning: {unread} was not read: {why}", file=sys.stderr)
    if not report.managed and seen.cluster_queues is not None:
        print("No ClusterQueue or Cohort is managed: see docs/quota.md", file=sys.stderr)


def _require_managed(queue: str, managed: tuple[str, ...], *, read: bool) -> None:
    if queue and read and queue not in managed:
        from kueue_ks.errors import CommandError  # noqa: PLC0415  see above

        problem = f"{queue} is no managed ClusterQueue or Cohort"
        raise CommandError(
            problem,
            why=f"managed are: {', '.join(managed) or 'none'}",
            fix=f"kubectl annotate clusterqueue {queue} kueue.kubestellar.io/manage-quota=true",
        )
