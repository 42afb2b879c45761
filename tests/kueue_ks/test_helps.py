"""What would help: clusters that could be opened again, jobs whose end is known, quota elsewhere."""

from typing import Any, NamedTuple

import pytest

from kube_runtime.objects import Obj
from kueue_ks.explain.explanation import Phase
from kueue_ks.forecast.quota import Quotas
from kueue_ks.views.seen import Seen
from tests.kueue_ks.forecast_builders import fleet
from tests.kueue_ks.test_forecast import CORDON, FULL, OTHER, future, rich, waiting
from tests.kueue_ks.view_builders import (
    FLAVOR,
    NO_QUOTA,
    NO_ROOM,
    NOW,
    RESERVED,
    amounts,
    at,
    cluster_queue,
    copy,
    job,
    local_queue,
    managed,
    nodes,
    placed,
    pod_spec,
    report,
    workload,
)
from vocabulary import keys
from workload_controller.facts import FailedAttempt, Flavor, History, PodSet
from workload_controller.history import format_history


class Case(NamedTuple):
    reason: str
    seen: Seen
    want: list[tuple[str, str, str]]


def helped(seen: Seen, name: str = "job-big", phase: Phase = Phase.WAITING_FOR_CLUSTER) -> list[Any]:
    return [(h.do, h.effect, h.action) for h in future(seen, name, phase).helps]


TAINT = {"key": "maintenance", "effect": "NoSelect"}
OF_OCM = {"key": "cluster.open-cluster-management.io/unreachable", "effect": "NoSelect"}
ANYBODY = "whoever set it, or who may update managedclusters in the ITS"
TWO = {"clusters": [managed("w1"), managed("w2")]}


HALF = [report("w1", nodes(1, used=amounts(gpu=4)))]


def failed_on(cluster: str, ago: float) -> Obj:
    history = History(1, (FailedAttempt(1, cluster, "PodsNotReady", NOW - ago, "ErrImagePull"),))
    annotations = {keys.HISTORY: format_history(history)}
    return {**NO_ROOM, "podSetUpdates": [{"name": "main", "annotations": annotations}]}


def two(check: Obj, *, free: bool) -> Seen:
    """The only free cluster, if it is free, is w2; w1 is full."""
    return waiting(
        **TWO,
        workloads=[workload("big", RESERVED, check=check)],
        statuses=[report("w1", nodes(1, used=FULL)), report("w2", nodes(1, used={} if free else FULL))],
    )


def with_other(**fields: Any) -> Seen:
    """team-a/other holds all of w1 that big asks for."""
    big = workload("big", RESERVED, check=NO_ROOM)
    return waiting(**{"workloads": [big, OTHER], "jobs": [job("big"), job("other")]} | fields)


def limited(seconds: int) -> Obj:
    running = job("other", startTime=at(100))
    running["spec"]["activeDeadlineSeconds"] = seconds
    return running


