"""What the status add-on reads and what it writes: facts, names and bodies. No I/O.

The shapes are those of ocm-status-addon (api/v1alpha1/workstatus_types.go, pkg/agent/reconcilers.go): one
WorkStatus per object and AppliedManifestWork, in the ITS namespace of the cluster, with the labels of the
ManifestWork, which controls it. ``status`` is a subresource there, so that a new WorkStatus is seen
without status for a moment; readers must bear that, and so it is kept.

Different from the original: ``statusDetails.lastGeneration`` is the generation on the worker. The original
learns the WDS' own, which for objects that are created once and never updated is the same number.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from kube_runtime.objects import Obj
from vocabulary.resources import MANIFEST_WORKS, WORK_STATUSES

NAME_LIMIT: Final = 253  # characters of an object's name (RFC 1123 subdomain)
_HASH_LENGTH: Final = 10

_RBAC: Final = "rbac.authorization.k8s.io"
SILENT: Final = frozenset(
    {("", "secrets"), ("", "configmaps"), ("", "serviceaccounts")}
    | {(_RBAC, kind) for kind in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")}
)
"""Group and plural of what has no status to report; Secrets must not even be read."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object on the worker as an AppliedManifestWork names it; ``namespace`` is "" for cluster scope."""

    group: str
    version: str
    plural: str
    namespace: str
    name: str

    @property
    def type(self) -> tuple[str, str, str]:
        """Group, version and plural."""
        return (self.group, self.version, self.plural)

    def __str__(self) -> str:
        return f"{self.group}/{self.version}/{self.plural}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class AppliedWork:
    """An AppliedManifestWork. ``objects`` maps what it applied to the uid it got, "" while not known."""

    name: str
    uid: str
    manifest_work: str
    objects: dict[ObjectRef, str]

    def lists(self, ref: ObjectRef, uid: str) -> bool:
        """Whether this work applied exactly this object."""
        return self.objects.get(ref) in {"", uid}


@dataclass(frozen=True, slots=True)
class WorkerObject:
    """What is returned of an object; ``status`` is None when it has none yet."""

    uid: str
    generation: int
    status: Obj | None


@dataclass(frozen=True, slots=True)
class Report:
    """A WorkStatus as it is in the ITS. ``generation`` is None without statusDetails."""

    name: str
    uid: str
    version: str
    ref: ObjectRef
    generation: int | None
    status: Obj | None


def read_applied_work(obj: Obj) -> AppliedWork:
    """Read an AppliedManifestWork, without the resources that have nothing to report."""
    objects: dict[ObjectRef, str] = {}
    for applied in (obj.get("status") or {}).get("appliedResources") or ():
        group, plural = applied.get("group", ""), applied["resource"]
        if (group, plural) not in SILENT:
            ref = ObjectRef(group, applied["version"], plural, applied.get("namespace", ""), applied["name"])
            objects[ref] = applied.get("uid", "")
    metadata = obj["metadata"]
    return AppliedWork(metadata["name"], metadata["uid"], obj["spec"]["manifestWorkName"], objects)


def read_worker_object(obj: Obj) -> WorkerObject:
    """Read an object of any kind."""
    metadata = obj["metadata"]
    return WorkerObject(metadata["uid"], metadata.get("generation", 0), obj.get("status"))


def read_report(obj: Obj) -> Report:
    """Read a WorkStatus."""
    metadata, source = obj["metadata"], obj["spec"]["sourceRef"]
    return Report(
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        ref=ObjectRef(
            source.get("group", ""),
            source["version"],
            source["resource"],
            source.get("namespace", ""),
            source["name"],
        ),
        generation=(obj.get("statusDetails") or {}).get("lastGeneration"),
        status=obj.get("status"),
    )


def references(work: AppliedWork) -> Iterator[str]:
    """Index values of a work: each object that it applied."""
    return map(str, work.objects)


def source(report: Report) -> Iterator[str]:
    """Index value of a report: the object that it speaks of."""
    yield str(report.ref)


def report_name(work_uid: str, ref: ObjectRef, kind: str) -> str:
    """``<AMW uid>-<groupversion>-<kind>-<namespace>-<name>`` as a valid object name.

    A name that is too long, or holds what is not allowed in an object's name (RBAC-like names with
    colons), is cut and ends with a hash of the whole, so that no two objects share one.
    """
    whole = "-".join((work_uid, f"{ref.group}{ref.version}", kind, ref.namespace, ref.name)).lower()
    safe = re.sub(r"[^a-z0-9.-]", "-", whole)
    if safe == whole and len(whole) <= NAME_LIMIT:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{safe[: NAME_LIMIT - _HASH_LENGTH - 1].rstrip('.-')}-{digest}"


def new_report(name: str, ref: ObjectRef, kind: str, manifest_work: Obj, details: Obj) -> Obj:
    """The WorkStatus to create; its status can only follow."""
    metadata = manifest_work["metadata"]
    owner = {
        "apiVersion": MANIFEST_WORKS.api_version,
        "kind": MANIFEST_WORKS.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": WORK_STATUSES.api_version,
        "kind": WORK_STATUSES.kind,
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": metadata.get("labels") or {},
            "ownerReferences": [owner],
        },
        "spec": {
            "sourceRef": {
                "group": ref.group,
                "version": ref.version,
                "resource": ref.plural,
                "kind": kind,
                "name": ref.name,
                "namespace": ref.namespace,
            }
        },
        "statusDetails": details,
    }


def status_details(generation: int, now: float) -> Obj:
    """``statusDetails``; ``now`` is unix seconds."""
    at = datetime.fromtimestamp(int(now), UTC).isoformat().replace("+00:00", "Z")
    return {"lastGeneration": generation, "lastGenerationIsApplied": True, "lastCurrencyUpdateTime": at}
