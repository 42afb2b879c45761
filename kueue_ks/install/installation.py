"""Putting our manifests on the hub, WDS, ITS and workers, and taking them away again.

Nothing is written before everything was checked, the last check being a dry run of each write by the
server itself. What others made is never changed or deleted (I6): an object of one of
our names that lacks our label ends the installation.

Samples are different from the rest: they are only ever created, because people and QuotaManager change them.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kube_runtime.errors import AlreadyExists, ApiError, Conflict, KubeError, NotFound
from kube_runtime.objects import Obj, uid_of
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from kueue_ks.install.admission_probe import until_effective
from kueue_ks.install.checks import Duty, require_ready, require_rights
from kueue_ks.install.manifests import Kinds, NotServedError, load
from vocabulary.keys import MANAGED_BY, MANAGED_BY_LABEL

FIELD_MANAGER: Final = "kueue-ks-install"

ADMISSION: Final = "config/admission/managed-by.yaml"
SAMPLES: Final = "config/samples/queues.yaml"
MANIFESTS: Final[Mapping[Duty, tuple[str, ...]]] = {
    Duty.HUB: ("config/rbac/hub.yaml", "config/crd/placementpolicy.yaml", ADMISSION),
    Duty.WDS: ("config/crd/clustermetrics.yaml", "config/rbac/wds.yaml"),
    Duty.ITS: ("config/rbac/its.yaml",),
    Duty.WORKER: ("config/crd/clustermetrics.yaml", "config/rbac/worker.yaml"),
}
# ValidatingAdmissionPolicies (v1: Kubernetes 1.30). Left out, and said so, where the API server is older:
# KubeFlex's own ITS is 1.27 or 1.29, and everything but this protection works there.
GUARDS: Final[Mapping[Duty, str]] = {
    Duty.ITS: "config/admission/its-guard.yaml",
    Duty.WORKER: "config/admission/worker-guard.yaml",
}
GUARD_KIND: Final = "ValidatingAdmissionPolicy"
_LEFT_OUT: Final = "left out: it needs Kubernetes 1.30, and what it prevents is not prevented here"


class InstallError(KubeError):
    """Nothing was written; the text says why and what to do."""


class Deed(StrEnum):
    """What is to be done with one object."""

    APPLY = "apply"
    CREATE = "create"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Step:
    """One object of a manifest, what the server has of it (None: nothing), and what follows."""

    resource: Resource
    wanted: Obj
    found: Obj | None
    deed: Deed

    @property
    def name(self) -> str:
        """Nearly as kubectl prints it: "role.rbac.authorization.k8s.io/x in y"."""
        kind = ".".join(part for part in (self.resource.kind.lower(), self.resource.group) if part)
        namespace = self.wanted["metadata"].get("namespace")
        return f"{kind}/{self.wanted['metadata']['name']}" + (f" in {namespace}" if namespace else "")


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one object; ``outcome`` is kubectl's word: created, configured, unchanged, deleted."""

    space: str
    object: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.object} {self.outcome}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The checked steps for one space, in the order in which they can be taken."""

    space: Space
    steps: tuple[Step, ...]
    left_out: tuple[Change, ...] = ()


async def install(space: Space, *, what: Duty, samples: bool = False, admission: bool = True) -> list[Change]:
    """Install what ``space`` needs as ``what``.

    Raises KubeError with one sentence before anything is written. A second call changes nothing.
    ``samples`` are for the hub only.
    """
    return await carry_out(await prepare(space, what=what, samples=samples, admission=admission))


async def prepare(space: Space, *, what: Duty, samples: bool = False, admission: bool = True) -> Plan:
    """Check everything, write nothing.

    PreflightFailed, NotServedError and InstallError say what is in the way.
    """
    await require_ready(space, what, admission=admission)
    kinds = Kinds(space)
    lasting = [
        (await kinds.resource_of(obj), obj)
        for name in MANIFESTS[what]
        if admission or name != ADMISSION
        for obj in load(name)
    ]
    guards, left_out = await _guards(space, what, kinds)
    lasting += guards
    sampled = [(await kinds.resource_of(obj), obj) for obj in load(SAMPLES)] if samples else []
    await require_rights(space, [*lasting, *sampled], ("get", "create", "patch"))
    steps = [await _step(space, resource, obj, only_create=False) for resource, obj in lasting]
    steps += [await _step(space, resource, obj, only_create=True) for resource, obj in sampled]
    for step in steps:
        await _rehearse(space, step, steps)
    return Plan(space, tuple(steps), left_out)


async def carry_out(plan: Plan) -> list[Change]:
    """Take the steps; stopped in between, the next installation completes it.

    Returns when the admission policies among them have taken effect; NotEffectiveError.
    """
    changes = [Change(plan.space.name, step.name, await _take(plan.space, step)) for step in plan.steps]
    policies = [step for step in plan.steps if step.resource.kind.endswith("AdmissionPolicy")]
    await until_effective(plan.space, [step.wanted["metadata"]["name"] for step in policies])
    return [*changes, *plan.left_out]


def manifests(what: Duty) -> tuple[str, ...]:
    """All manifests for one duty, without samples."""
    return (*MANIFESTS[what], *((GUARDS[what],) if what in GUARDS else ()))


def decide(wanted: Obj, found: Obj | None, *, only_create: bool) -> Deed:
    """What to do with one object; raises InstallError when that would touch what is not ours.

    A namespace that somebody made before us is used and left as it is, so that uninstall leaves it, too.
    """
    if found is None:
        return Deed.CREATE if only_create else Deed.APPLY
    kind, name = wanted["kind"], wanted["metadata"]["name"]
    if found["metadata"].get("deletionTimestamp"):
        msg = f"{kind} {name} is just being deleted; wait until it is gone and install again"
        raise InstallError(msg)
    if only_create or (kind == "Namespace" and not is_ours(found)):
        return Deed.KEEP
    if not is_ours(found):
        msg = (
            f"{kind} {name} exists and was not made by us; delete it, or hand it over with: "
            f"kubectl label {kind.lower()} {name} {MANAGED_BY_LABEL}={MANAGED_BY}"
        )
        raise InstallError(msg)
    return Deed.APPLY


def is_ours(obj: Obj) -> bool:
    """Whether the object carries our label."""
    return (obj["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGED_BY


async def installed(space: Space, *, what: Duty, samples: bool = False) -> Plan:
    """What ``uninstall`` would delete, in that order; objects without our label are left out."""
    kinds = Kinds(space)
    found: list[Step] = []
    for name in (*manifests(what), *((SAMPLES,) if samples else ())):
        for obj in load(name):
            with suppress(NotServedError):  # a kind that is not served has no objects
                resource = await kinds.resource_of(obj)
                existing = await _read(space, resource, obj)
                if existing is not None and is_ours(existing):
                    found.append(Step(resource, obj, existing, Deed.KEEP))
    return Plan(space, tuple(reversed(found)))


async def uninstall(space: Space, *, what: Duty, samples: bool = False) -> list[Change]:
    """Delete our objects of ``what`` from ``space``; what they contain goes with them (namespaces, CRD)."""
    return await delete(await installed(space, what=what, samples=samples))


async def delete(plan: Plan) -> list[Change]:
    """Delete exactly the objects that were found; some stay until their finalizers are done.

    404: gone since. 409: the name belongs to another object by now, which we have not looked at.
    """
    changes: list[Change] = []
    for step in plan.steps:
        if step.found is not None:
            metadata = step.found["metadata"]
            with suppress(NotFound, Conflict):
                await plan.space.delete(
                    step.resource, metadata["name"], metadata.get("namespace"), uid=uid_of(step.found)
                )
                changes.append(Change(plan.space.name, step.name, "deleted"))
    return changes


async def _guards(
    space: Space, what: Duty, kinds: Kinds
) -> tuple[list[tuple[Resource, Obj]], tuple[Change, ...]]:
    """The guard of this duty, or that it is left out."""
    objects = load(GUARDS[what]) if what in GUARDS else []
    try:
        return [(await kinds.resource_of(obj), obj) for obj in objects], ()
    except NotServedError:
        policies = [obj["metadata"]["name"] for obj in objects if obj["kind"] == GUARD_KIND]
        return [], tuple(Change(space.name, f"{GUARD_KIND.lower()}/{name}", _LEFT_OUT) for name in policies)


async def _step(space: Space, resource: Resource, obj: Obj, *, only_create: bool) -> Step:
    found = await _read(space, resource, obj)
    try:
        return Step(resource, obj, found, decide(obj, found, only_create=only_create))
    except InstallError as refused:
        msg = f"{space.name} ({space.server}): {refused}"
        raise InstallError(msg) from None


async def _read(space: Space, resource: Resource, obj: Obj) -> Obj | None:
    try:
        return await space.get(resource, obj["metadata"]["name"], obj["metadata"].get("namespace"))
    except NotFound:
        return None


async def _rehearse(space: Space, step: Step, steps: Iterable[Step]) -> None:
    """Have the server check a write without storing it; raises InstallError with the server's words."""
    try:
        await _write(space, step, dry_run=True)
    except NotFound as missing:
        if not _waits_for(step, steps):
            raise _refused(space, step, missing) from missing
    except ApiError as refused:
        raise _refused(space, step, refused) from refused


