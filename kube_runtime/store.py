"""What an informer knows, and which of two contradicting messages it believes.

Four voices speak about one object: lists, watch events, the answers to our own writes, and a server
that was restored from a backup. All carry resourceVersions, which API servers of Kubernetes order as
integers within one resource (KEP-5504). The rules, all here and without I/O:

* A newer version is never replaced by an older one, whoever says it: an answer to our own write stays
  until the watch has caught up (the own-write barrier), and survives a list begun before it.
* What is absent here, and older than the position of the watch, was deleted since: a late answer does
  not bring it back.
* A list is complete for its instant: what it lacks and is not newer than it, is gone. So deletions that
  the watch never told are found.
* A list older than what was known when it began means that the server went back in time. Then the
  list wins entirely, since nothing that was newer exists any more.
* Versions that are no integers cannot be ordered; then the last word counts.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeAlias, TypeVar

import structlog

from kube_runtime.objects import Key, Obj, key_of, uid_of

T = TypeVar("T")

Handler: TypeAlias = Callable[[Key, T | None, T | None], None]
"""(key, old, new): old is None for a new object, new is None for a deleted one."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def older(version: str, than: str) -> bool:
    """True when both resourceVersions are integers and the first is the smaller one."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)


@dataclass(frozen=True, slots=True)
class _Read(Generic[T]):
    """One object as the transform made it. ``fact`` is None when it is of no interest or unreadable."""

    uid: str
    version: str
    deleting: bool
    readable: bool
    fact: T | None
    values: Mapping[str, tuple[str, ...]]  # per index

    def tells_no_more_than(self, stored: "_Read[T] | None") -> bool:
        if stored is None:
            return False
        same = self.version == stored.version and self.uid == stored.uid
        return same or older(self.version, stored.version)


@dataclass(slots=True)
class Listing(Generic[T]):
    """A list on its way: what its pages held so far, and what was known when it began."""

    newest: str
    deleted: frozenset[str]
    objects: dict[Key, _Read[T]] = field(default_factory=dict)


class Store(Generic[T]):
    """Facts by key, with indexes. Handlers are told of each change as it happens, in a chain per key.

    A transform that raises skips the object's version: the fact of an earlier version stays (no false
    deletion is told), a count and a log line remain.
    """

    def __init__(
        self,
        transform: Callable[[Obj], T | None],
        indexes: Mapping[str, Callable[[T], Iterable[str]]],
        *,
        name: str,
    ) -> None:
        """``name`` says in log lines what is stored here."""
        self.facts: dict[Key, T] = {}
        self.position = ""  # resourceVersion up to which lists and events have told everything
        self.skipped = 0
        self._transform = transform
        self._indexes = indexes
        self._name = name
        self._handlers: list[Handler[T]] = []
        self._reads: dict[Key, _Read[T]] = {}
        self._keys: dict[str, dict[str, set[Key]]] = {index: {} for index in indexes}
        self._newest = ""  # the highest resourceVersion that was ever seen, own writes included
        self._deleted: set[str] = set()  # uids that we deleted and that events may still mention

    @property
    def unreadable(self) -> list[Key]:
        """Objects whose present version the transform could not read, sorted."""
        return sorted(key for key, read in self._reads.items() if not read.readable)

    def add_handler(self, handler: Handler[T]) -> None:
        """Tell ``handler`` of all that is here, then of each change."""
        self._handlers.append(handler)
        for key, fact in list(self.facts.items()):
            handler(key, None, fact)

    def by_index(self, index: str, value: str) -> list[T]:
        """Facts for which the index function gave ``value``, sorted by key."""
        return [self.facts[key] for key in sorted(self._keys[index].get(value, ()))]

    def event(self, kind: str, obj: Obj) -> None:
        """One watch event: ADDED, MODIFIED, DELETED or BOOKMARK."""
        version: str = obj["metadata"]["resourceVersion"]
        if older(version, self.position):
            return  # a repetition: genuine events are in order
        self.position = version
        self._saw(version)
        if kind == "BOOKMARK":
            return
        key, uid = key_of(obj), uid_of(obj)
        stored = self._reads.get(key)
        if kind == "DELETED":
            self._deleted.discard(uid)
            if stored and not older(version, stored.version):
                self._remove(key)
        else:
            self._offer(key, obj)

    def observe(self, obj: Obj) -> None:
        """The answer to a write of our own."""
        key, version = key_of(obj), obj["metadata"]["resourceVersion"]
        passed = version == self.position or older(version, self.position)
        if key not in self._reads and passed:
            return
        self._saw(version)
        self._offer(key, obj)

    def observe_deleted(self, key: Key, uid: str) -> None:
        """A deletion of our own was accepted: earlier versions of the object count no more.

        Later versions, of an object that finalizers keep, all carry a deletionTimestamp and are believed;
        one that is here already stays until the watch tells its end.
        """
        self._deleted.add(uid)
        stored = self._reads.get(key)
        if stored and self._is_past(stored):
            self._remove(key)

    def begin_list(self) -> Listing[T]:
        """To be called before the request of the first page is sent."""
        return Listing(self._newest, frozenset(self._deleted))

    def add_page(self, listing: Listing[T], objects: Iterable[Obj]) -> None:
        """Read one page; unchanged versions are taken from the store."""
        for obj in objects:
            key = key_of(obj)
            stored = self._reads.get(key)
            unchanged = stored and _is(stored, obj)
            listing.objects[key] = stored if stored and unchanged else self._read(key, obj)

    def end_list(self, listing: Listing[T], version: str) -> None:
        """Believe a complete list; ``version`` is its resourceVersion."""
        restored = older(version, listing.newest)
        if restored:
            log.warning("server went back in time", of=self._name, listed=version, known=listing.newest)
            self._newest, listing.deleted = "", frozenset(self._deleted)
        self._deleted -= listing.deleted
        for key, read in listing.objects.items():
            stored = self._reads.get(key)
            if restored or not (read.tells_no_more_than(stored) or self._is_past(read)):
                self._put(key, read)
        for key, stored in list(self._reads.items()):
            if key not in listing.objects and (restored or not older(version, stored.version)):
                self._remove(key)
        self.position = version
        self._saw(version)

    def _saw(self, version: str) -> None:
        if not self._newest or older(self._newest, version):
            self._newest = version

    def _offer(self, key: Key, obj: Obj) -> None:
        stored = self._reads.get(key)
        if stored and (_is(stored, obj) or older(obj["metadata"]["resourceVersion"], stored.version)):
            return
        read = self._read(key, obj)
        if not self._is_past(read):
            self._put(key, read)

    def _is_past(self, read: _Read[T]) -> bool:
        """True for what an object was before we deleted it."""
        return read.uid in self._deleted and not read.deleting

    def _read(self, key: Key, obj: Obj) -> _Read[T]:
        metadata = obj["metadata"]
        fact: T | None = None
        values: dict[str, tuple[str, ...]] = {}
        readable = True
        try:
            fact = self._transform(obj)
            if fact is not None:
                values = {index: tuple(values_of(fact)) for index, values_of in self._indexes.items()}
        except Exception as error:  # noqa: BLE001 - one object in an unforeseen shape must not stop the others
            fact, readable = None, False
            self.skipped += 1
            log.warning("object skipped", of=self._name, key="/".join(key), error=repr(error)[:200])
        deleting = bool(metadata.get("deletionTimestamp"))
        return _Read(metadata["uid"], metadata["resourceVersion"], deleting, readable, fact, values)

    def _put(self, key: Key, read: _Read[T]) -> None:
        stored = self._reads.get(key)
        if not read.readable and stored and stored.uid == read.uid:
            self._reads[key] = replace(read, fact=stored.fact, values=stored.values)
            return
        self._unindex(key)
        self._reads[key] = read
        for index, values in read.values.items():
            for value in values:
                self._keys[index].setdefault(value, set()).add(key)
        old = self.facts.pop(key, None)
        if read.fact is not None:
            self.facts[key] = read.fact
        self._tell(key, old, read.fact)

    def _remove(self, key: Key) -> None:
        self._unindex(key)
        del self._reads[key]
        self._tell(key, self.facts.pop(key, None), None)

    def _unindex(self, key: Key) -> None:
        stored = self._reads.get(key)
        for index, values in stored.values.items() if stored else ():
            for value in values:
                keys = self._keys[index].get(value, set())
                keys.discard(key)
                if not keys:
                    self._keys[index].pop(value, None)

    def _tell(self, key: Key, old: T | None, new: T | None) -> None:
        if old != new:  # a version that changed nothing that we read is no news
            for handler in self._handlers:
                handler(key, old, new)


def _is(read: _Read[T], obj: Obj) -> bool:
    metadata = obj["metadata"]
    return bool(read.version == metadata["resourceVersion"] and read.uid == metadata["uid"])
