"""Space against a server that answers as kube-apiserver does."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from kubernetes.aio.client import Configuration

from kube_runtime.connections import ConnectionFailed
from kube_runtime.errors import (
    AlreadyExists,
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KubeError,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    error_from_status,
)
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from kube_runtime.transport import TokenBucket
from tests.kube_runtime.faulty_server import Answer, FaultyServer, serving, space_at, until
from tests.kube_runtime.object_history import Place

JOBS = Resource("batch", "v1", "jobs", "Job")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
SECRET = "s3cr3t-t0k3n"


@pytest.fixture
async def server() -> AsyncIterator[FaultyServer]:
    async with serving() as running:
        yield running


@pytest.fixture
async def hub(server: FaultyServer) -> AsyncIterator[Space]:
    async with space_at(server) as space:
        yield space


def job(name: str = "a", **content: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "ns", **content.pop("metadata", {})}, **content}


def place(name: str = "a") -> Place:
    return Place("/apis/batch/v1/jobs", "ns", name)


class Mapped(NamedTuple):
    reason: str
    given: tuple[int, dict[str, Any], float | None]
    want: type[ApiError]
    retry_after: float | None = None


MAPPED = [
    Mapped("400", (400, {"reason": "BadRequest"}, None), BadRequest),
    Mapped("401", (401, {}, None), Unauthorized),
    Mapped("403", (403, {}, None), Forbidden),
    Mapped("404 without a Status", (404, {"message": "404 page not found"}, None), NotFound),
    Mapped("409 of a precondition", (409, {"reason": "Conflict"}, None), Conflict),
    Mapped("409 of a create", (409, {"reason": "AlreadyExists"}, None), AlreadyExists),
    Mapped("410", (410, {"reason": "Expired"}, None), Gone),
    Mapped("422", (422, {"reason": "Invalid"}, None), Invalid),
    Mapped("422 of a wrong uid", (422, {"details": {"causes": [{"field": "metadata.uid"}]}}, None), Conflict),
    Mapped("422 of another field", (422, {"details": {"causes": [{"field": "spec.x"}]}}, None), Invalid),
    Mapped(
        "500 of an unknown field", (500, {"message": ".x: field not declared in schema"}, None), BadRequest
    ),
    Mapped("429 with the header", (429, {}, 3.0), TooManyRequests, 3.0),
    Mapped("429 with details only", (429, {"details": {"retryAfterSeconds": 7}}, None), TooManyRequests, 7.0),
    Mapped("details of a strange shape", (500, {"details": "x"}, None), ServerError),
    Mapped("503 with the header", (503, {}, 1.0), ServerError, 1.0),
    Mapped("a code without a class of its own", (418, {}, None), ApiError),
]


@pytest.mark.parametrize("case", MAPPED, ids=lambda case: case.reason)
def test_answers_become_errors(case: Mapped) -> None:
    code, status, retry_after = case.given
    error = error_from_status(code, status, retry_after=retry_after)
    assert type(error) is case.want
    assert error.status == code
    assert error.retry_after == case.retry_after


def test_a_message_is_cut() -> None:
    error = error_from_status(422, {"reason": "Invalid", "message": "x" * 100_000}, request="hub: POST /x")
    assert len(error.message) == 1024
    assert str(error).startswith("hub: POST /x: 422 Invalid: xxx")


async def test_create_get_list(server: FaultyServer, hub: Space) -> None:
    made = await hub.create(JOBS, job(spec={"replicas": 1}))
    assert await hub.get(JOBS, "a", "ns") == made
    server.put(Place("/apis/batch/v1/jobs", "other", "b"), metadata={"labels": {"x": "y"}})
    names = [obj["metadata"]["name"] for obj in await hub.list(JOBS)]
    assert names == ["a", "b"]
    assert [obj["metadata"]["name"] for obj in await hub.list(JOBS, "ns")] == ["a"]
    labelled = await hub.list(JOBS, label_selector="x=y")
    assert [(obj["kind"], obj["apiVersion"], obj["metadata"]["name"]) for obj in labelled] == [
        ("Job", "batch/v1", "b")
    ]


async def test_cluster_scoped(server: FaultyServer, hub: Space) -> None:
    made = await hub.create(NODES, {"metadata": {"name": "n"}})
    assert await hub.get(NODES, "n") == made
    await hub.delete(NODES, "n", uid=made["metadata"]["uid"])
    assert server.history.objects == {}


async def test_create_is_strict(server: FaultyServer, hub: Space) -> None:
    with pytest.raises(BadRequest, match="unknown field"):
        await hub.create(JOBS, job(spec={"unknown": 1}))
    with pytest.raises(BadRequest, match="not declared in schema"):
        await hub.apply(JOBS, job(spec={"unknown": 1}), field_manager="me")
    assert server.history.objects == {}


async def test_dry_run_writes_nothing(server: FaultyServer, hub: Space) -> None:
    await hub.create(JOBS, job(), dry_run=True)
    with pytest.raises(NotFound):
        await hub.get(JOBS, "a", "ns")
    assert server.history.events == []


async def test_create_twice(hub: Space) -> None:
    await hub.create(JOBS, job())
    with pytest.raises(AlreadyExists) as caught:
        await hub.create(JOBS, job())
    assert str(caught.value).startswith("hub: POST /apis/batch/v1/namespaces/ns/jobs: 409 AlreadyExists: ")


async def test_invalid(hub: Space) -> None:
    with pytest.raises(Invalid, match=r"spec\.replicas"):
        await hub.create(JOBS, job(spec={"replicas": -1}))


async def test_update_replaces_what_was_read_and_nothing_newer(server: FaultyServer, hub: Space) -> None:
    made = await hub.create(JOBS, job(spec={"replicas": 1}))
    server.put(place(), spec={"replicas": 2})
    with pytest.raises(Conflict):
        await hub.update(JOBS, {**made, "spec": {"replicas": 3}})
    newest = await hub.get(JOBS, "a", "ns")
    written = await hub.update(JOBS, {**newest, "spec": {"replicas": 3}})
    assert server.history.objects[place()]["spec"] == written["spec"] == {"replicas": 3}


async def test_status_is_apart(server: FaultyServer, hub: Space) -> None:
    made = await hub.create(JOBS, job(spec={"replicas": 1}))
    changed = {**made, "spec": {"replicas": 9}, "status": {"active": 1}}
    await hub.update(JOBS, changed, subresource="status")
    stored = server.history.objects[place()]
    assert (stored["spec"], stored["status"]) == ({"replicas": 1}, {"active": 1})
    patch = {"metadata": {"uid": made["metadata"]["uid"]}, "status": {"active": None, "failed": 1}}
    await hub.patch(JOBS, patch, name="a", namespace="ns", subresource="status")
    assert server.history.objects[place()]["status"] == {"failed": 1}


async def test_patch_of_a_later_object(server: FaultyServer, hub: Space) -> None:
    first = await hub.create(JOBS, job())
    server.remove(place())
    server.put(place(), spec={"replicas": 1})
    patch = {"metadata": {"uid": first["metadata"]["uid"]}, "spec": {"replicas": 5}}
    with pytest.raises(Conflict):
        await hub.patch(JOBS, patch, name="a", namespace="ns")
    assert server.history.objects[place()]["spec"] == {"replicas": 1}


async def test_apply_creates_changes_and_conflicts(server: FaultyServer, hub: Space) -> None:
    made = await hub.apply(JOBS, job(spec={"replicas": 1}), field_manager="me")
    again = await hub.apply(JOBS, job(spec={"replicas": 1}), field_manager="me")
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert (made["apiVersion"], made["kind"]) == ("batch/v1", "Job")
    with pytest.raises(Conflict, match="me"):
        await hub.apply(JOBS, job(spec={"replicas": 2}), field_manager="other", force=False)
    await hub.apply(JOBS, job(spec={"replicas": 3}), field_manager="other")
    assert server.history.objects[place()]["spec"] == {"replicas": 3}
    with pytest.raises(Conflict):
        await hub.apply(JOBS, job(metadata={"uid": "another"}), field_manager="me")


async def test_delete_only_what_was_seen(server: FaultyServer, hub: Space) -> None:
    made = await hub.create(JOBS, job())
    uid, version = made["metadata"]["uid"], made["metadata"]["resourceVersion"]
    with pytest.raises(Conflict):
        await hub.delete(JOBS, "a", "ns", uid="another")
    server.put(place(), spec={"replicas": 2})
    with pytest.raises(Conflict):
        await hub.delete(JOBS, "a", "ns", uid=uid, resource_version=version)
    assert place() in server.history.objects
    await hub.delete(JOBS, "a", "ns", uid=uid)
    assert place() not in server.history.objects
    assert json.loads(server.requests[-1].body)["propagationPolicy"] == "Background"


async def test_delete_tells_what_outlives_it(server: FaultyServer, hub: Space) -> None:
    plain = await hub.create(JOBS, job("a"))
    assert await hub.delete(JOBS, "a", "ns", uid=plain["metadata"]["uid"]) is None
    kept = await hub.create(JOBS, job("b", metadata={"finalizers": ["example.org/x"]}))
    answer = await hub.delete(JOBS, "b", "ns", uid=kept["metadata"]["uid"])
    assert answer == server.history.objects[place("b")]
    assert answer["metadata"]["deletionTimestamp"]


class Mandatory(NamedTuple):
    reason: str
    call: Callable[[Space], Awaitable[object]]


MANDATORY = [
    Mandatory("update without resourceVersion", lambda s: s.update(JOBS, job())),
    Mandatory("patch without metadata", lambda s: s.patch(JOBS, {"spec": {}}, name="a", namespace="ns")),
    Mandatory("patch with other metadata", lambda s: s.patch(JOBS, {"metadata": {"labels": {}}}, name="a")),
    Mandatory("delete without uid", lambda s: s.delete(JOBS, "a", "ns", uid="")),
    Mandatory("delete without name would be a deletecollection", lambda s: s.delete(JOBS, "", "ns", uid="u")),
    Mandatory("get without name would be a list", lambda s: s.get(JOBS, "", "ns")),
    Mandatory("apply without name", lambda s: s.apply(JOBS, {"metadata": {}}, field_manager="me")),
]


@pytest.mark.parametrize("case", MANDATORY, ids=lambda case: case.reason)
async def test_preconditions_are_mandatory(case: Mandatory, server: FaultyServer, hub: Space) -> None:
    with pytest.raises(ValueError, match=r"without|empty"):
        await case.call(hub)
    assert server.requests == []


async def test_list_in_pages(server: FaultyServer, hub: Space) -> None:
    server.page = 2
    for name in "abcde":
        server.put(place(name))
    assert [obj["metadata"]["name"] for obj in await hub.list(JOBS)] == list("abcde")
    assert [seen.query.get("limit") for seen in server.requests] == ["500"] * 3


async def test_list_begins_anew_when_its_token_expired(server: FaultyServer, hub: Space) -> None:
    server.page = 2
    for name in "abc":
        server.put(place(name))
    pages = hub.pages(JOBS, None, {})
    await anext(pages)
    server.compact()
    with pytest.raises(Gone):
        await anext(pages)
    server.requests.clear()
    expired = Answer(410, json.dumps({"reason": "Expired"}))
    server.faults.answers.append(expired)
    assert len(await hub.list(JOBS)) == 3
    server.faults.always = expired
    server.requests.clear()
    with pytest.raises(Gone):
        await hub.list(JOBS)
    assert len(server.requests) == 3


async def test_a_list_that_is_none(server: FaultyServer, hub: Space) -> None:
    server.faults.answers.append(Answer(200, "{}"))
    with pytest.raises(Unreachable, match="no list"):
        await hub.list(JOBS)


async def test_retry_after_is_raised_not_slept_on(server: FaultyServer, hub: Space) -> None:
    server.faults.always = Answer(429, "slow down", {"Retry-After": "3600"})
    with pytest.raises(TooManyRequests, match="slow down") as caught:
        await hub.version()
    assert caught.value.retry_after == 3600.0
    assert len(server.requests) == 1


async def test_errors_of_proxies(server: FaultyServer, hub: Space) -> None:
    server.faults.always = Answer(
        502, "<html>Bad Gateway</html>", {"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"}
    )
    with pytest.raises(ServerError, match="Bad Gateway") as caught:
        await hub.version()
    assert caught.value.retry_after is None


@pytest.mark.parametrize("body", ["", "no json", "[1]", '{"kind":'])
async def test_an_answer_that_is_no_object(body: str, server: FaultyServer, hub: Space) -> None:
    server.faults.always = Answer(200, body)
    with pytest.raises(Unreachable, match="not"):
        await hub.version()


async def test_redirects_are_not_followed(server: FaultyServer, hub: Space) -> None:
    server.faults.answers.append(Answer(302, "", {"Location": "/version"}))
    with pytest.raises(ApiError) as caught:
        await hub.version()
    assert caught.value.status == 302
    assert len(server.requests) == 1


async def test_nobody_listens(server: FaultyServer, hub: Space) -> None:
    await server.stop()
    with pytest.raises(Unreachable, match=r"hub: GET http://127\.0\.0\.1:\d+/version: ClientConnectorError"):
        await hub.version()


async def test_no_answer_in_time(server: FaultyServer) -> None:
    server.faults.gate = asyncio.Event()
    async with space_at(server, timeout=0.05) as hub:
        with pytest.raises(Unreachable, match="no answer in time"):
            await hub.create(JOBS, job())
        server.faults.gate.set()


async def test_watches_do_not_use_up_the_connections(server: FaultyServer, hub: Space) -> None:
    watches = [hub.watch("/apis/batch/v1/jobs", {"resourceVersion": "100"}, idle=60) for _ in range(150)]
    pending = [asyncio.ensure_future(anext(watch)) for watch in watches]
    await until(lambda: server.watching == 150)
    assert await hub.version() == "v1.36.3"
    server.put(place())
    events = await asyncio.gather(*pending)
    assert {event["type"] for event in events} == {"ADDED"}
    for watch in watches:
        await watch.aclose()


class Broken(NamedTuple):
    reason: str
    line: str
    want: type[KubeError]


BROKEN = [
    Broken("no JSON", "{", Unreachable),
    Broken("no event", "{}", Unreachable),
    Broken(
        "unknown type", '{"type": "RENAMED", "object": {"metadata": {"resourceVersion": "1"}}}', Unreachable
    ),
    Broken("no version", '{"type": "BOOKMARK", "object": {"metadata": {}}}', Unreachable),
    Broken("no metadata", '{"type": "ADDED", "object": {"metadata": null}}', Unreachable),
    Broken("no name", '{"type": "ADDED", "object": {"metadata": {"resourceVersion": "1"}}}', Unreachable),
    Broken("an ERROR with 410", '{"type": "ERROR", "object": {"code": 410}}', Gone),
    Broken("an ERROR with 500", '{"type": "ERROR", "object": {"code": 500}}', ServerError),
    Broken("an ERROR of nothing", '{"type": "ERROR", "object": {}}', ServerError),
    Broken("an ERROR of no object", '{"type": "ERROR"}', Unreachable),
]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.reason)
async def test_broken_events(case: Broken, server: FaultyServer, hub: Space) -> None:
    watch = hub.watch("/apis/batch/v1/jobs", {"resourceVersion": "100"}, idle=60)
    pending = asyncio.ensure_future(anext(watch))
    await until(lambda: server.watching == 1)
    server.send_raw(case.line)
    with pytest.raises(case.want) as caught:
        await pending
    assert type(caught.value) is case.want


async def test_an_expired_token_is_renewed_once_for_all(server: FaultyServer) -> None:
    server.tokens = {"new"}
    renewals = 0

    async def renew() -> Configuration:
        nonlocal renewals
        renewals += 1
        fresh = Configuration(host=server.url)
        fresh.api_key["BearerToken"] = "Bearer new"
        return fresh

    async with space_at(server, token="old", renew=renew) as hub:
        answers = await asyncio.gather(*(hub.version() for _ in range(5)))
        assert answers == ["v1.36.3"] * 5
        assert renewals == 1
        server.tokens = set()
        server.requests.clear()
        with pytest.raises(Unauthorized):
            await hub.version()
        assert len(server.requests) == 2


async def test_credentials_that_cannot_be_renewed(server: FaultyServer) -> None:
    server.tokens = set()

    async def renew() -> Configuration:
        raise ConnectionFailed("the file is gone")

    async with space_at(server, token="old", renew=renew) as hub:
        with pytest.raises(Unauthorized) as caught:
            await hub.version()
    assert isinstance(caught.value.__cause__, ConnectionFailed)


async def test_secrets_are_never_shown(server: FaultyServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    async with space_at(server, token=SECRET) as hub:
        shown += [repr(hub), str(hub), hub.server]
        for answer in (
            Answer(401, f"your header was Bearer {SECRET}"),
            Answer(403, json.dumps({"message": f"token {SECRET} may not"})),
            Answer(200, f"no json {SECRET}"),
            Answer(500, f"{SECRET}"),
        ):
            server.faults.answers.append(answer)
            with pytest.raises(KubeError) as caught:
                await hub.version()
            shown += [str(caught.value), repr(caught.value), repr(vars(caught.value))]
        await server.stop()
        with pytest.raises(Unreachable) as lost:
            await hub.version()
        shown += [str(lost.value), repr(lost.value), repr(lost.value.__cause__)]
    assert server.requests[0].headers["Authorization"] == f"Bearer {SECRET}"
    assert not [text for text in [*shown, caplog.text] if SECRET in text]


async def test_a_password_in_the_url_is_not_shown() -> None:
    async with Space("hub", Configuration(host=f"https://user:{SECRET}@127.0.0.1:1/prefix/")) as hub:
        assert hub.server == "https://127.0.0.1:1/prefix"


async def test_token_bucket() -> None:
    now = 0.0
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(round(seconds, 6))
        now += seconds

    bucket = TokenBucket(10.0, 3, clock=lambda: now, sleep=sleep)
    for _ in range(5):
        await bucket.take()
    assert slept == [0.1, 0.1]  # a burst of 3, then one per 0.1 s
    now += 100.0
    for _ in range(4):
        await bucket.take()
    assert slept == [0.1, 0.1, 0.1]  # a long rest gives a burst of 3, not of 1000


async def test_qps_limits_requests(server: FaultyServer) -> None:
    async with space_at(server, qps=1000.0) as hub:
        assert await hub.version() == "v1.36.3"
