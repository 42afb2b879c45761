"""Calls and what kube-apiserver 1.36.3 answers: one table, asked of the simulated server and of a real one.

A row is a small story on objects of its own name. It returns what was seen; refusals are the class's name.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from kube_runtime.errors import KubeError
from kube_runtime.objects import Obj
from kube_runtime.space import Space
from vocabulary.resources import CONFIG_MAPS, JOBS

NAMESPACE = "conformance"
FINALIZER, OTHER_FINALIZER = "example.com/ours", "example.com/theirs"
START, LATER, END = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"

Story = Callable[[Space, str], Awaitable[Any]]


class Row(NamedTuple):
    reason: str
    story: Story
    want: Any


async def refusal(call: Awaitable[Any]) -> str:
    """The class of the refusal, "" when there is none."""
    try:
        await call
    except KubeError as refused:
        return type(refused).__name__
    return ""


def job(name: str, **fields: Any) -> Obj:
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": "1"}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": NAMESPACE, "name": name, **fields.pop("metadata", {})},
        "spec": {
            "suspend": False,
            "managedBy": "example.com/nobody",
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
            **fields,
        },
    }


async def _twice(space: Space, name: str) -> Any:
    await space.create(JOBS, job(name))
    return await refusal(space.create(JOBS, job(name)))


async def _missing(space: Space, name: str) -> Any:
    ghost = job(name, metadata={"resourceVersion": "1", "uid": "x"})
    patch = {"metadata": {"uid": "x"}, "spec": {"suspend": True}}
    return [
        await refusal(space.get(JOBS, name, NAMESPACE)),
        await refusal(space.delete(JOBS, name, NAMESPACE, uid="x")),
        await refusal(space.patch(JOBS, patch, name=name, namespace=NAMESPACE)),
        await refusal(space.update(JOBS, ghost, subresource="status")),
        await refusal(space.apply(CONFIG_MAPS, _config(name, uid="x"), field_manager="a")),
    ]


async def _no_namespace(space: Space, name: str) -> Any:
    lost = job(name)
    lost["metadata"]["namespace"] = "not-there"
    return await refusal(space.create(JOBS, lost))


async def _stale(space: Space, name: str) -> Any:
    old = await space.create(JOBS, job(name))
    patch: Obj = {"metadata": {"uid": old["metadata"]["uid"], "labels": {"a": "b"}}}
    await space.patch(JOBS, patch, name=name, namespace=NAMESPACE)
    stale = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"], "labels": {"a": "c"}}}
    return [
        await refusal(space.update(JOBS, old)),
        await refusal(space.update(JOBS, old, subresource="status")),
        await refusal(space.patch(JOBS, stale, name=name, namespace=NAMESPACE)),
        await refusal(
            space.delete(
                JOBS,
                name,
                NAMESPACE,
                uid=old["metadata"]["uid"],
                resource_version=old["metadata"]["resourceVersion"],
            )
        ),
    ]


async def _wrong_uid(space: Space, name: str) -> Any:
    await space.create(CONFIG_MAPS, _config(name))
    patch = {"metadata": {"uid": "x"}, "data": {"a": "2"}}
    return [
        await refusal(space.patch(CONFIG_MAPS, patch, name=name, namespace=NAMESPACE)),
        await refusal(space.apply(CONFIG_MAPS, _config(name, uid="x"), field_manager="a")),
        await refusal(space.delete(CONFIG_MAPS, name, NAMESPACE, uid="x")),
    ]


async def _nothing_new(space: Space, name: str) -> Any:
    made = await space.apply(CONFIG_MAPS, _config(name), field_manager="a")
    again = await space.apply(CONFIG_MAPS, _config(name), field_manager="a")
    updated = await space.update(CONFIG_MAPS, again)
    return len({obj["metadata"]["resourceVersion"] for obj in (made, again, updated)})


async def _apply_drops(space: Space, name: str) -> Any:
    await space.apply(CONFIG_MAPS, _config(name, mine="1", both="1"), field_manager="a")
    await space.apply(CONFIG_MAPS, _config(name, both="1", theirs="1"), field_manager="b")
    after = await space.apply(CONFIG_MAPS, _config(name), field_manager="a")
    return after["data"]


async def _apply_finalizers(space: Space, name: str) -> Any:
    made = await space.create(CONFIG_MAPS, _config(name, finalizers=[OTHER_FINALIZER]))
    identity = {name: made["metadata"][name] for name in ("uid", "name", "namespace")}
    held = await space.apply(
        CONFIG_MAPS, {"metadata": {**identity, "finalizers": [FINALIZER]}}, field_manager="a"
    )
    freed = await space.apply(CONFIG_MAPS, {"metadata": {**identity, "finalizers": []}}, field_manager="a")
    seen = [sorted(obj["metadata"]["finalizers"]) for obj in (held, freed)]
    await space.patch(
        CONFIG_MAPS,
        {"metadata": {"uid": identity["uid"], "finalizers": None}},
        name=name,
        namespace=NAMESPACE,
    )
    return seen


async def _tombstone(space: Space, name: str) -> Any:
    made = await space.create(JOBS, job(name, metadata={"finalizers": [FINALIZER]}))
    uid = made["metadata"]["uid"]
    kept = await space.delete(JOBS, name, NAMESPACE, uid=uid)
    again = await space.delete(JOBS, name, NAMESPACE, uid=uid)
    assert kept is not None
    assert again is not None
    taken = await refusal(space.create(JOBS, job(name)))
    more = {"metadata": {"uid": uid, "finalizers": [FINALIZER, OTHER_FINALIZER]}}
    refused = await refusal(space.patch(JOBS, more, name=name, namespace=NAMESPACE))
    await space.patch(JOBS, {"metadata": {"uid": uid, "finalizers": None}}, name=name, namespace=NAMESPACE)
    return [
        "deletionTimestamp" in kept["metadata"],
        kept["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"],
        taken,
        refused,
        await refusal(space.get(JOBS, name, NAMESPACE)),
    ]


async def _subresource(space: Space, name: str) -> Any:
    made = await space.create(JOBS, {**job(name), "status": {"active": 1}})
    first = made.get("status") or {}
    body = {**made, "status": {"active": 2}, "spec": {**made["spec"], "suspend": True}}
    told = await space.update(JOBS, body, subresource="status")
    changed = await space.update(JOBS, {**body, "metadata": told["metadata"], "status": {"active": 3}})
    return [
        first.get("active"),
        told["status"]["active"],
        told["spec"]["suspend"],
        changed["status"]["active"],
        changed["spec"]["suspend"],
        [obj["metadata"]["generation"] for obj in (made, told, changed)],
    ]


def _condition(kind: str, status: str = "True") -> Obj:
    return {"type": kind, "status": status, "lastTransitionTime": END, "lastProbeTime": END}


RUNNING = {"active": 2, "ready": 1, "startTime": START}
COMPLETE = {
    "succeeded": 1,
    "startTime": START,
    "completionTime": END,
    "conditions": [_condition("SuccessCriteriaMet"), _condition("Complete")],
}
FAILED = {
    "failed": 1,
    "startTime": START,
    "conditions": [_condition("FailureTarget"), _condition("Failed")],
}


class Status(NamedTuple):
    reason: str
    before: Obj
    after: Obj
    want: str
    suspend: bool = False


STATUSES = [
    Status("a run", {}, RUNNING, ""),
    Status("its end", RUNNING, COMPLETE, ""),
    Status("its failure", RUNNING, FAILED, ""),
    Status("pods of a finished job", RUNNING, {**COMPLETE, "active": 1}, "Invalid"),
    Status("pods after the end", COMPLETE, {**COMPLETE, "active": 1}, "Invalid"),
    Status("terminating pods of a finished job", RUNNING, {**COMPLETE, "terminating": 1}, "Invalid"),
    Status("an end taken back", COMPLETE, RUNNING, "Invalid"),
    Status("a failure taken back", FAILED, RUNNING, "Invalid"),
    Status("a success that becomes a failure", COMPLETE, FAILED, "Invalid"),
    Status("fewer succeeded", {**RUNNING, "succeeded": 2}, {**RUNNING, "succeeded": 1}, "Invalid"),
    Status("fewer failed", {**RUNNING, "failed": 2}, RUNNING, "Invalid"),
    Status("another start", RUNNING, {**RUNNING, "startTime": LATER}, "Invalid"),
    Status("no start any more", RUNNING, {"active": 2}, "Invalid"),
    Status("another start while suspended", RUNNING, {**RUNNING, "startTime": LATER}, "", True),
    Status("no start any more, suspended", RUNNING, {"active": 2}, "", True),
    Status("more ready than active", RUNNING, {**RUNNING, "ready": 3}, "Invalid"),
    Status("negative", RUNNING, {**RUNNING, "active": -1}, "Invalid"),
    Status(
        "an end without time",
        RUNNING,
        {k: v for k, v in COMPLETE.items() if k != "completionTime"},
        "Invalid",
    ),
    Status("an end without start", {}, {k: v for k, v in COMPLETE.items() if k != "startTime"}, "Invalid"),
    Status("an end before its start", {}, {**COMPLETE, "startTime": END, "completionTime": START}, "Invalid"),
    Status(
        "an end that met no criteria",
        RUNNING,
        {**COMPLETE, "conditions": [_condition("Complete")]},
        "Invalid",
    ),
    Status("a failure without target", RUNNING, {**FAILED, "conditions": [_condition("Failed")]}, "Invalid"),
    Status(
        "a condition of our own", RUNNING, {**RUNNING, "conditions": [_condition("example.com/Ours")]}, ""
    ),
]


def _status_story(case: Status) -> Story:
    async def story(space: Space, name: str) -> Any:
        made = await space.create(JOBS, job(name, suspend=case.suspend))
        if case.before:
            made = await space.update(JOBS, {**made, "status": case.before}, subresource="status")
        return await refusal(space.update(JOBS, {**made, "status": case.after}, subresource="status"))

    return story


def _config(name: str, *, uid: str = "", finalizers: list[str] | None = None, **data: str) -> Obj:
    metadata: Obj = {"namespace": NAMESPACE, "name": name}
    metadata |= {"uid": uid} if uid else {}
    metadata |= {"finalizers": finalizers} if finalizers else {}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


ROWS = [
    Row("a name is taken", _twice, "AlreadyExists"),
    Row("what is not there", _missing, ["NotFound", "NotFound", "NotFound", "NotFound", "Conflict"]),
    Row("a namespace that is not there", _no_namespace, "NotFound"),
    Row("an old resourceVersion", _stale, ["Conflict"] * 4),
    Row("the uid of another object", _wrong_uid, ["Conflict"] * 3),
    Row("a write that changes nothing has no new version", _nothing_new, 1),
    Row(
        "an apply drops what it does not name any more and nobody else owns",
        _apply_drops,
        {"both": "1", "theirs": "1"},
    ),
    Row(
        "finalizers are a set: each manager has its own",
        _apply_finalizers,
        [[FINALIZER, OTHER_FINALIZER], [OTHER_FINALIZER]],
    ),
    Row(
        "a finalizer keeps a deleted object and its name",
        _tombstone,
        [True, True, "AlreadyExists", "Invalid", "NotFound"],
    ),
    Row("status is a subresource", _subresource, [None, 2, False, 2, True, [1, 1, 2]]),
    *(Row(f"job status: {case.reason}", _status_story(case), case.want) for case in STATUSES),
]
