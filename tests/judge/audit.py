"""Audit logs to a history: one file per API server, JSON lines of audit.k8s.io/v1 Event.

The log of the server ``w1`` is ``w1.log``; kube-apiserver renames a full one to
``w1-2026-11-22T10-00-00.000.log`` (lumberjack), and may compress it.
"""

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.judge.facts import (
    Json,
    State,
    Window,
    Write,
    gone,
    gone_with_collection,
    microseconds,
    state_of,
)
from tests.judge.history import History

_ROTATED = re.compile(r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}$")
_EVENT_START = '{"kind":"Event","apiVersion":"audit.k8s.io/'
_TIMEOUT = 504
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_IDENTITY = frozenset(
    {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"}
)


class NoAuditLogs(Exception):
    """There is nothing to judge; a verdict of "clean" would be a lie."""


def read(audit_dir: Path) -> History:
    """The history in ``audit_dir`` or its folder ``audit``; raises NoAuditLogs when there is none."""
    folder = audit_dir / "audit" if (audit_dir / "audit").is_dir() else audit_dir
    files = sorted(path for path in folder.glob("*.log*") if path.name.endswith((".log", ".log.gz")))
    writes: list[Write] = []
    unreadable: list[str] = []
    for path in files:
        space = _ROTATED.sub("", path.name.removesuffix(".gz").removesuffix(".log"))
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            writes += _writes(space, lines, path.name, unreadable)
    if not writes:
        msg = f"no write of any API server in {len(files)} audit logs"
        raise NoAuditLogs(msg)
    return History.of(writes, unreadable)


def _writes(space: str, lines: Iterable[str], file: str, unreadable: list[str]) -> Iterator[Write]:
    for number, line in enumerate(lines, start=1):
        if '"ResponseComplete"' not in line:
            if not line.endswith("}\n"):
                unreadable.append(f"{file}:{number}")
            continue
        event = _event(line)
        if event is None:
            unreadable.append(f"{file}:{number}")
        else:
            yield from parse(space, event)


def _event(line: str) -> Json | None:
    """One event; a server that was killed leaves half a line, which the next one's first event follows."""
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        start = line.rfind(_EVENT_START)
        return _event(line[start:]) if start > 0 else None
    return found


def parse(space: str, event: Json) -> Iterator[Write]:
    """The writes that an event reports: none for a read or a refusal, one for each item of a collection."""
    ref = event.get("objectRef")
    code = (event.get("responseStatus") or {}).get("code", 0)
    if (
        event["stage"] != "ResponseComplete"
        or event["verb"] not in _WRITES
        or not ref
        or not (200 <= code < 300 or _perhaps_created(event))
    ):
        return
    request = event.get("requestObject")  # a list for a JSON patch
    if "dryRun=" in event.get("requestURI", "") or (isinstance(request, dict) and request.get("dryRun")):
        return
    answer = event.get("responseObject") or {}
    resource = f"{ref['resource']}.{ref['apiGroup']}" if ref.get("apiGroup") else ref["resource"]
    if event["verb"] == "deletecollection" and "items" in answer:
        for item in answer["items"]:
            removed = gone_with_collection(resource, item)
            yield _write(space, event, resource, item, verb="delete", removed=removed)
    else:
        yield _write(space, event, resource, answer, verb=event["verb"], removed=_removed(event, ref, answer))


def _perhaps_created(event: Json) -> bool:
    """A create whose client went, or whose time was up: it may be committed all the same (seen)."""
    return event["verb"] == "create" and (event.get("responseStatus") or {}).get("code") == _TIMEOUT


def _removed(event: Json, ref: Json, answer: Json) -> bool:
    """Whether this write took the object away. Without an answer in the log, a DELETE is believed."""
    verb = event["verb"]
    if ref.get("subresource") not in {None, "", "status", "finalize"}:
        return False
    if "metadata" in answer and answer.get("kind") != "Status":
        return gone(answer["metadata"], verb)
    return verb == "delete" or (verb == "deletecollection" and "Selector=" not in event.get("requestURI", ""))


def _write(space: str, event: Json, resource: str, answer: Json, *, verb: str, removed: bool) -> Write:
    ref = event["objectRef"]
    subresource = ref.get("subresource", "")
    # The answer to pods/binding or pods/eviction is a Status, whose metadata is not the object's.
    has_object = answer.get("kind") != "Status" and "name" in answer.get("metadata", {})
    metadata = answer["metadata"] if has_object else {}
    # The garbage collector asks for metadata only: what is not in such an answer is not false.
    whole = has_object and answer.get("kind") != "PartialObjectMetadata"
    state: State | None = state_of(resource, answer) if whole else None
    version = str(metadata.get("resourceVersion", ""))
    # The reference of a Namespace names it as its own namespace, its create does not.
    namespace = "" if has_object or resource == "namespaces" else ref.get("namespace", "")
    return Write(
        space=space,
        when=Window(microseconds(event["requestReceivedTimestamp"]), microseconds(event["stageTimestamp"])),
        user=(event.get("user") or {}).get("username", ""),
        verb=verb,
        resource=resource,
        subresource=subresource,
        namespace=metadata.get("namespace", namespace),
        name=metadata.get("name", ref.get("name", "")),
        uid=metadata.get("uid", ref.get("uid", "")),
        version=int(version) if version.isdecimal() else 0,
        created=event["responseStatus"]["code"] in (201, _TIMEOUT) and not subresource,
        removed=removed,
        labels=metadata.get("labels") or {},
        fields=_fields(event["requestObject"]) if isinstance(event.get("requestObject"), dict) else None,
        state=state,
    )


def _fields(request: Json) -> frozenset[str]:
    paths = set()
    for top, value in request.items():
        if top in {"apiVersion", "kind"}:
            continue
        if isinstance(value, dict):
            paths |= {f"{top}.{key}" for key in value if top != "metadata" or key not in _IDENTITY}
        else:
            paths.add(top)
    return frozenset(paths)
