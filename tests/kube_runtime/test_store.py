"""The rules of belief, and a state machine in which every voice speaks late."""

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kube_runtime.objects import Key, Obj, key_of
from kube_runtime.store import Listing, Store, older
from tests.kube_runtime.object_history import ObjectHistory, Place

COLLECTION = "/api/v1/things"


@dataclass(frozen=True, slots=True)
class Fact:
    uid: str
    version: str
    value: int


def read(obj: Obj) -> Fact:
    return Fact(obj["metadata"]["uid"], obj["metadata"]["resourceVersion"], obj["spec"]["replicas"])


def thing(version: int | str, uid: str = "u", value: int = 0, **metadata: Any) -> Obj:
    named = {"name": "a", "namespace": "ns", "uid": uid, "resourceVersion": str(version), **metadata}
    return {"metadata": named, "spec": {"replicas": value}}


def store_of(*objects: Obj, position: int | str) -> Store[Fact]:
    store: Store[Fact] = Store(read, {"value": lambda fact: [str(fact.value)]}, name="test")
    relist(store, *objects, version=position)
    return store


def relist(store: Store[Any], *objects: Obj, version: int | str) -> None:
    listing = store.begin_list()
    store.add_page(listing, objects)
    store.end_list(listing, str(version))


KEY: Key = ("ns", "a")
DELETING: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


class Compared(NamedTuple):
    given: tuple[str, str]
    want: bool


COMPARED = [
    Compared(("9", "10"), want=True),
    Compared(("10", "9"), want=False),
    Compared(("9", "9"), want=False),
    Compared(("", "9"), want=False),
    Compared(("9", "x"), want=False),
    Compared(("²", "9"), want=False),
]


@pytest.mark.parametrize("case", COMPARED, ids=str)
def test_older(case: Compared) -> None:
    assert older(*case.given) is case.want


def test_an_older_event_does_not_undo_our_write() -> None:
    store = store_of(thing(1), position=5)
    store.observe(thing(9, value=9))
    store.event("MODIFIED", thing(7, value=7))
    assert store.facts[KEY] == Fact("u", "9", 9)
    store.event("MODIFIED", thing(11, value=11))
    assert store.facts[KEY] == Fact("u", "11", 11)


def test_deletion_of_an_earlier_object_does_not_remove_our_new_one() -> None:
    store = store_of(thing(1), position=5)
    store.observe(thing(9, uid="new"))
    store.event("DELETED", thing(8))
    assert store.facts[KEY].uid == "new"


def test_deletion_wins_over_what_is_older_and_what_is_late() -> None:
    store = store_of(thing(1), position=5)
    store.event("DELETED", thing(8))
    store.observe(thing(7))
    assert store.facts == {}
    store.event("DELETED", thing(8))
    assert store.facts == {}


def test_repeated_events_do_not_bring_back_the_dead() -> None:
    store = store_of(position=5)
    store.event("ADDED", thing(7))
    store.event("DELETED", thing(8))
    store.event("ADDED", thing(7))
    assert store.facts == {}
    assert store.position == "8"


def test_an_answer_that_is_as_old_as_the_deletion() -> None:
    """An update that removes the last finalizer is answered with the object that it deleted."""
    store = store_of(thing(1), position=5)
    store.event("DELETED", thing(8))
    store.observe(thing(8))
    assert store.facts == {}


def test_our_write_survives_a_list_begun_before_it() -> None:
    store = store_of(thing(1), position=5)
    listing = store.begin_list()
    store.add_page(listing, [thing(1)])
    store.observe(thing(9, value=9))
    store.observe(thing(10, name="b"))
    store.end_list(listing, "8")
    assert store.facts[KEY].value == 9
    assert ("ns", "b") in store.facts


def test_a_list_finds_lost_deletions_and_lost_changes() -> None:
    store = store_of(thing(1), thing(2, name="b"), position=5)
    relist(store, thing(7, value=7), version=9)
    assert {key: fact.value for key, fact in store.facts.items()} == {KEY: 7}


def test_a_server_that_went_back_in_time_is_believed() -> None:
    store = store_of(thing(50, value=50), thing(60, name="b"), position=90)
    store.observe_deleted(("ns", "c"), "c")
    relist(store, thing(20, value=20), thing(21, name="c", uid="c"), version=30)
    assert {key: fact.version for key, fact in store.facts.items()} == {KEY: "20", ("ns", "c"): "21"}
    store.event("MODIFIED", thing(31, value=31))
    assert store.facts[KEY].value == 31
    listing = store.begin_list()  # an ordinary one again, though older than what once was known
    store.observe(thing(45, value=45))
    store.end_list(listing, "40")
    assert store.facts[KEY].value == 45


def test_a_list_older_than_our_own_write_went_back_in_time() -> None:
    store = store_of(position=5)
    store.observe(thing(50))
    relist(store, version=40)
    assert store.facts == {}


