"""Asking hub, WDS, ITS and workers at once, each with its own deadline. Writes nothing.

Access reviews are POSTs that store nothing. What does not answer in time, or refuses, is named.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from kube_runtime.connections import ConnectionSettings, connect, connect_control_plane
from kube_runtime.errors import KubeError, NotFound
from kube_runtime.objects import Obj
from kube_runtime.preflight import NAMESPACES
from kube_runtime.resources import LEASES, Resource
from kube_runtime.space import Space
from kueue_ks.doctor.facts import Facts, SpaceFacts
from kueue_ks.doctor.rights import CALLER, USER, Right, rights_by_program
from kueue_ks.install.checks import SERVED, Duty
from kueue_ks.install.installation import MANIFESTS
from kueue_ks.install.manifests import load
from vocabulary import keys
from vocabulary import resources as known
from workload_controller.published import LEASE, read_options

AT_ONCE: Final = 16  # requests to one API server: each needs a connection, and TLS costs more than the answer
ADMISSION: Final = "admissionregistration.k8s.io"
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
_OWN: Final = "selfsubjectaccessreviews", "SelfSubjectAccessReview"
_OTHERS: Final = "subjectaccessreviews", "SubjectAccessReview"


def admission(version: str, plural: str, kind: str) -> Resource:
    """Admission policies, and what binds them."""
    return Resource(ADMISSION, version, plural, kind, namespaced=False)


class Reading(NamedTuple):
    """One list; one that is not served is absent, and nobody is told."""

    resource: Resource
    label_selector: str = ""
    field_selector: str = ""
    namespace: str | None = None


_GUARDS: Final = {
    "guards": Reading(admission("v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy")),
    "guard_bindings": Reading(
        admission("v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding")
    ),
}
READINGS: Final[Mapping[Duty, Mapping[str, Reading]]] = {
    Duty.HUB: {
        "checks": Reading(known.ADMISSION_CHECKS),
        "cluster_queues": Reading(known.CLUSTER_QUEUES),
        "local_queues": Reading(known.LOCAL_QUEUES),
        "placement_policies": Reading(known.PLACEMENT_POLICIES),
        "jobs": Reading(known.JOBS, label_selector=keys.QUEUE_NAME),
        "namespaces": Reading(known.NAMESPACES),
        "leases": Reading(LEASES, namespace=keys.SYSTEM_NAMESPACE),
        "kueue": Reading(DEPLOYMENTS, label_selector="app.kubernetes.io/name=kueue"),
        "kueue_config": Reading(known.CONFIG_MAPS, field_selector="metadata.name=kueue-manager-config"),
        "kubestellar": Reading(DEPLOYMENTS, field_selector="metadata.name=kubestellar-controller-manager"),
        "transport": Reading(DEPLOYMENTS, field_selector="metadata.name=transport-controller"),
        **{
            f"{what}_{version}": Reading(admission(version, plural, kind))
            for version in ("v1", "v1beta1")
            for what, plural, kind in (
                ("policies", "mutatingadmissionpolicies", "MutatingAdmissionPolicy"),
                ("bindings", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding"),
            )
        },
    },
    Duty.WDS: {},
    Duty.ITS: {
        "clusters": Reading(known.MANAGED_CLUSTERS),
        "statuses": Reading(known.WORK_STATUSES),
        "decisions": Reading(known.PLACEMENT_DECISIONS),
        **_GUARDS,
    },
    Duty.WORKER: _GUARDS,
}
ALSO_SERVED: Final[Mapping[Duty, tuple[Resource, ...]]] = {
    Duty.HUB: (known.PLACEMENT_POLICIES,),
    Duty.WDS: (known.CLUSTER_METRICS,),
    Duty.ITS: (),
    Duty.WORKER: (known.CLUSTER_METRICS,),
}
"""What our installation brings, besides ``SERVED`` that it needs."""

Where = Sequence[tuple[str, Duty, ConnectionSettings]]


@dataclass
class _Answers:
    """What has come until now: kept when a deadline ends the rest."""

    fields: dict[str, Any] = field(default_factory=dict)
    served: dict[str, frozenset[str]] = field(default_factory=dict)
    lists: dict[str, list[Obj]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    denied: dict[str, tuple[str, ...]] = field(default_factory=dict)
    reviewed: dict[str, int] = field(default_factory=dict)


async def read(where: Where, *, deadline: float, clock: Callable[[], float] = time.time) -> Facts:
    """Everything that answers within ``deadline`` seconds. Never raises KubeError."""
    hub: asyncio.Future[Space] = asyncio.get_running_loop().create_future()
    opened: list[Space] = []
    try:
        spaces = await asyncio.gather(
            *(_space(name, duty, settings, hub, opened, deadline, clock) for name, duty, settings in where)
        )
    finally:
        if hub.done():
            hub.exception()  # asked for, since perhaps nobody else has
        await asyncio.gather(*(space.close() for space in opened))
    leases = {
        lease["metadata"]["name"]: lease
        for space in spaces
        if space.duty is Duty.HUB
        for lease in space.lists.get("leases", ())
    }
    annotations = leases.get(LEASE, {}).get("metadata", {}).get("annotations") or {}
    return Facts(now=clock(), spaces=tuple(spaces), stale_after=read_options(annotations).stale_after)


async def _space(
    name: str,
    duty: Duty,
    settings: ConnectionSettings,
    hub: "asyncio.Future[Space]",
    opened: list[Space],
    deadline: float,
    clock: Callable[[], float],
) -> SpaceFacts:
    answers, problem = _Answers(), ""
    try:
        async with asyncio.timeout(deadline):
            space = await _connect(name, duty, settings, hub)
            opened.append(space)
            if duty is Duty.HUB:
                hub.set_result(space)
            answers.fields["server"] = space.server
            await _ask(space, duty, answers, clock)
    except KubeError as failed:
        problem = str(failed).removeprefix(f"{name}: ")
    except TimeoutError:
        problem = f"no answer within {deadline:g}s"
    if duty is Duty.HUB and not hub.done():
        hub.set_exception(KubeError(problem))
    return SpaceFacts(
        name=name,
        duty=duty,
        problem=problem,
        served=answers.served,
        lists=answers.lists,
        unread=answers.unread,
        denied=answers.denied,
        reviewed=answers.reviewed,
        **answers.fields,
    )


async def _connect(
    name: str, duty: Duty, settings: ConnectionSettings, hub: "asyncio.Future[Space]"
) -> Space:
    if duty in {Duty.HUB, Duty.WORKER} or settings.named:
        return await connect(name, settings)
    try:
        described = await asyncio.shield(hub)
    except KubeError as failed:
        msg = f"it is described on the hub, and that cannot be read: {failed}"
        raise KubeError(msg) from failed
    return await connect_control_plane(described, name, settings)


async def _ask(space: Space, duty: Duty, answers: _Answers, clock: Callable[[], float]) -> None:
    """Everything at once, ``AT_ONCE`` requests at a time; one refusal does not end the others."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(what: str, question: Callable[[], Awaitable[None]]) -> None:
        async with gate:
            try:
                await question()
            except NotFound:
                pass
            except KubeError as refused:
                answers.unread[what] = str(refused).removeprefix(f"{space.name}: ")

    async with asyncio.TaskGroup() as group:
        group.create_task(ask("version", partial(_version, space, answers)))
        group.create_task(ask("clock", partial(_clock, space, answers, clock)))
        group.create_task(ask("identity", partial(_identity, space, answers)))
        for path in _paths(duty):
            group.create_task(ask(path, partial(_served, space, path, answers)))
        for name, reading in READINGS[duty].items():
            group.create_task(ask(name, partial(_list, space, name, reading, answers)))
        for who, user, rights in _reviews(duty):
            group.create_task(_review(space, who, user, rights, answers, gate))


