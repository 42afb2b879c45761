"""The informer against a faulty server, fault by fault. All faults at once: ``test_informer_faults``."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from kube_runtime.backoff import Backoff
from kube_runtime.informer import DEFAULT_PACE, OPTIONAL, Informer, Pace
from kube_runtime.objects import Key, Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from tests.kube_runtime.faulty_server import Answer, FaultyServer, serving, space_at, until
from tests.kube_runtime.object_history import Place

THINGS = Resource("example.org", "v1", "things", "Thing")
COLLECTION = "/apis/example.org/v1/things"
QUICK = Pace(idle=60.0, first_wait=0.001, longest_wait=0.002)


@dataclass(frozen=True, slots=True)
class Fact:
    uid: str
    version: str
    value: int


def read(obj: Obj) -> Fact:
    return Fact(obj["metadata"]["uid"], obj["metadata"]["resourceVersion"], obj["spec"]["replicas"])


def place(name: str, namespace: str = "ns") -> Place:
    return Place(COLLECTION, namespace, name)


class World(NamedTuple):
    server: FaultyServer
    space: Space

    def put(self, name: str, value: int, **metadata: Any) -> Obj:
        return self.server.put(place(name), metadata=metadata, spec={"replicas": value})

    def facts(self) -> dict[Key, Fact]:
        return {(p.namespace, p.name): read(obj) for p, obj in self.server.history.objects.items()}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serving() as server, space_at(server) as space:
        yield World(server, space)


def informer_of(world: World, pace: Pace = QUICK, **options: Any) -> Informer[Fact]:
    return Informer(world.space, THINGS, transform=read, pace=pace, **options)


@asynccontextmanager
async def running(informer: Informer[Any]) -> AsyncIterator[None]:
    task = asyncio.create_task(informer.run())
    try:
        async with asyncio.timeout(20):
            await informer.wait_synced()
        yield
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_lists_watches_and_tells(world: World) -> None:
    world.put("a", 1)
    informer = informer_of(world)
    changes: list[tuple[str, int | None, int | None]] = []
    informer.add_handler(
        lambda key, old, new: changes.append((key[1], old.value if old else None, new.value if new else None))
    )
    assert not informer.synced
    assert informer.last_contact is None
    async with running(informer):
        assert informer.synced
        assert informer.get(("ns", "a")) == world.facts()["ns", "a"]
        world.put("b", 1)
        world.put("a", 2)
        world.server.remove(place("b"))
        await until(lambda: len(changes) == 4)
    assert changes == [("a", None, 1), ("b", None, 1), ("a", 1, 2), ("b", 1, None)]
    assert informer.items() == world.facts()
    assert informer.relists == 0


async def test_a_namespace_and_a_selector(world: World) -> None:
    world.server.put(place("b", "other"), metadata={"labels": {"x": "y"}}, spec={"replicas": 1})
    world.put("a", 1)
    informer = informer_of(world, namespace="ns", label_selector="x=y")
    async with running(informer):
        assert informer.items() == {}
        world.put("a", 2, labels={"x": "y"})
        await until(lambda: ("ns", "a") in informer.items())
        world.put("a", 3)
        await until(lambda: not informer.items())


class Asked(Space):
    """Notes what the lists and watches ask for."""

    def __init__(self, space: Space) -> None:
        self.name, self._behind = space.name, space
        self.asked: list[dict[str, str]] = []

    async def get_path(self, path: str, params: Mapping[str, str] | None = None) -> Obj:
        self.asked.append(dict(params or {}))
        return await self._behind.get_path(path, params)

    def watch(self, path: str, params: Mapping[str, str], *, idle: float) -> AsyncGenerator[Obj, None]:
        self.asked.append(dict(params))
        return self._behind.watch(path, params, idle=idle)


async def test_a_field_selector_goes_with_list_and_watch(world: World) -> None:
    # The faulty server knows no fields: what a selector selects is the API server's business.
    asking = Asked(world.space)
    informer = Informer(asking, THINGS, transform=read, pace=QUICK, field_selector="metadata.name=a")
    async with running(informer):
        await until(lambda: len(asking.asked) == 2)
    assert [params["fieldSelector"] for params in asking.asked] == ["metadata.name=a"] * 2
    assert not any("labelSelector" in params for params in asking.asked)


async def test_indexes(world: World) -> None:
    for name, value in (("c", 1), ("a", 1), ("b", 2)):
        world.put(name, value)
    informer = informer_of(world, indexes={"value": lambda fact: [str(fact.value), "all"]})
    async with running(informer):
        facts = world.facts()
        assert informer.by_index("value", "1") == [facts["ns", "a"], facts["ns", "c"]]
        world.put("a", 2)
        await until(lambda: len(informer.by_index("value", "2")) == 2)
        assert len(informer.by_index("value", "1")) == 1
        assert len(informer.by_index("value", "all")) == 3
        assert informer.by_index("value", "3") == []
        with pytest.raises(KeyError):
            informer.by_index("colour", "1")


async def test_lines_longer_than_any_buffer(world: World) -> None:
    informer = informer_of(world)
    async with running(informer):
        await until(lambda: world.server.watching == 1)
        world.put("a", 1, annotations={"long": "x" * 5_000_000})
        world.put("b", 2)
        await until(lambda: informer.items() == world.facts())
    assert informer.relists == 0
    assert sum(seen.watch for seen in world.server.requests) == 1


@pytest.mark.parametrize("by_status", [True, False], ids=["at the request", "as first event"])
async def test_410_at_the_start_of_a_watch(*, by_status: bool, world: World) -> None:
    world.server.gone_by_status = by_status
    world.put("a", 1)
    informer = informer_of(world)
    async with running(informer):
        await until(lambda: world.server.watching == 1)
        await world.server.stop()
        world.server.remove(place("a"))
        world.put("b", 1)
        world.server.compact()
        await world.server.start()
        await until(lambda: informer.items() == world.facts())
        assert informer.relists == 1


async def test_410_in_the_middle_of_a_watch(world: World) -> None:
    informer = informer_of(world)
    async with running(informer):
        await until(lambda: world.server.watching == 1)
        world.server.expire_streams()
        await until(lambda: informer.relists == 1 and world.server.watching == 1)
        world.put("a", 1)
        await until(lambda: informer.items() == world.facts())


async def test_a_broken_stream_is_continued_without_a_list(world: World) -> None:
    informer = informer_of(world)
    async with running(informer):
        for value in range(1, 6):
            await until(lambda: world.server.watching == 1)
            world.server.drop_streams()
            world.put("a", value)
            await until(lambda: informer.items() == world.facts())
    assert informer.relists == 0


async def test_a_truncated_event_is_not_believed(world: World) -> None:
    informer = informer_of(world)
    async with running(informer):
        await until(lambda: world.server.watching == 1)
        world.server.faults.truncate_events = 3
        world.put("a", 1)
        await until(lambda: informer.items() == world.facts())
    assert world.server.faults.truncate_events == 0


async def test_a_lost_deletion_is_found_by_the_next_list(world: World) -> None:
    world.put("a", 1)
    informer = informer_of(world)
    gone: list[Fact | None] = []
    informer.add_handler(lambda _, old, new: gone.append(old) if new is None else None)
    async with running(informer):
        await until(lambda: world.server.watching == 1)
        world.server.faults.lose_deletions = True
        was = world.facts()["ns", "a"]
        world.server.remove(place("a"))
        world.put("b", 1)
        await until(lambda: ("ns", "b") in informer.items())
        assert ("ns", "a") in informer.items()
        world.server.expire_streams()
        await until(lambda: informer.items() == world.facts())
    assert gone == [was]


async def test_a_list_is_repeated_when_it_is_old(world: World) -> None:
    world.put("a", 1)
    informer = informer_of(world, pace=replace(QUICK, relist_after=0.0))
    async with running(informer):
        await until(lambda: world.server.watching == 1)
        world.server.faults.lose_deletions = True
        world.server.remove(place("a"))
        world.server.end_streams()
        await until(lambda: informer.items() == world.facts())


async def test_pages(world: World) -> None:
    world.server.page = 2
    for name in "abcde":
        world.put(name, 1)
    informer = informer_of(world)
    async with running(informer):
        assert informer.items() == world.facts()
    assert sum(not seen.watch for seen in world.server.requests) == 3


async def test_a_410_between_pages(world: World) -> None:
    world.server.page = 2
    for name in "abcde":
        world.put(name, 1)
    informer = informer_of(world)
    gate = world.server.faults.gate_lists = asyncio.Event()
    task = asyncio.create_task(informer.run())
    await until(lambda: len(world.server.requests) == 1)
    world.server.compact()  # the first page's token is Gone before it is used
    world.server.remove(place("a"))
    gate.set()
    await until(lambda: informer.synced)
    assert informer.items() == world.facts()
    assert "continue" in world.server.requests[1].query
    assert "continue" not in world.server.requests[2].query
    task.cancel()


async def test_own_writes_are_seen_at_once_and_survive_a_list(world: World) -> None:
    informer = informer_of(world)
    async with running(informer):
        await until(lambda: world.server.watching == 1)
        gate = world.server.faults.gate_lists = asyncio.Event()
        requests = len(world.server.requests)
        world.server.expire_streams()
        await until(lambda: len(world.server.requests) > requests)  # its snapshot is taken
        made = await world.space.create(
            THINGS, {"metadata": {"name": "a", "namespace": "ns"}, "spec": {"replicas": 1}}
        )
        informer.observe(made)
        assert informer.get(("ns", "a")) == read(made)
        seen: list[Fact | None] = []
        informer.add_handler(lambda _, _old, new: seen.append(new))
        gate.set()
        await until(lambda: informer.relists == 1 and world.server.watching == 1)
        world.put("b", 1)
        await until(lambda: informer.items() == world.facts())
    assert seen == [read(made), world.facts()["ns", "b"]]


async def test_own_deletions(world: World) -> None:
    made = world.put("a", 1)
    informer = informer_of(world)
    async with running(informer):
        await until(lambda: world.server.watching == 1)
        await world.space.delete(THINGS, "a", "ns", uid=made["metadata"]["uid"])
        informer.observe_deleted(("ns", "a"), made["metadata"]["uid"])
        assert informer.items() == {}


async def test_a_server_that_went_back_in_time(world: World) -> None:
    kept = world.put("a", 1)
    informer = informer_of(world, pace=replace(QUICK, idle=0.05))
    async with running(informer):
        for value in range(2, 20):
            world.put("a", value)
        world.put("b", 1)
        await until(lambda: informer.items() == world.facts())
        world.server.restore(int(kept["metadata"]["resourceVersion"]))
        world.put("c", 1)
        await until(lambda: informer.items() == world.facts())


async def test_silence_counts_as_a_broken_stream(world: World) -> None:
    informer = informer_of(world, pace=replace(QUICK, idle=0.05))
    async with running(informer):
        await until(lambda: informer.relists >= 2)


async def test_bookmarks_move_the_position(world: World) -> None:
    informer = informer_of(world)
    async with running(informer):
        await until(lambda: world.server.watching == 1)
        world.server.put(Place("/api/v1/others", "ns", "x"))
        listed = informer.last_contact
        world.server.send_bookmarks()
        await until(lambda: informer.last_contact != listed)
        world.server.compact()
        world.server.drop_streams()
        await until(lambda: sum(seen.watch for seen in world.server.requests) == 2)
        await until(lambda: world.server.watching == 1)
    assert informer.relists == 0


async def test_a_transform_that_raises(world: World) -> None:
    world.put("a", 1)
    world.server.put(place("bad"))  # no spec
    informer = informer_of(world)
    async with running(informer):
        assert informer.items().keys() == {("ns", "a")}
        world.put("b", 1)
        await until(lambda: ("ns", "b") in informer.items())
        assert informer.skipped == 1
        world.put("bad", 1)
        await until(lambda: informer.items() == world.facts())


async def test_a_handler_that_raises_ends_the_informer(world: World) -> None:
    world.put("a", 1)
    informer = informer_of(world)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    informer.add_handler(fail)
    with pytest.raises(ZeroDivisionError):
        await informer.run()


class FakeTime:
    """A clock that only sleeping moves; ends the informer after ``end`` seconds."""

    def __init__(self, end: float) -> None:
        self.now, self.end = 0.0, end
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        if self.now > self.end:
            raise asyncio.CancelledError

    def pace(self) -> Pace:
        return Pace(clock=lambda: self.now, sleep=self.sleep)


LONGEST = Pace().longest_wait
SELDOM = (
    600 / LONGEST,
    600 / (LONGEST / 2) + 10,
)  # requests in 600 s: jitter halves waits, the first are short


class Permanent(NamedTuple):
    reason: str
    answer: Answer
    requests: tuple[float, float] = SELDOM  # in 600 s, at least and at most


PERMANENT = [
    Permanent("500", Answer(500, "broken")),
    Permanent("403", Answer(403, "no")),
    Permanent("410, also to lists", Answer(410, "{}")),
    Permanent("an empty answer, also to lists", Answer(200, "")),
    Permanent("no list", Answer(200, "{}")),
    Permanent("Retry-After longer than our waits", Answer(429, "", {"Retry-After": "20"}), (30, 32)),
    Permanent("Retry-After beyond all measure", Answer(429, "", {"Retry-After": "86400"}), (20, 22)),
]


@pytest.mark.parametrize("case", PERMANENT, ids=lambda case: case.reason)
async def test_a_failing_server_is_asked_seldom(case: Permanent, world: World) -> None:
    world.server.faults.always = case.answer
    time = FakeTime(end=600.0)
    with pytest.raises(asyncio.CancelledError):
        await informer_of(world, pace=time.pace()).run()
    least, most = case.requests
    assert least <= len(world.server.requests) <= most


@pytest.mark.parametrize(
    ("reason", "pace", "least", "most", "level"),
    [
        (
            "one that need not be is looked for every half minute, and nobody is warned",
            OPTIONAL,
            20,
            50,
            "debug",
        ),
        ("one that we need is missed", DEFAULT_PACE, *SELDOM, "warning"),
    ],
)
async def test_a_kind_that_is_not_served(
    reason: str, pace: Pace, least: float, most: float, level: str, world: World
) -> None:
    world.server.faults.always = Answer(404, "404 page not found")
    time = FakeTime(end=600.0)
    fake = time.pace()
    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await informer_of(world, pace=replace(pace, clock=fake.clock, sleep=fake.sleep)).run()
    assert least <= len(world.server.requests) <= most
    assert {line["log_level"] for line in logs} == {level}


async def test_streams_that_end_at_once_are_not_reopened_in_a_hot_loop(world: World) -> None:
    good = Answer(200, '{"metadata": {"resourceVersion": "5"}}')
    world.server.faults.answers.append(good)
    world.server.faults.always = Answer(200, "")
    time = FakeTime(end=600.0)
    with pytest.raises(asyncio.CancelledError):
        await informer_of(world, pace=time.pace()).run()
    assert SELDOM[0] <= len(world.server.requests) <= SELDOM[1]


async def test_a_stream_that_gave_events_is_continued_soon(world: World) -> None:
    """The waits begin anew: what failed before does not delay a server that is well."""
    event = '{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "6"}}}'
    world.server.faults.answers.extend([Answer(200, '{"metadata": {"resourceVersion": "5"}}')])
    world.server.faults.always = Answer(200, event)
    time = FakeTime(end=10.0)
    with pytest.raises(asyncio.CancelledError):
        await informer_of(world, pace=time.pace()).run()
    assert max(time.waits) <= 0.2


async def test_refused_connections_are_survived(world: World) -> None:
    await world.server.stop()
    time = FakeTime(end=600.0)
    with pytest.raises(asyncio.CancelledError):
        await informer_of(world, pace=time.pace()).run()
    assert SELDOM[0] <= len(time.waits) <= SELDOM[1]
    await world.server.start()
    world.put("a", 1)
    informer = informer_of(world)
    async with running(informer):
        assert informer.items() == world.facts()


def test_backoff_doubles_and_begins_anew() -> None:
    backoff = Backoff(0.2, 30.0)
    waits = [backoff.next() for _ in range(2000)]
    full = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]
    for wait, most in zip(waits, [*full, *[30.0] * 1991], strict=True):
        assert most / 2 <= wait <= most
    backoff.reset()
    assert backoff.next() <= 0.2
