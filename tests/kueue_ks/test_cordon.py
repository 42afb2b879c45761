"""cordon, uncordon, drain: taints of ours on a ManagedCluster, whatever others have put there."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any, NamedTuple, cast

import pytest

from kube_runtime.errors import Conflict, Forbidden, NotFound
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from kueue_ks.cordon import its, run
from kueue_ks.cordon.change import CordonReport, RunningJob, Saying, Verb, report_on, text, wanted_taints
from kueue_ks.errors import CommandError, Exit
from vocabulary import keys
from workload_controller.reading import read_managed_cluster

EARLIER, NOW = "2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z"
OCM = {"key": "cluster.open-cluster-management.io/unreachable", "effect": "NoSelect", "timeAdded": EARLIER}
SOFT = {"key": "expensive", "effect": "PreferNoSelect", "timeAdded": EARLIER}
ANA = "by ana: kernel"


def cordoned(value: str = ANA, since: str = EARLIER, key: str = keys.CORDONED) -> dict[str, str]:
    return {"key": key, "value": value, "effect": "NoSelect", "timeAdded": since}


def draining(value: str = ANA, since: str = EARLIER) -> dict[str, str]:
    return cordoned(value, since, keys.DRAINING)


def cluster(*taints: dict[str, str], name: str = "w1") -> Obj:
    spec: Obj = {"hubAcceptsClient": True} | ({"taints": list(taints)} if taints else {})
    return {"metadata": {"name": name, "resourceVersion": "1", "labels": {"name": name}}, "spec": spec}


def work(job: str = "train", attempt: str = "1", **annotations: str) -> Obj:
    given = {keys.WORKLOAD: f"team-a/{job}-1b29a", keys.ATTEMPT: attempt, **annotations}
    manifest = {"metadata": {"namespace": "team-a", "name": job, "annotations": given}}
    return {"metadata": {"name": f"work-{job}"}, "spec": {"workload": {"manifests": [manifest]}}}


class Case(NamedTuple):
    reason: str
    taints: list[dict[str, str]]
    verb: Verb
    why: str
    want: list[dict[str, str]]


CASES = [
    Case("a cluster without taints", [], Verb.CORDON, "disk", [cordoned("by bob: disk", NOW)]),
    Case("others' taints stay", [OCM, SOFT], Verb.CORDON, "", [OCM, SOFT, cordoned("by bob", NOW)]),
    Case("again: who did it, why and since when stays", [cordoned()], Verb.CORDON, "", [cordoned()]),
    Case(
        "again with a reason: since when stays", [cordoned()], Verb.CORDON, "disk", [cordoned("by bob: disk")]
    ),
    Case("a cordon ends no drain", [cordoned(), draining()], Verb.CORDON, "", [cordoned(), draining()]),
    Case("a drain is a cordon too", [], Verb.DRAIN, "", [cordoned("by bob", NOW), draining("by bob", NOW)]),
    Case("of a cordoned one", [cordoned()], Verb.DRAIN, "", [cordoned(), draining("by bob", NOW)]),
    Case("uncordon", [OCM, cordoned(), draining(), SOFT], Verb.UNCORDON, "", [OCM, SOFT]),
    Case("uncordon of one that is not cordoned", [OCM], Verb.UNCORDON, "", [OCM]),
    Case(
        "a taint of our name with another effect keeps nobody away",
        [{**cordoned(), "effect": "PreferNoSelect"}],
        Verb.CORDON,
        "",
        [{**cordoned(), "effect": "PreferNoSelect"}, cordoned("by bob", NOW)],
    ),
    Case("and goes with an uncordon", [{**cordoned(), "effect": "PreferNoSelect"}], Verb.UNCORDON, "", []),
    Case("a reason of many lines is one line", [], Verb.CORDON, " a\n b ", [cordoned("by bob: a b", NOW)]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_taints(case: Case) -> None:
    before = cluster(*case.taints)
    assert wanted_taints(before, case.verb, Saying("bob", case.why, NOW)) == case.want
    assert before == cluster(*case.taints)


def test_a_reason_that_is_too_long_is_cut_where_the_api_server_would_refuse_it() -> None:
    (taint,) = wanted_taints(cluster(), Verb.CORDON, Saying("bob", "x" * 2000, NOW))
    assert len(taint["value"]) == 1024


@pytest.mark.parametrize(
    ("taints", "want"),
    [
        ([cordoned()], "is cordoned by ana: kernel"),
        ([cordoned(""), OCM], "is cordoned"),
        ([cordoned("by ana"), draining("by bob: move")], "is being drained by bob: move"),
        ([OCM], "None"),
        ([{**cordoned(), "effect": "NoSelectIfNew"}], "None"),
    ],
)
def test_what_the_controller_reads(taints: list[dict[str, str]], want: str) -> None:
    assert str(read_managed_cluster(cluster(*taints)).cordon) == want


TEXTS = [
    (Verb.CORDON, True, [cordoned()], 0, "managedcluster/w1 cordoned (by ana: kernel)\n  no job is there"),
    (Verb.CORDON, False, [cordoned("")], 0, "managedcluster/w1 already cordoned\n  no job is there"),
    (
        Verb.DRAIN,
        True,
        [cordoned(), draining("by bob")],
        2,
        """managedcluster/w1 draining (by bob)
  2 jobs there, moving away:
    team-a/job-0  attempt 1
    team-a/job-1  attempt 1""",
    ),
    (
        Verb.UNCORDON,
        True,
        [OCM],
        1,
        """managedcluster/w1 uncordoned
  it gets no jobs all the same: NoSelect taint cluster.open-cluster-management.io/unreachable
  1 job there:
    team-a/job-0  attempt 1""",
    ),
    (Verb.UNCORDON, False, [], 0, "managedcluster/w1 was not cordoned\n  no job is there"),
]


@pytest.mark.parametrize(("verb", "changed", "taints", "jobs", "want"), TEXTS)
def test_text_and_json_say_the_same(
    verb: Verb, changed: bool, taints: list[dict[str, str]], jobs: int, want: str
) -> None:
    works = [work(f"job-{n}") for n in reversed(range(jobs))]
    report = report_on(cluster(*taints), verb, works, changed=changed)
    assert "\n".join(text(report)) == want
    told = report.to_json()
    assert (told["kind"], told["state"], told["changed"]) == ("CordonReport", verb.value, changed)
    assert [f"{job['namespace']}/{job['name']}" for job in told["jobs"]] == [
        f"team-a/job-{n}" for n in range(jobs)
    ]
    assert all(taint in want for taint in told["otherTaints"])
    assert told["words"] in want


def test_only_copies_of_ours_are_jobs() -> None:
    foreign = {
        "metadata": {"name": "addon"},
        "spec": {"workload": {"manifests": [{"metadata": {"name": "x"}}]}},
    }
    empty: Obj = {"metadata": {"name": "empty"}}
    report = report_on(cluster(), Verb.CORDON, [foreign, empty, work(attempt="3")], changed=True)
    assert report.jobs == (RunningJob("team-a", "train", 3),)


class Its:
    """An ITS with clusters; ``conflicts`` writes of somebody else come before ours."""

    name, server = "its", "https://its"

    def __init__(
        self, *clusters: Obj, works: list[list[Obj]] | None = None, conflicts: int = 0, knows_us: bool = True
    ) -> None:
        self.clusters = {obj["metadata"]["name"]: obj for obj in clusters}
        self.works, self.conflicts = works or [[]], conflicts
        self.written: list[Obj] = []
        self.knows_us = knows_us

    async def get(self, resource: Resource, name: str) -> Obj:
        if name not in self.clusters:
            raise NotFound(404, "NotFound", f"{resource} {name} not found")
        return deepcopy(self.clusters[name])

    async def list(self, _resource: Resource, namespace: str | None = None) -> list[Obj]:
        if namespace is None:
            return list(self.clusters.values())
        return self.works.pop(0) if len(self.works) > 1 else self.works[0]

    async def update(self, _resource: Resource, obj: Obj) -> Obj:
        if self.conflicts:
            self.conflicts -= 1
            self.clusters[obj["metadata"]["name"]]["spec"].setdefault("taints", []).append(dict(OCM))
            raise Conflict(409, "Conflict", "changed")
        self.written.append(obj)
        self.clusters[obj["metadata"]["name"]] = obj
        return obj

    async def create(self, resource: Resource, _obj: Obj) -> Obj:
        assert resource.plural == "selfsubjectreviews"
        if not self.knows_us:
            raise Forbidden(403, "Forbidden", "no")
        return {"metadata": {}, "status": {"userInfo": {"username": "ana"}}}

    @property
    def as_space(self) -> Space:
        return cast("Space", cast("object", self))


async def test_said_again_nothing_is_written() -> None:
    space = Its(cluster())
    first = await its.change(space.as_space, "w1", Verb.CORDON, who="ana", reason="kernel")
    second = await its.change(space.as_space, "w1", Verb.CORDON, who="bob")
    assert (first.changed, second.changed) == (True, False)
    assert first.words == second.words == ANA
    assert len(space.written) == 1
    assert space.written[0]["metadata"]["resourceVersion"] == "1"
    assert space.written[0]["spec"]["hubAcceptsClient"] is True


async def test_what_somebody_else_wrote_meanwhile_is_kept() -> None:
    space = Its(cluster(), conflicts=1)
    await its.change(space.as_space, "w1", Verb.CORDON)
    assert [t["key"] for t in space.clusters["w1"]["spec"]["taints"]] == [OCM["key"], keys.CORDONED]


async def test_who_always_comes_too_late_is_told() -> None:
    with pytest.raises(Conflict):
        await its.change(Its(cluster(), conflicts=9).as_space, "w1", Verb.CORDON)


async def test_an_unknown_cluster_is_named_with_near_ones() -> None:
    with pytest.raises(CommandError) as refused:
        await its.change(Its(cluster(name="west-1"), cluster(name="east")).as_space, "wst-1", Verb.CORDON)
    assert refused.value.what == "no ManagedCluster 'wst-1' in its (https://its)"
    assert (refused.value.why, refused.value.fix) == ("registered are east, west-1", "did you mean west-1?")


async def test_an_its_that_does_not_say_who_we_are_is_no_obstacle() -> None:
    assert await its.who_am_i(Its(knows_us=False).as_space) == ""
    assert await its.who_am_i(Its().as_space) == "ana"


async def test_waiting_for_the_last_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(its, "LOOK_AGAIN", 0.0)
    space = Its(cluster(), works=[[work("a"), work("b")], [work("a")], [work("a")], []])
    report = await its.change(space.as_space, "w1", Verb.DRAIN)
    told: list[CordonReport] = []
    end = await its.until_empty(space.as_space, report, 60.0, told.append)
    assert [len(each.jobs) for each in told] == [1, 0]
    assert (end.jobs, end.changed) == ((), True)


async def test_the_wait_ends_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(its, "LOOK_AGAIN", 0.0)
    space = Its(cluster(), works=[[work("a")]])
    report = await its.change(space.as_space, "w1", Verb.DRAIN)
    assert (await its.until_empty(space.as_space, report, 0.01, lambda _: None)).jobs


class Asked(NamedTuple):
    reason: str
    works: list[Obj]
    yes: bool
    written: bool


ASKED = [
    Asked("jobs are there and nobody can be asked", [work()], False, False),
    Asked("jobs are there and --yes", [work()], True, True),
    Asked("no job is there", [], False, True),
]


@pytest.mark.parametrize("case", ASKED, ids=lambda case: case.reason)
async def test_a_drain_is_not_begun_by_mistake(case: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Its(cluster(), works=[case.works])

    @asynccontextmanager
    async def connected(_where: Any) -> AsyncIterator[Space]:
        yield space.as_space

    monkeypatch.setattr(its, "connected", connected)
    monkeypatch.setattr("sys.stdin", io.StringIO())  # no terminal
    if case.written:
        report = await run._drain({}, "w1", "kernel", 0, yes=case.yes)
        assert report.words == ANA
    else:
        with pytest.raises(CommandError) as refused:
            await run._drain({}, "w1", "kernel", 0, yes=case.yes)
        assert refused.value.code is Exit.USAGE
        assert refused.value.what == "draining w1 makes 1 job start anew elsewhere"
        assert refused.value.fix == "add --yes, or: kueue-ks cordon w1"
    assert bool(space.written) == case.written
