from collections.abc import Mapping

from quota_manager.facts import ClusterFacts, ReportFacts
from quota_manager.trust import Heard, Instant, Trust, judge
from tests.quota_manager.builders import cluster, cpus
from vocabulary.cluster_metrics import ClusterReport

STALE_AFTER = 180.0
OFFSET = 1_000_000.0  # of the unix clock from the monotonic one


def at(mono: float) -> Instant:
    return Instant(mono, mono + OFFSET)


def said(mono: float, *, sequence: int = 1) -> ClusterReport:
    """A report that a worker with a right clock wrote at this time."""
    return cpus(1000, at=mono + OFFSET, sequence=sequence)


def look(
    mono: float, facts: ClusterFacts, report: ClusterReport | None, heard: Mapping[str, Heard] | None = None
) -> Trust:
    reports = {} if report is None else {"w1": ReportFacts("w1", report, "")}
    return judge({"w1": facts}, reports, heard or {}, at(mono), stale_after=STALE_AFTER)


def test_a_fresh_report_counts_until_it_is_stale() -> None:
    trust = look(0, cluster(), said(0))
    assert (set(trust.counted), trust.silent, trust.complete, trust.next_change) == ({"w1"}, (), True, 180.0)
    assert set(look(179, cluster(), said(0), trust.heard).counted) == {"w1"}
    stale = look(180, cluster(), said(0), trust.heard)
    assert stale.counted == {}
    assert "has not changed for 180 s" in str(stale.silent[0])
    assert not stale.complete


def test_a_heartbeat_renews_it_whatever_its_own_clock_says() -> None:
    trust = look(0, cluster(), said(0))
    late_clock = cpus(1000, at=5.0, sequence=2)
    renewed = look(170, cluster(), late_clock, trust.heard)
    assert renewed.next_change == 170 + STALE_AFTER


def test_a_report_that_is_gone_keeps_its_last_value_until_it_is_stale() -> None:
    trust = look(0, cluster(), said(0))
    assert look(100, cluster(), None, trust.heard).counted == trust.counted
    assert look(180, cluster(), None, trust.heard).counted == {}


def test_a_report_that_cannot_be_read_keeps_the_last_value_too() -> None:
    trust = look(0, cluster(), said(0))
    broken = {"w1": ReportFacts("w1", None, "ClusterMetrics.status lacks 'sequence'")}
    clusters = {"w1": cluster()}
    assert judge(clusters, broken, trust.heard, at(9), stale_after=STALE_AFTER).counted == trust.counted
    never = judge(clusters, broken, {}, at(9), stale_after=STALE_AFTER)
    assert "lacks 'sequence'" in str(never.silent[0])


def test_an_unavailable_cluster_keeps_its_value_until_stale_after_though_reports_still_come() -> None:
    trust = look(0, cluster(), said(0))
    lost = look(100, cluster(available=False), said(100, sequence=2), trust.heard)
    assert set(lost.counted) == {"w1"}
    lost = look(279, cluster(available=False), said(279, sequence=3), lost.heard)
    assert set(lost.counted) == {"w1"}
    gone = look(280, cluster(available=False), said(280, sequence=4), lost.heard)
    assert gone.counted == {}
    assert "not Available" in str(gone.silent[0])
    back = look(281, cluster(), said(281, sequence=5), gone.heard)
    assert set(back.counted) == {"w1"}


def test_a_short_loss_counts_from_its_own_beginning() -> None:
    trust = look(0, cluster(), said(0))
    trust = look(100, cluster(available=False), said(100, sequence=2), trust.heard)
    trust = look(110, cluster(), said(110, sequence=3), trust.heard)
    trust = look(200, cluster(available=False), said(200, sequence=4), trust.heard)
    assert trust.next_change == 200 + STALE_AFTER


def test_a_cluster_that_never_reported_does_not_count() -> None:
    trust = look(0, cluster(), None)
    assert (trust.counted, trust.complete) == ({}, False)
    assert "no report yet" in str(trust.silent[0])


def test_a_cluster_that_is_not_accepted_is_not_waited_for() -> None:
    trust = look(0, cluster(), said(0))
    trust = look(1, cluster(accepted=False), said(1), trust.heard)
    assert (trust.counted, trust.silent, trust.complete) == ({}, (), True)


def test_a_cordoned_cluster_is_heard_until_it_is_silent_and_nobody_is_told_then() -> None:
    facts = cluster(cordoned=True)
    trust = look(0, facts, said(0))
    assert (set(trust.counted), trust.cordoned, trust.informed) == ({"w1"}, frozenset({"w1"}), True)
    gone = look(180, facts, said(0), trust.heard)
    assert (gone.counted, set(gone.stale), gone.silent, gone.informed) == ({}, {"w1"}, (), False)


def test_what_a_cordoned_cluster_says_does_not_speak_for_those_that_take_jobs() -> None:
    reports = {"w2": ReportFacts("w2", said(0), "")}
    clusters = {"w1": cluster("w1"), "w2": cluster("w2", cordoned=True)}
    trust = judge(clusters, reports, {}, at(0), stale_after=STALE_AFTER)
    assert (set(trust.counted), trust.informed) == ({"w2"}, False)


def test_only_clusters_that_are_available_are_waited_for() -> None:
    trust = look(0, cluster(available=False), None)
    assert trust.complete
    assert str(trust.silent[0]) == "w1: not Available, and no report yet"


def test_a_new_process_does_not_believe_an_old_report() -> None:
    trust = look(3600, cluster(), said(0))
    assert trust.counted == {}
    assert set(look(3601, cluster(), said(3601, sequence=2), trust.heard).counted) == {"w1"}


def test_a_new_process_knows_how_old_a_young_report_is() -> None:
    assert look(100, cluster(), said(0)).next_change == STALE_AFTER


def test_a_report_from_the_future_is_as_young_as_its_first_sight() -> None:
    assert look(0, cluster(), said(9_000)).next_change == STALE_AFTER


def test_a_late_clock_is_believed_after_its_first_heartbeat() -> None:
    trust = look(0, cluster(), said(-3600))
    assert trust.counted == {}
    assert set(look(60, cluster(), said(-3540, sequence=2), trust.heard).counted) == {"w1"}
