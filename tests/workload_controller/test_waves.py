"""Which wave a new copy joins, and what its policy selects."""

from typing import Any, NamedTuple

import pytest

from tests.workload_controller.builders import UID, copy, job, policy, workload
from vocabulary import keys
from workload_controller import waves
from workload_controller.facts import Decision, LossPolicy, Mates, PolicyFacts
from workload_controller.kinds import batch_job
from workload_controller.reading import read_copy, read_policy
from workload_controller.waves import ALONE, SHAREABLE_BYTES, Berth

NOW = 200.0
SMALL: dict[str, Any] = {"template": {}}
OPENS = Berth(size=25)


def wave(name: str = "wave-w1-a", *, age: float = 0.5, size: int = 25, deleting: bool = False) -> PolicyFacts:
    return policy(name=name, created_at=NOW - age, size=size, deleting=deleting)


class Case(NamedTuple):
    reason: str
    shared: list[tuple[PolicyFacts, Mates]]
    want: Berth
    spec: dict[str, Any] = SMALL
    size: int = 25


CASES = [
    Case("with nobody to join it opens a wave", [], OPENS),
    Case("it joins one that is open", [(wave(), Mates(3, 3))], Berth(joins="wave-w1-a")),
    Case("of two the fuller", [(wave(), Mates(3, 3)), (wave("b"), Mates(4, 4))], Berth(joins="b")),
    Case("not one that KubeStellar is about to carry", [(wave(age=1.5), Mates(3, 3))], OPENS),
    Case("a wave keeps the size of its opening", [(wave(size=3), Mates(3, 3))], OPENS),
    Case("not one whose policy goes", [(wave(deleting=True), Mates(3, 3))], OPENS),
    Case("not one that somebody leaves: it would stay carried (I1)", [(wave(), Mates(2, 3))], OPENS),
    Case("not one without copies: what it carried is gone", [(wave(), Mates(0, 0))], OPENS),
    Case("a big job travels alone", [(wave(), Mates(3, 3))], ALONE, {"a": "x" * SHAREABLE_BYTES}),
    Case("with size 1 everybody does", [(wave(), Mates(3, 3))], ALONE, size=1),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_where_a_new_copy_travels(case: Case) -> None:
    assert waves.berth(case.spec, case.shared, NOW, case.size) == case.want


def made(berth: Berth) -> dict[str, Any]:
    """A copy as it is created, with what its API server adds."""
    given = batch_job.copy(
        workload(),
        job(),
        Decision("w1", 1),
        namespace_uid="",
        on_loss=LossPolicy.AT_MOST_ONCE,
        lease_seconds=None,
        leased_from=0.0,
        berth=berth,
    )
    given["metadata"]["uid"] = "copy-uid"
    return given


def test_who_opens_a_wave_says_for_how_many() -> None:
    opener = read_copy(made(OPENS))
    assert (opener.wave, opener.wave_size) == (waves.wave_of(UID, "w1", 1), 25)
    assert waves.opens(opener)


def test_who_joins_bears_the_label_of_the_wave_and_opens_none() -> None:
    joined = read_copy(made(Berth(joins="wave-w1-a")))
    assert (joined.wave, joined.wave_size) == ("wave-w1-a", 1)
    assert not waves.opens(joined)


def test_a_shared_policy_keeps_its_size_and_selects_no_withdrawn_copy_of_any_namespace() -> None:
    raw = waves.policy(copy(wave_size=25))
    raw["metadata"] |= {"uid": "uid", "creationTimestamp": "1970-01-01T00:03:20Z"}
    read = read_policy(raw)
    assert (read.size, read.cluster, read.created_at) == (25, "w1", NOW)
    (clause,) = raw["spec"]["downsync"]
    (selector,) = clause["objectSelectors"]
    assert selector["matchExpressions"] == [{"key": keys.WITHDRAWN, "operator": "DoesNotExist"}]
    assert "namespaces" not in clause


def test_a_policy_of_one_copy_is_as_it_always_was() -> None:
    raw = waves.policy(copy())
    (clause,) = raw["spec"]["downsync"]
    assert clause["objectSelectors"] == [{"matchLabels": {keys.WAVE: copy().wave}}]
    assert clause["namespaces"] == [copy().namespace]
    assert keys.WAVE_SIZE not in raw["metadata"]["annotations"]