def _waits_for(step: Step, steps: Iterable[Step]) -> bool:
    """Whether the object needs another one of this installation that does not exist yet."""
    new = {(s.wanted["kind"], s.wanted["metadata"]["name"]) for s in steps if s.found is None}
    role = step.wanted.get("roleRef") or {}
    needed = {("Namespace", step.wanted["metadata"].get("namespace")), (role.get("kind"), role.get("name"))}
    return bool(new & needed)


def _refused(space: Space, step: Step, error: ApiError) -> InstallError:
    name = step.name
    return InstallError(
        f"{space.name} ({space.server}) refuses {name}, so nothing was written: {error.message}"
    )


async def _take(space: Space, step: Step) -> str:
    try:
        written = await _write(space, step, dry_run=False)
    except AlreadyExists:
        return "unchanged"  # a sample that somebody else created in the meantime
    if step.found is None:
        return "created"
    return "unchanged" if _said(written) == _said(step.found) else "configured"


def _said(obj: Obj) -> Obj:
    """What an object says apart from its status, which controllers write while we look."""
    metadata = {k: v for k, v in obj["metadata"].items() if k not in {"resourceVersion", "managedFields"}}
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": metadata}


async def _write(space: Space, step: Step, *, dry_run: bool) -> Obj:
    match step.deed:
        case Deed.KEEP:
            return step.found or step.wanted
        case Deed.CREATE:
            return await space.create(step.resource, step.wanted, dry_run=dry_run)
        case Deed.APPLY:
            return await space.apply(step.resource, step.wanted, field_manager=FIELD_MANAGER, dry_run=dry_run)