def test_another_object_under_the_same_version_is_not_taken_for_unchanged() -> None:
    store = store_of(thing(50, uid="x"), position=50)
    relist(store, thing(50, uid="y"), version=50)
    assert store.facts[KEY].uid == "y"


def test_versions_that_are_no_integers_are_believed_in_the_order_of_arrival() -> None:
    store = store_of(thing("b", value=1), position="b")
    store.event("MODIFIED", thing("a", value=2))
    assert store.facts[KEY].value == 2
    relist(store, thing("c", value=3), version="c")
    assert store.facts[KEY].value == 3


def test_what_we_deleted_is_not_brought_back_by_older_messages() -> None:
    store = store_of(thing(1), position=5)
    listing = store.begin_list()
    store.add_page(listing, [thing(1)])
    store.observe_deleted(KEY, "u")
    store.end_list(listing, "6")
    store.event("MODIFIED", thing(7))
    assert store.facts == {}
    store.event("DELETED", thing(8))
    store.event("ADDED", thing(9, uid="v"))
    assert store.facts[KEY].uid == "v"


def test_deletions_of_our_own_do_not_pile_up() -> None:
    store = store_of(thing(1), position=5)
    store.observe_deleted(KEY, "u")
    store.event("DELETED", thing(8))
    assert store._deleted == set()


def test_what_finalizers_keep_is_shown_again() -> None:
    store = store_of(thing(1), position=5)
    store.observe_deleted(KEY, "u")
    store.event("MODIFIED", thing(7, **DELETING))
    store.event("MODIFIED", thing(8, value=8, **DELETING))
    assert store.facts[KEY].value == 8


def test_what_finalizers_keep_stays_when_the_watch_was_faster_than_the_answer() -> None:
    store = store_of(thing(1), position=5)
    store.event("MODIFIED", thing(7, value=7, **DELETING))
    store.observe_deleted(KEY, "u")
    assert store.facts[KEY].value == 7
    store.event("DELETED", thing(8, **DELETING))
    assert store.facts == {}


def test_a_deletion_of_another_uid_does_not_touch_the_present_object() -> None:
    store = store_of(thing(6, uid="v"), position=6)
    store.observe_deleted(KEY, "u")
    assert store.facts[KEY].uid == "v"


def test_a_list_begun_after_our_deletion_is_believed() -> None:
    store = store_of(thing(1), position=5)
    store.observe_deleted(KEY, "u")
    relist(store, thing(7), version=9)
    assert store.facts[KEY].version == "7"


def test_unreadable_and_uninteresting_objects() -> None:
    told: list[tuple[int | None, int | None]] = []

    def transform(obj: Obj) -> int | None:
        value = obj["spec"]["replicas"]
        return None if value == 0 else 100 // (value - 13)

    store: Store[int] = Store(transform, {"sign": lambda value: ["+" if value > 0 else "-"]}, name="test")
    store.add_handler(lambda _, old, new: told.append((old, new)))
    relist(store, thing(1, value=14), thing(2, name="b", value=13), version=5)
    store.event("MODIFIED", thing(6, value=13))
    assert store.facts == {KEY: 100}
    assert store.skipped == 2
    assert store.unreadable == [KEY, ("ns", "b")]
    store.event("MODIFIED", thing(7, value=0))
    assert store.facts == {}
    assert store.unreadable == [("ns", "b")]
    assert store.by_index("sign", "+") == []
    store.event("MODIFIED", thing(8, value=12))
    store.event("ADDED", thing(9, uid="v", value=13))
    assert told == [(None, 100), (100, None), (None, -100), (-100, None)]
    assert store.by_index("sign", "-") == []


def test_an_index_that_raises_skips_the_object() -> None:
    store: Store[Fact] = Store(read, {"inverse": lambda fact: [str(1 / fact.value)]}, name="test")
    relist(store, thing(1, value=0), version=5)
    assert store.facts == {}
    assert store.skipped == 1


def test_a_late_handler_learns_what_is_here() -> None:
    store = store_of(thing(1), position=5)
    told: list[tuple[Key, Fact | None, Fact | None]] = []
    store.add_handler(lambda *change: told.append(change))
    assert told == [(KEY, None, Fact("u", "1", 0))]


def test_a_version_that_changes_nothing_we_read_is_no_news() -> None:
    store: Store[int] = Store(lambda obj: obj["spec"]["replicas"], {}, name="test")
    told: list[Key] = []
    relist(store, thing(1), version=5)
    store.add_handler(lambda key, *_: told.append(key))
    store.event("MODIFIED", thing(6))
    store.event("MODIFIED", thing(7, value=1))
    assert told == [KEY, KEY]  # once as a late handler, once for the change


