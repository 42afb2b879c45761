"""What jobs and queues may ask for: who counts before whom, what narrows, and what cannot be read."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from tests.workload_controller.builders import workload
from vocabulary import keys
from workload_controller.facts import LossPolicy
from workload_controller.wishes import BadWish, Growth, JobPolicy, OnRemoved, bad_wish, job_policy

DEFAULTS = JobPolicy(start_timeout=300.0)
EVERY_KEY = (
    keys.ON_CLUSTER_LOSS,
    keys.ON_JOB_REMOVED,
    keys.TIME_IN_SECONDS,
    keys.GROWTH_TYPE,
    keys.MAX_TIME_IN_SECONDS,
    keys.MAX_NUM_REQUEUINGS,
    keys.CLUSTERS,
)


NOTHING: Mapping[str, str] = MappingProxyType({})


class Asked(NamedTuple):
    reason: str
    want: JobPolicy
    cluster_queue: Mapping[str, str] = NOTHING
    local_queue: Mapping[str, str] = NOTHING
    job: Mapping[str, str] = NOTHING


def wait(seconds: str) -> dict[str, str]:
    return {keys.TIME_IN_SECONDS: seconds}


def clusters(names: str) -> dict[str, str]:
    return {keys.CLUSTERS: names}


def only(*names: str) -> JobPolicy:
    return JobPolicy(clusters=frozenset(names))


ASKED = [
    Asked("nobody asks: our settings", DEFAULTS),
    Asked("a ClusterQueue before our settings", JobPolicy(start_timeout=1.0), wait("1")),
    Asked("a LocalQueue before its ClusterQueue", JobPolicy(start_timeout=2.0), wait("1"), wait("2")),
    Asked("the job before all", JobPolicy(start_timeout=3.0), wait("1"), wait("2"), wait("3")),
    Asked(
        "each wish for itself: what one does not say, another may",
        JobPolicy(start_timeout=1.0, on_loss=LossPolicy.LEASED, max_requeuings=7),
        wait("1"),
        {keys.ON_CLUSTER_LOSS: "leased"},
        {keys.MAX_NUM_REQUEUINGS: "7"},
    ),
    Asked("a queue allows clusters", only("w1", "w2"), clusters(" w1, ,w2")),
    Asked("a job asks for some", only("w1"), job=clusters("w1")),
    Asked("a job of that queue can only ask for fewer", only("w2"), clusters("w1,w2"), job=clusters("w2,w3")),
    Asked("and gets none rather than more", only(), clusters("w1"), job=clusters("w3")),
    Asked("a LocalQueue is a tenant's: it allows nothing", only("w1"), clusters("w1"), clusters("w3")),
    Asked("nor does it forbid", DEFAULTS, {}, clusters("w3")),
    Asked(
        "everything at once",
        JobPolicy(
            LossPolicy.AT_LEAST_ONCE, OnRemoved.REJECT, 60.0, Growth.LINEAR, 600.0, 0, frozenset({"w1"})
        ),
        job=dict(zip(EVERY_KEY, ("atLeastOnce", "reject", "60", "linear", "600", "0", "w1"), strict=True)),
    ),
    Asked("other keys of ours are not wishes", DEFAULTS, job={keys.MANAGE_JOBS: "false", "note": "x"}),
]


@pytest.mark.parametrize("case", ASKED, ids=lambda case: case.reason)
def test_job_policy(case: Asked) -> None:
    policy = job_policy(
        DEFAULTS, cluster_queue=case.cluster_queue, local_queue=case.local_queue, job=case.job
    )
    assert policy == (case.want, ())


NUMBER = "a whole number from 0 to 31536000"
BAD = [
    (keys.ON_CLUSTER_LOSS, "never", "one of atMostOnce, leased, atLeastOnce"),
    (keys.ON_CLUSTER_LOSS, "AtMostOnce", "one of atMostOnce, leased, atLeastOnce"),
    (keys.ON_JOB_REMOVED, "", "one of restart, reject"),
    (keys.GROWTH_TYPE, "fast", "one of exponential, linear, none"),
    (keys.TIME_IN_SECONDS, "0", "seconds, at least 1"),
    (keys.TIME_IN_SECONDS, "5m", NUMBER),
    (keys.TIME_IN_SECONDS, "-1", NUMBER),
    (keys.TIME_IN_SECONDS, "1.5", NUMBER),
    (keys.TIME_IN_SECONDS, " 5", NUMBER),
    (keys.TIME_IN_SECONDS, "\u0665", NUMBER),  # a digit to Python, to no other reader of the annotation
    (keys.MAX_TIME_IN_SECONDS, "31536001", NUMBER),
    (keys.MAX_NUM_REQUEUINGS, "9" * 5000, NUMBER),  # int() itself refuses that many digits
    (keys.CLUSTERS, " , ", "the names of clusters, at least one, separated by commas"),
]


@pytest.mark.parametrize(("key", "value", "remedy"), BAD)
@pytest.mark.parametrize("obj", ["ClusterQueue", "Job"])
def test_what_cannot_be_read_is_named_with_its_remedy_and_changes_nothing(
    obj: str, key: str, value: str, remedy: str
) -> None:
    given = {key: value}
    policy, bad = job_policy(
        DEFAULTS,
        cluster_queue=given if obj == "ClusterQueue" else {},
        local_queue={},
        job=given if obj == "Job" else {},
    )
    assert policy == DEFAULTS
    assert bad == (BadWish(obj, key, value, remedy),)
    assert str(bad[0]) == f"{obj}: annotation {key} is {value!r}: {remedy}"


def test_a_bad_wish_hides_neither_good_ones_nor_the_next_bad_one() -> None:
    policy, bad = job_policy(
        DEFAULTS,
        cluster_queue=wait("soon"),
        local_queue=wait("20"),
        job=wait("later") | {keys.GROWTH_TYPE: "none"},
    )
    assert policy == JobPolicy(start_timeout=20.0, growth=Growth.NONE)
    assert [(b.obj, b.value) for b in bad] == [("Job", "later"), ("ClusterQueue", "soon")]


def test_the_jobs_own_bad_wish_rejects_it() -> None:
    refusal = bad_wish(workload(), [BadWish("Job", keys.TIME_IN_SECONDS, "soon", NUMBER)])
    assert refusal is not None
    assert refusal.reason == "BadAnnotation"
    assert str(refusal) == (
        f"batch/v1 Job team-a/train: annotation {keys.TIME_IN_SECONDS} is 'soon'. Give it {NUMBER}."
    )


@pytest.mark.parametrize("obj", ["ClusterQueue", "LocalQueue"])
def test_an_administrators_slip_rejects_nobodys_job(obj: str) -> None:
    assert bad_wish(workload(), [BadWish(obj, keys.TIME_IN_SECONDS, "soon", NUMBER)]) is None


TEXT = st.dictionaries(st.sampled_from(EVERY_KEY), st.text())


@given(cluster_queue=TEXT, local_queue=TEXT, job=TEXT)
@example(cluster_queue={}, local_queue={}, job={keys.TIME_IN_SECONDS: "\u00b2"})
def test_no_text_raises_and_all_that_is_read_can_be_used(
    cluster_queue: dict[str, str], local_queue: dict[str, str], job: dict[str, str]
) -> None:
    policy, bad = job_policy(DEFAULTS, cluster_queue=cluster_queue, local_queue=local_queue, job=job)
    assert policy.start_timeout >= 1
    assert all(policy.time_to_start(n) > 0 for n in (0, 1, 40))
    assert all(wish.remedy and wish.key in EVERY_KEY for wish in bad)


@given(queue=st.sets(st.sampled_from("abcd"), min_size=1), job=st.sets(st.sampled_from("abcd"), min_size=1))
def test_no_job_gets_a_cluster_that_its_queue_does_not_allow(queue: set[str], job: set[str]) -> None:
    policy, _ = job_policy(
        DEFAULTS, cluster_queue=clusters(",".join(queue)), local_queue={}, job=clusters(",".join(job))
    )
    assert policy.clusters == frozenset(queue & job)


GROWN = [
    (Growth.EXPONENTIAL, 0.0, [300.0, 600.0, 1200.0]),
    (Growth.LINEAR, 0.0, [300.0, 600.0, 900.0]),
    (Growth.NONE, 0.0, [300.0, 300.0, 300.0]),
    (Growth.EXPONENTIAL, 700.0, [300.0, 600.0, 700.0]),
    (Growth.NONE, 100.0, [100.0, 100.0, 100.0]),
]


@pytest.mark.parametrize(("growth", "limit", "want"), GROWN)
def test_the_time_to_start_grows_to_its_limit(growth: Growth, limit: float, want: list[float]) -> None:
    policy = JobPolicy(start_timeout=300.0, growth=growth, start_timeout_max=limit)
    assert [policy.time_to_start(n) for n in range(3)] == want


@pytest.mark.parametrize("policy", list(LossPolicy))
def test_only_leased_jobs_need_a_heartbeat(policy: LossPolicy) -> None:
    assert JobPolicy(on_loss=policy).leased is (policy.value == "leased")
