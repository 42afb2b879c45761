"""All faults in any order: in the end the informer knows what the server knows, and told it in a chain."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from kube_runtime.errors import KubeError
from kube_runtime.informer import Informer, Pace
from kube_runtime.objects import Key, key_of
from tests.kube_runtime.faulty_server import Answer, FaultyServer, serving, space_at, until
from tests.kube_runtime.test_informer import THINGS, Fact, World, place, read

# A connection that is accepted while the server stops is served by nobody: only the time limits end it.
PACE = Pace(idle=0.3, first_wait=0.001, longest_wait=0.002)
NAMES = st.sampled_from("abcd")


def quick(server: FaultyServer) -> None:
    for gate in (server.faults.gate, server.faults.gate_lists):
        if gate:
            gate.set()
    server.faults.gate = server.faults.gate_lists = None


FAULTS: dict[str, Callable[[FaultyServer], None]] = {
    "drop": lambda s: s.drop_streams(),
    "end": lambda s: s.end_streams(),
    "expire": lambda s: s.expire_streams(),
    "compact": lambda s: s.compact(),
    "bookmark": lambda s: s.send_bookmarks(),
    "garbage": lambda s: s.send_raw("{{{"),
    "truncate": lambda s: setattr(s.faults, "truncate_events", 1),
    "lose deletions": lambda s: setattr(s.faults, "lose_deletions", True),
    "repeat events": lambda s: setattr(s.faults, "repeat_events", True),
    "500": lambda s: s.faults.answers.append(Answer(500, "broken")),
    "429": lambda s: s.faults.answers.append(Answer(429, "", {"Retry-After": "0.001"})),
    "empty": lambda s: s.faults.answers.append(Answer(200, "")),
    "small pages": lambda s: setattr(s, "page", 1),
    "slow": lambda s: setattr(s.faults, "gate", s.faults.gate or asyncio.Event()),
    "slow lists": lambda s: setattr(s.faults, "gate_lists", s.faults.gate_lists or asyncio.Event()),
    "quick": quick,
}
Step: TypeAlias = tuple[str, str]
STEPS = st.one_of(
    st.tuples(st.sampled_from(["put", "remove", "write", "delete"]), NAMES),
    st.tuples(st.sampled_from(sorted(FAULTS)), st.just("")),
    st.tuples(st.just("pass"), st.sampled_from(["1", "5", "30"])),
    st.just(("refuse", "")),
)


class Listener:
    """Holds the informer to its promises while it tells."""

    def __init__(self) -> None:
        self.facts: dict[Key, Fact] = {}
        self.barrier: dict[Key, int] = {}
        self.deleted: set[str] = set()

    def __call__(self, key: Key, old: Fact | None, new: Fact | None) -> None:
        assert self.facts.get(key) == old, "the chain is broken"
        if new is None:
            del self.facts[key]
            return
        self.facts[key] = new
        assert int(new.version) >= self.barrier.get(key, 0), "an own write was undone"
        assert new.uid not in self.deleted, "an own deletion was undone"


async def scenario(steps: list[Step]) -> None:
    async with serving() as server, space_at(server, timeout=1.0) as space:
        world = World(server, space)
        informer = Informer(
            space, THINGS, transform=read, pace=PACE, indexes={"value": lambda fact: [str(fact.value % 3)]}
        )
        listener = Listener()
        informer.add_handler(listener)
        task = asyncio.create_task(informer.run())
        try:
            for number, step in enumerate(steps):
                await take(step, number, world, informer, listener)
                assert not task.done(), task
            await heal(server, informer)
            await until(lambda: task.done() or dict(informer.items()) == world.facts())
            assert not task.done(), task
            assert listener.facts == world.facts()
            for value in "012":
                want = [fact for _, fact in sorted(world.facts().items()) if str(fact.value % 3) == value]
                assert informer.by_index("value", value) == want
        finally:
            task.cancel()
            await asyncio.wait([task])


async def take(step: Step, number: int, world: World, informer: Informer[Fact], listener: Listener) -> None:
    match step:
        case "put", name:
            world.put(name, number)
        case "remove", name:
            if place(name) in world.server.history.objects:
                world.server.remove(place(name))
        case ("write" | "delete") as what, name:
            quick(world.server)  # else the answer would never come
            await (write if what == "write" else delete)(name, number, world, informer, listener)
        case "pass", times:
            for _ in range(int(times)):
                await asyncio.sleep(0)
        case "refuse", _:
            quick(world.server)
            await world.server.stop()
            await asyncio.sleep(0)
            await world.server.start()
        case fault, _:
            FAULTS[fault](world.server)


async def write(name: str, number: int, world: World, informer: Informer[Fact], listener: Listener) -> None:
    obj = {"metadata": {"name": name, "namespace": "ns"}, "spec": {"replicas": number}}
    try:
        written = await world.space.apply(THINGS, obj, field_manager="me")
    except KubeError:
        return
    informer.observe(written)
    fact = informer.get(key_of(written))
    if fact:  # else its deletion had been told before the answer was heard
        version = int(written["metadata"]["resourceVersion"])
        assert int(fact.version) >= version
        listener.barrier[key_of(written)] = version


async def delete(name: str, _: int, world: World, informer: Informer[Fact], listener: Listener) -> None:
    fact = informer.get(("ns", name))
    if not fact:
        return
    try:
        await world.space.delete(THINGS, name, "ns", uid=fact.uid)
    except KubeError:
        return
    informer.observe_deleted(("ns", name), fact.uid)
    listener.deleted.add(fact.uid)


async def heal(server: FaultyServer, informer: Informer[Fact]) -> None:
    quick(server)
    server.faults.answers.clear()
    server.faults.truncate_events = 0
    server.faults.repeat_events = False
    if server.faults.lose_deletions:
        server.faults.lose_deletions = False
        relists = informer.relists

        def relisted() -> bool:  # nothing but a list can find them
            server.expire_streams()
            return informer.relists > relists

        await until(relisted)


# A connection that asyncio accepts while the faulty server stops is closed by nobody but the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=40))
def test_in_the_end_the_informer_knows_what_the_server_knows(steps: list[Step]) -> None:
    asyncio.run(scenario(steps))
