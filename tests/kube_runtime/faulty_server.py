"""An API server on 127.0.0.1 whose faults a test chooses. Real HTTP; objects by ``object_history``."""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from kubernetes.aio.client import Configuration

from kube_runtime.objects import Obj
from kube_runtime.space import Space
from tests.kube_runtime.object_history import Event, ObjectHistory, Place, Refused, matches


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def watch(self) -> bool:
        return self.query.get("watch") == "true"


@dataclass(frozen=True)
class Answer:
    """An answer given in place of the real one."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Faults:
    """What is broken now; the defaults are health."""

    answers: deque[Answer] = field(default_factory=deque)  # for the next requests, one each
    always: Answer | None = None  # for every request
    lose_deletions: bool = False  # watches never tell DELETED
    repeat_events: bool = False  # each event is sent twice, and the one before it again
    truncate_events: int = 0  # so many of the next events are cut in the middle of the line
    gate: asyncio.Event | None = None  # requests wait for it: a slow server
    gate_lists: asyncio.Event | None = None  # lists take their snapshot, then wait for it


class Stream:
    """One watch that is being served."""

    def __init__(self, place: Place, labels: dict[str, str], position: int) -> None:
        self.place, self.labels, self.position = place, labels, position
        self.wake = asyncio.Event()
        self.commands: deque[str] = deque()


class FaultyServer:
    def __init__(self) -> None:
        self.history = ObjectHistory()
        self.faults = Faults()
        self.requests: list[Seen] = []
        self.version = {"major": "1", "minor": "36", "gitVersion": "v1.36.3"}
        self.page = 500  # objects per page at most, whatever is asked
        self.tokens: set[str] | None = None  # bearer tokens that are known; None: everybody may
        self.forbidden = False
        self.gone_by_status = False  # a watch from before the compaction: HTTP 410, or 200 and an ERROR event
        self._streams: set[Stream] = set()
        self._snapshots: dict[str, tuple[int, list[Obj]]] = {}
        self._runner: web.AppRunner | None = None
        self._stopping = False
        self._port = 0
        self._tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}"

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen; after ``stop`` at the same port again."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
        await self._runner.setup()
        self._tls, self._stopping = tls, False
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=tls, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Refuse connections; the objects stay."""
        if self._runner:
            self._stopping = True
            self._wake()
            await self._runner.cleanup()
            self._runner = None

    def drop_streams(self) -> None:
        self._command("drop")

    def end_streams(self) -> None:
        """End them cleanly, as a server does after timeoutSeconds."""
        self._command("end")

    def expire_streams(self) -> None:
        """The 410 that is sent in a running stream."""
        self._command("expire")

    def send_bookmarks(self) -> None:
        self._command("bookmark")

    def send_raw(self, line: str) -> None:
        self._command("raw:" + line)

    def compact(self) -> None:
        """Forget the history: watches from an older version and continue tokens are Gone."""
        self.history.compacted = self.history.version
        self._snapshots.clear()

    def restore(self, version: int) -> None:
        """Go back in time; the streams break, as the API server restarts with its etcd."""
        self.history.restore(version)
        self._snapshots.clear()
        self.drop_streams()

    @property
    def watching(self) -> int:
        return len(self._streams)

    def put(self, place: Place, **content: Any) -> Obj:
        """Create the object or replace its content, as somebody else's write."""
        metadata = {"name": place.name, **({"namespace": place.namespace} if place.namespace else {})}
        metadata |= content.pop("metadata", {})
        if place in self.history.objects:
            obj = self.history.replace(place, {"metadata": metadata, **content}, "", strict=False)
        else:
            obj = self.history.create(place, {"metadata": metadata, **content}, strict=False)
        self._wake()
        return obj

    def remove(self, place: Place) -> None:
        self.history.delete(place, {})
        self._wake()

    def _command(self, command: str) -> None:
        for stream in self._streams:
            stream.commands.append(command)
        self._wake()

    def _wake(self) -> None:
        for stream in self._streams:
            stream.wake.set()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        seen = Seen(request.method, request.path, dict(request.query), dict(request.headers), body)
        self.requests.append(seen)
        if self.faults.gate:
            await self.faults.gate.wait()
        answer = self.faults.answers.popleft() if self.faults.answers else self.faults.always
        if answer:
            return web.Response(status=answer.status, text=answer.body, headers=answer.headers)
        try:
            self._authorize(request)
            if request.path == "/version":
                return web.json_response(self.version)
            place, subresource = place_of(request.path)
            if request.method == "GET" and seen.watch:
                return await self._watch(request, place)
            if request.method == "GET" and not place.name:
                listed = self._list(place, request.query)
                if self.faults.gate_lists:
                    await self.faults.gate_lists.wait()
                return web.json_response(listed)
            obj = self._one(request, place, subresource, json.loads(body) if body else {})
            self._wake()
            return web.json_response(obj, status=201 if request.method == "POST" else 200)
        except Refused as refused:
            return web.json_response(refused.status, status=refused.code)

    def _authorize(self, request: web.Request) -> None:
        token = request.headers.get("Authorization", "").rpartition(" ")[2]
        if self.tokens is not None and token not in self.tokens:
            raise Refused(401, "Unauthorized", "Unauthorized")
        if self.forbidden:
            raise Refused(403, "Forbidden", 'User "system:anonymous" cannot get path "/version"')

    def _one(self, request: web.Request, place: Place, subresource: str, body: Obj) -> Obj:
        query, history = request.query, self.history
        strict = query.get("fieldValidation") == "Strict"
        match request.method, request.content_type:
            case "GET", _:
                return history.get(place)
            case "POST", _:
                place = place._replace(name=body.get("metadata", {}).get("name", ""))
                if "dryRun" in query:
                    return rolled_back(history, lambda: history.create(place, body, strict=strict))
                return history.create(place, body, strict=strict)
            case "PUT", _:
                return history.replace(place, body, subresource, strict=strict)
            case "PATCH", "application/merge-patch+json":
                return history.merge(place, body, subresource, strict=strict)
            case "PATCH", "application/apply-patch+yaml":
                force = query.get("force") == "true"
                return history.apply(place, body, query["fieldManager"], subresource, force=force)
            case "DELETE", _:
                obj = history.delete(place, body.get("preconditions") or {})
                return (
                    obj
                    if place in history.objects
                    else {"kind": "Status", "metadata": {}, "status": "Success"}
                )
        raise Refused(415, "UnsupportedMediaType", f"{request.method} {request.content_type}")

    def _list(self, place: Place, query: Any) -> Obj:
        limit = min(int(query.get("limit") or self.page), self.page)
        if token := query.get("continue"):
            if token not in self._snapshots:
                raise Refused(410, "Expired", "The provided continue parameter is too old")
            version, rest = self._snapshots.pop(token)
        else:
            version, rest = (
                self.history.version,
                self.history.select(place.collection, place.namespace, labels_of(query)),
            )
        page, rest = rest[:limit], rest[limit:]
        metadata = {"resourceVersion": str(version)}
        if rest:
            metadata["continue"] = f"{version}-{len(rest)}"
            self._snapshots[metadata["continue"]] = (version, rest)
        bare = [{k: v for k, v in obj.items() if k not in ("apiVersion", "kind")} for obj in page]
        return {"kind": "List", "metadata": metadata, "items": bare or None}

    async def _watch(self, request: web.Request, place: Place) -> web.StreamResponse:
        position = int(request.query["resourceVersion"])
        gone = position < self.history.compacted
        if gone and self.gone_by_status:
            raise Refused(410, "Expired", "too old resource version")
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        stream = Stream(place, labels_of(request.query), position)
        if gone:
            await response.write(EXPIRED)
            return response
        self._streams.add(stream)
        try:
            await self._feed(request, response, stream)
        except ConnectionError:
            pass  # the client went away
        finally:
            self._streams.discard(stream)
        return response

    async def _feed(self, request: web.Request, response: web.StreamResponse, stream: Stream) -> None:
        while not self._stopping:
            stream.wake.clear()
            for event in [e for e in self.history.events if e.version > stream.position]:
                stream.position = event.version
                for line in self._lines(event, stream):
                    if self.faults.truncate_events:
                        self.faults.truncate_events -= 1
                        await response.write(line[: len(line) // 2])
                        drop(request)
                        return
                    await response.write(line)
            while stream.commands:
                match stream.commands.popleft().split(":", 1):
                    case ["drop"]:
                        drop(request)
                        return
                    case ["end"]:
                        return
                    case ["bookmark"]:
                        # A server that went back in time keeps back what is older than the watch.
                        if stream.position <= self.history.version:
                            obj = {"metadata": {"resourceVersion": str(self.history.version)}}
                            await response.write(event_line("BOOKMARK", obj))
                    case ["raw", text]:
                        await response.write(text.encode() + b"\n")
                    case _:
                        await response.write(EXPIRED)
                        return
            await stream.wake.wait()
        drop(request)

    def _lines(self, event: Event, stream: Stream) -> list[bytes]:
        if event.place.collection != stream.place.collection:
            return []
        before = [e for e in self.history.events if e.place == event.place and e.version < event.version]
        kind = shown_as(event, before[-1] if before else None, stream)
        if not kind or (kind == "DELETED" and self.faults.lose_deletions):
            return []
        lines = [event_line(kind, event.obj)]
        if self.faults.repeat_events:
            lines += [event_line(e.kind, e.obj) for e in (*before[-1:], event)]
        return lines


def shown_as(event: Event, before: Event | None, stream: Stream) -> str:
    """ADDED and DELETED as a watch with a selector sees them; "" for what it does not see."""

    def visible(e: Event | None) -> bool:
        return (
            e is not None
            and e.kind != "DELETED"
            and matches(e.place, e.obj, stream.place.namespace, stream.labels)
        )

    match visible(before), visible(event):
        case True, True:
            return "MODIFIED"
        case True, False:
            return "DELETED"
        case False, True:
            return "ADDED"
    return ""


def drop(request: web.Request) -> None:
    if request.transport:  # else the client was faster
        request.transport.abort()


def event_line(kind: str, obj: Obj) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


EXPIRED = event_line("ERROR", Refused(410, "Expired", "too old resource version").status)


def labels_of(query: Any) -> dict[str, str]:
    selector = query.get("labelSelector") or ""
    return dict(pair.split("=", 1) for pair in selector.split(",") if pair)


def place_of(path: str) -> tuple[Place, str]:
    """("/apis/batch/v1/namespaces/a/jobs/b/status") → (("/apis/batch/v1/jobs", "a", "b"), "status")."""
    parts = path.strip("/").split("/")
    root, rest = (parts[:2], parts[2:]) if parts[0] == "api" else (parts[:3], parts[3:])
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    if not rest:
        raise Refused(404, "NotFound", "the server could not find the requested resource")
    plural, name, subresource = (*rest, "", "")[:3]
    return Place("/" + "/".join([*root, plural]), namespace, name), subresource


def rolled_back(history: ObjectHistory, write: Callable[[], Obj]) -> Obj:
    objects, events, version = dict(history.objects), list(history.events), history.version
    try:
        return write()
    finally:
        history.objects, history.events, history.version = objects, events, version


def space_at(server: FaultyServer, *, token: str = "", name: str = "hub", **options: Any) -> Space:
    configuration = Configuration(host=server.url)
    if token:
        configuration.api_key["BearerToken"] = f"Bearer {token}"
    return Space(name, configuration, **options)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; real sockets have no fake clock."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - conditions of other tasks, of any kind
            await asyncio.sleep(0)


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultyServer]:
    server = FaultyServer()
    await server.start(tls)
    try:
        yield server
    finally:
        await server.stop()