class EveryVoiceSpeaksLate(RuleBasedStateMachine):
    """A server writes at once; what it tells the store by watch, list and answers comes when it comes."""

    names = st.sampled_from("abc")

    def __init__(self) -> None:
        super().__init__()
        self.history = ObjectHistory()
        self.store: Store[Fact] = Store(read, {"value": lambda fact: [str(fact.value)]}, name="test")
        self.store.add_handler(self.hear)
        self.heard: dict[Key, Fact] = {}
        self.told = 0  # events that the watch has delivered
        self.answers: list[Obj] = []  # of our writes, still on their way to us
        self.deletions: list[Obj] = []
        self.listing: Listing[Fact] | None = None
        self.snapshot: list[Obj] = []
        self.snapshot_version = self.history.version
        self.barrier: dict[Key, int] = {}
        self.value = 0
        self.begin_list()
        self.end_list()

    def hear(self, key: Key, old: Fact | None, new: Fact | None) -> None:
        assert self.heard.get(key) == old, "the chain of changes is broken"
        assert old != new
        if new:
            self.heard[key] = new
            assert int(new.version) >= self.barrier.get(key, 0), "an own write was undone"
        else:
            del self.heard[key]

    def write(self, name: str) -> Obj:
        self.value += 1
        place = Place(COLLECTION, "ns", name)
        if place not in self.history.objects:
            return self.history.create(place, thing_named(name, self.value), strict=False)
        patch = {"spec": {"replicas": self.value}}
        return self.history.merge(place, patch, "", strict=False)

    @rule(name=names)
    def somebody_writes(self, name: str) -> None:
        self.write(name)

    @rule(name=names)
    def we_write(self, name: str) -> None:
        self.answers.append(copy.deepcopy(self.write(name)))

    @rule(name=names)
    def somebody_deletes(self, name: str) -> None:
        place = Place(COLLECTION, "ns", name)
        if place in self.history.objects:
            self.history.delete(place, {})

    @rule(name=names)
    def we_delete(self, name: str) -> None:
        place = Place(COLLECTION, "ns", name)
        if place in self.history.objects:
            self.deletions.append(copy.deepcopy(self.history.delete(place, {})))

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def an_answer_arrives(self, data: st.DataObject) -> None:
        obj = self.answers.pop(data.draw(st.integers(0, len(self.answers) - 1)))
        self.store.observe(obj)
        key, version = key_of(obj), int(obj["metadata"]["resourceVersion"])
        if key in self.store.facts:
            self.barrier[key] = max(version, self.barrier.get(key, 0))

    @precondition(lambda self: self.deletions)
    @rule()
    def an_answer_to_a_deletion_arrives(self) -> None:
        obj = self.deletions.pop()
        self.store.observe_deleted(key_of(obj), obj["metadata"]["uid"])
        fact = self.store.facts.get(key_of(obj))
        assert not fact or fact.uid != obj["metadata"]["uid"]

    @precondition(lambda self: self.told < len(self.history.events) and not self.listing)
    @rule(lost=st.booleans(), again=st.integers(0, 2))
    def the_watch_tells(self, *, lost: bool, again: int) -> None:
        event = self.history.events[self.told]
        self.told += 1
        if not (lost and event.kind == "DELETED"):
            self.store.event(event.kind, copy.deepcopy(event.obj))
        for earlier in self.history.events[max(0, self.told - again) : self.told]:
            if not (lost and earlier.kind == "DELETED"):
                self.store.event(earlier.kind, copy.deepcopy(earlier.obj))

    @precondition(lambda self: not self.listing)
    @rule()
    def begin_list(self) -> None:
        self.listing = self.store.begin_list()
        self.snapshot = copy.deepcopy(self.history.select(COLLECTION, "", {}))
        self.snapshot_version = self.history.version

    @precondition(lambda self: self.listing)
    @rule()
    def end_list(self) -> None:
        assert self.listing
        self.store.add_page(self.listing, self.snapshot)
        self.store.end_list(self.listing, str(self.snapshot_version))
        self.told = sum(event.version <= self.snapshot_version for event in self.history.events)
        self.listing = None

    @invariant()
    def indexes_equal_a_rebuild(self) -> None:
        rebuilt: dict[str, list[Fact]] = {}
        for _, fact in sorted(self.store.facts.items()):
            rebuilt.setdefault(str(fact.value), []).append(fact)
        assert {value: self.store.by_index("value", value) for value in rebuilt} == rebuilt
        assert self.store._keys["value"].keys() == rebuilt.keys()

    @invariant()
    def handlers_know_what_the_store_knows(self) -> None:
        assert self.heard == self.store.facts

    def teardown(self) -> None:
        """In the end, with every message delivered, the store is the server."""
        if self.listing:
            self.end_list()
        self.begin_list()
        self.end_list()
        for obj in self.answers:
            self.store.observe(obj)
        for obj in self.deletions:
            self.store.observe_deleted(key_of(obj), obj["metadata"]["uid"])
        assert self.store.facts == {key_of(obj): read(obj) for obj in self.history.objects.values()}


def thing_named(name: str, value: int) -> Obj:
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": {"replicas": value}}


TestEveryVoiceSpeaksLate = EveryVoiceSpeaksLate.TestCase
TestEveryVoiceSpeaksLate.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