async def _version(space: Space, answers: _Answers) -> None:
    info = await space.get_path("/version")
    answers.fields["version"] = str(info.get("gitVersion", ""))
    numbers = re.match(r"(\d+)\.(\d+)", f"{info.get('major')}.{info.get('minor')}")
    if numbers:
        answers.fields["minor"] = (int(numbers[1]), int(numbers[2]))


async def _clock(space: Space, answers: _Answers, clock: Callable[[], float]) -> None:
    """The header has whole seconds, so that on average half a second has passed since."""
    before = clock()
    said = await space.clock()
    if said is not None:
        answers.fields["ahead"] = said + 0.5 - (before + clock()) / 2


async def _identity(space: Space, answers: _Answers) -> None:
    answers.fields["identity"] = str((await space.get(NAMESPACES, "kube-system"))["metadata"]["uid"])


def _paths(duty: Duty) -> set[str]:
    return {group_path(resource) for resource in (*SERVED[duty][0], *ALSO_SERVED[duty])}


def group_path(resource: Resource) -> str:
    """Where an API server lists what it serves of this group and version."""
    return resource.path().rpartition("/")[0]


async def _served(space: Space, path: str, answers: _Answers) -> None:
    try:
        document = await space.get_path(path)
    except NotFound:
        document = {}
    answers.served[path] = frozenset(str(entry["name"]) for entry in document.get("resources", ()))


async def _list(space: Space, name: str, reading: Reading, answers: _Answers) -> None:
    answers.lists[name] = await space.list(
        reading.resource,
        reading.namespace,
        label_selector=reading.label_selector,
        field_selector=reading.field_selector,
    )


def _reviews(duty: Duty) -> list[tuple[str, str, tuple[Right, ...]]]:
    """Who is asked about; the caller about all of it, since ``kueue-ks run`` uses his credentials."""
    programs = rights_by_program(obj for name in MANIFESTS[duty] for obj in load(name))
    everything = tuple(sorted({right for rights in programs.values() for right in rights}))
    asked = [(program, USER + program, rights) for program, rights in programs.items()]
    return [(CALLER, "", everything), *asked] if duty is not Duty.WORKER else asked


async def _review(
    space: Space,
    who: str,
    user: str,
    rights: tuple[Right, ...],
    answers: _Answers,
    gate: asyncio.Semaphore,
) -> None:
    async def denied(right: Right) -> bool:
        async with gate:
            if await _allowed(space, right, user):
                return False
            account = f"system:serviceaccount:{keys.SYSTEM_NAMESPACE}:{who}"
            return not user or not await _allowed(space, right, account)

    verdicts = await asyncio.gather(*(denied(right) for right in rights), return_exceptions=True)
    failures = [verdict for verdict in verdicts if isinstance(verdict, BaseException)]
    if failures:
        answers.unread[f"rights of {who}"] = str(failures[0]).removeprefix(f"{space.name}: ")
        return
    missing = (right for right, no in zip(rights, verdicts, strict=True) if no)
    answers.denied[who] = tuple(str(right) for right in missing)
    answers.reviewed[who] = len(rights)


async def _allowed(space: Space, right: Right, user: str) -> bool:
    plural, kind = _OTHERS if user else _OWN
    resource = Resource("authorization.k8s.io", "v1", plural, kind, namespaced=False)
    spec = {"resourceAttributes": right.attributes, **({"user": user} if user else {})}
    body = {"apiVersion": resource.api_version, "kind": kind, "metadata": {}, "spec": spec}
    return bool((await space.create(resource, body))["status"]["allowed"])