CASES = [
    Case(
        "somebody else's taint keeps jobs off",
        waiting(clusters=[managed("w1", taints=[TAINT])]),
        [
            (
                "take the NoSelect taint maintenance off ManagedCluster w1",
                f"fits w1 now; {ANYBODY}",
                "admin",
            )
        ],
    ),
    Case(
        "it is cordoned beside that: both are needed",
        waiting(clusters=[managed("w1", taints=[TAINT, CORDON])]),
        [
            (
                "kueue-ks uncordon w1, and take the NoSelect taint maintenance off ManagedCluster w1",
                f"fits w1 now; {ANYBODY}",
                "admin",
            )
        ],
    ),
    Case(
        "tainted and full: nothing is gained",
        waiting(clusters=[managed("w1", taints=[TAINT])], statuses=[report("w1", nodes(1, used=FULL))]),
        [],
    ),
    Case(
        "OCM takes its own taint off when the cluster is back",
        waiting(clusters=[managed("w1", available="Unknown", taints=[OF_OCM])]),
        [
            (
                "bring back w1: it has the NoSelect taint " + OF_OCM["key"],
                "fits w1 if its nodes are as it told 4s ago",
                "admin",
            )
        ],
    ),
    Case(
        "its report is too old",
        waiting(statuses=[report("w1", nodes(1), age=300)]),
        [
            (
                "bring back w1: its last report is older than 180s, see whether its metrics agent runs",
                "fits w1 if its nodes are as it told 5m00s ago",
                "admin",
            )
        ],
    ),
    Case(
        "what an old report shows full is no help",
        waiting(statuses=[report("w1", nodes(1, used=FULL), age=300)]),
        [],
    ),
    Case("nothing is known of a cluster that never reported", waiting(statuses=[]), []),
    Case(
        "left out for a failure of its own",
        two(failed_on("w2", ago=100), free=True),
        [
            (
                "wait until 14:15:31Z: w2 is left out for attempt 1, PodsNotReady there",
                "fits w2 then",
                "wait",
            )
        ],
    ),
    Case("left out and full: its end brings nothing", two(failed_on("w2", ago=100), free=False), []),
    Case(
        "a job with a limit of its own ends in time",
        with_other(jobs=[job("big"), limited(600)], copies=[copy("other", "w1")], statuses=HALF),
        [
            (
                "wait until team-a/other on w1 ends",
                "fits w1 then, at 14:11:01Z at the latest (activeDeadlineSeconds 600)",
                "wait",
            )
        ],
    ),
    Case(
        "a job that is leaving",
        with_other(copies=[copy("other", "w1", leaving=True)], statuses=HALF),
        [
            (
                "wait until team-a/other on w1 ends",
                "fits w1 then, it is leaving, over at about 14:02:46Z",
                "wait",
            )
        ],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_clusters_that_could_take_it(case: Case) -> None:
    got = helped(case.seen)
    assert [line for line in got if not line[0].startswith("ask for")] == case.want


@pytest.mark.parametrize("fields", [{"taints": [TAINT]}, {"available": "Unknown"}])
def test_a_hundred_clusters_do_not_fill_the_screen(fields: dict[str, Any]) -> None:
    names = [f"w{n:02}" for n in range(9)]
    seen = waiting(
        clusters=[managed(name, **fields) for name in names], statuses=[report(n, nodes(1)) for n in names]
    )
    assert [effect[:8] for _, effect, _ in helped(seen)] == ["fits w00", "fits w01", "fits w02"]


def of_quota(**fields: Any) -> list[Any]:
    """team-a/mine asks for 12 GPUs, of which research has 8 of 24 left."""
    mine = workload("mine", NO_QUOTA, pods=6)
    given: dict[str, Any] = {"workloads": [mine, *fields.pop("others", [])], "jobs": [job("mine", pods=6)]}
    return helped(fleet(**given | fields), "job-mine", Phase.WAITING_FOR_QUOTA)


MISSING = ("nvidia.com/gpu 4 more in flavor standard of research", "asks 12, free 8 of 24", "admin")
LARGE = workload("large", RESERVED, check=placed("w1"), spec=pod_spec(8, gpu=2), namespace="team-b")
SMALL = workload("small", RESERVED, check=placed("w1"), spec=pod_spec(8, gpu=1), pods=1)
QUEUES = {"cluster_queues": [*(fleet().cluster_queues or ()), rich()]}
ANY = {"local_queues": [local_queue(), local_queue("any", cluster_queue="rich")]}


def test_the_end_of_a_job_frees_quota_and_says_when() -> None:
    leaving = copy("large", "w1", leaving=True, namespace="team-b")
    assert of_quota(others=[LARGE, SMALL], copies=[leaving]) == [
        (
            "wait until team-b/large ends",
            "frees 4 gpu of flavor standard: enough quota, it is leaving, over at about 14:02:46Z",
            "wait",
        ),
        MISSING,
    ]


def test_jobs_whose_end_is_known_come_first() -> None:
    others = [
        workload(name, RESERVED, check=placed("w1"), spec=pod_spec(8, gpu=4), namespace="team-b")
        for name in ("a", "b", "c", "d")
    ]
    found = of_quota(others=others, copies=[copy("d", "w1", leaving=True, namespace="team-b")])
    assert [do for do, _, action in found if action == "wait"] == [
        f"wait until team-b/{name} ends" for name in ("d", "a", "b")
    ]


class Elsewhere(NamedTuple):
    reason: str
    fields: dict[str, Any]
    want: list[tuple[str, str, str]]


ROOMY = {"clusters": [managed("w1")], "statuses": [report("w1", nodes(2))]}
CROWDED = {"clusters": [managed("w1")], "statuses": [report("w1", nodes(2, used=FULL))]}
ELSEWHERE = [
    Elsewhere(
        "another queue has quota, and a cluster has room",
        {**QUEUES, **ANY, **ROOMY},
        [MISSING, ("queue any (rich, flavor standard)", "has quota for it now, and fits w1", "change")],
    ),
    Elsewhere(
        "its quota is free and its clusters are full",
        {**QUEUES, **ANY, **CROWDED},
        [
            MISSING,
            (
                "queue any (rich, flavor standard)",
                "has quota for it now, and no cluster has room for it yet",
                "change",
            ),
        ],
    ),
    Elsewhere(
        "no cluster could ever hold it there: that is no help",
        {**QUEUES, **ANY, "clusters": [managed("w1")], "statuses": [report("w1", nodes(1))]},
        [MISSING],
    ),
    Elsewhere(
        "clusters were not read",
        {**QUEUES, **ANY, "statuses": None},
        [
            MISSING,
            (
                "queue any (rich, flavor standard)",
                "has quota for it now; which cluster is free was not read",
                "change",
            ),
        ],
    ),
]


@pytest.mark.parametrize("case", ELSEWHERE, ids=lambda case: case.reason)
def test_quota_of_another_queue_is_tried_with_the_placement(case: Elsewhere) -> None:
    assert of_quota(**{"copies": []} | case.fields) == case.want


def test_a_queue_without_our_check_is_no_help() -> None:
    plain = rich()
    plain["spec"] = {**plain["spec"], "admissionChecksStrategy": {"admissionChecks": []}}
    assert of_quota(cluster_queues=[*(fleet().cluster_queues or ()), plain], **ANY, **ROOMY) == [MISSING]


def test_a_flavor_that_only_its_selector_excludes() -> None:
    """research has no quota of small left; big has, and a node selector keeps the job from it."""

    def flavor(name: str, gpu: str) -> Obj:
        resources = [{"name": "nvidia.com/gpu", "nominalQuota": gpu}]
        resources += [{"name": r, "nominalQuota": "1Ti"} for r in ("cpu", "memory")]
        return {"name": name, "resources": resources}

    (queue,) = fleet().cluster_queues or ()
    covered = ["nvidia.com/gpu", "cpu", "memory"]
    group = {"coveredResources": covered, "flavors": [flavor("small", "1"), flavor("big", "99")]}
    queue = {**queue, "spec": {**queue["spec"], "resourceGroups": [group]}, "status": {}}
    flavors = [
        {**FLAVOR, "metadata": {"name": name}, "spec": {"nodeLabels": {"type": name}}}
        for name in ("small", "big")
    ]
    spec = {**pod_spec(8, gpu=2), "nodeSelector": {"type": "small"}}
    given = {"cluster_queues": [queue], "flavors": flavors, "copies": [], "clusters": [managed("w1")]}
    seen = fleet(
        **given,
        statuses=[report("w1", nodes(1, labels={"type": "big"}))],
        workloads=[workload("mine", NO_QUOTA, spec=spec)],
        jobs=[job("mine")],
    )
    assert helped(seen, "job-mine", Phase.WAITING_FOR_QUOTA) == [
        ("nvidia.com/gpu 3 more in flavor small of research", "asks 4, free 1 of 1", "admin"),
        (
            "leave out node selector type=small",
            "flavor big of research has quota for it now, and fits w1",
            "change",
        ),
    ]


def test_supposing_an_end_changes_no_quota() -> None:
    quotas = Quotas([cluster_queue()], {"standard": Flavor("standard", {}, ())})
    held = {"cpu": "standard", "nvidia.com/gpu": "standard"}
    assignment = {"flavors": held, "resourceUsage": {"cpu": "1", "nvidia.com/gpu": "8"}}
    ending = {"status": {"admission": {"podSetAssignments": [assignment]}}}
    pods = [PodSet("main", 12, amounts(gpu=1))]
    assert quotas.assign_without(ending, "research", pods).flavors == {"nvidia.com/gpu": "standard"}
    assert quotas.assign("research", pods).flavors is None
