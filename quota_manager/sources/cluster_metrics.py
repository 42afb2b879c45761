"""The best source: what a cluster's own metrics agent reports, carried by KubeStellar as WorkStatus."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from quota_manager.decision import World
from quota_manager.facts import ReportFacts
from quota_manager.sources.source import BadSample
from quota_manager.trust import Instant

NAME: Final = "ClusterMetrics"


class ClusterMetricsSource:
    """The informer's store, as it is. A report with a bad value is not used at all: its agent is broken."""

    name = NAME

    def reports(
        self,
        world: World,
        at: Instant,  # noqa: ARG002
        needed: Collection[str],  # noqa: ARG002
    ) -> Mapping[str, ReportFacts]:
        """See Source."""
        return world.reports

    def bad_samples(self) -> Sequence[BadSample]:
        """See Source."""
        return ()
