"""Collecting the objects that an explanation is made of, from hub, WDS and ITS. Reads only.

The hub must answer. WDS and ITS may be out of reach, or closed to the caller as they are to tenants: what
could not be read is named, and the rest is explained.
"""

import asyncio
import difflib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from kube_runtime.connections import ConnectionSettings, connect, connect_control_plane
from kube_runtime.errors import Forbidden, KubeError, NotFound
from kube_runtime.objects import Obj
from kube_runtime.space import Space
from kueue_ks.errors import CommandError
from kueue_ks.explain.facts import Found
from vocabulary import keys
from vocabulary.resources import (
    ADMISSION_CHECKS,
    BINDING_POLICIES,
    BINDINGS,
    JOBS,
    MANIFEST_WORKS,
    WORK_STATUSES,
    WORKLOADS,
)
from workload_controller import reading, waves

SPACE_TIMEOUT: Final = 5.0
"""Seconds for WDS and for ITS, connecting included: a dead one must not hide what the hub says."""

CARRIED_BY: Final = "transport.kubestellar.io/originOwnerReferenceBindingKey"
"""KubeStellar's label on ManifestWorks and, copied from there, on WorkStatuses: the name of the policy."""


@dataclass(frozen=True, slots=True)
class _Carried:
    """What the WDS has of one job."""

    copy: Obj | None = None
    policies: tuple[Obj, ...] = ()
    bound: bool = False

    @property
    def clusters(self) -> list[str]:
        """Where its ManifestWorks may be."""
        labels = [obj["metadata"]["labels"] for obj in (self.copy, *self.policies) if obj is not None]
        return sorted({each[keys.CLUSTER] for each in labels if keys.CLUSTER in each})

    @property
    def waves(self) -> list[str]:
        """Names of the policies that carry it."""
        waves = {policy["metadata"]["name"] for policy in self.policies}
        if self.copy is not None and keys.WAVE in self.copy["metadata"]["labels"]:
            waves.add(self.copy["metadata"]["labels"][keys.WAVE])
        return sorted(waves)


async def find(where: Mapping[str, ConnectionSettings], namespace: str, name: str) -> Found:
    """Everything about one job; ``where`` has "hub", "wds" and "its". Raises KubeError, CommandError."""
    async with await connect("hub", where["hub"]) as hub:
        job = await _job(hub, namespace, name)
        workload = await _workload(hub, job)
        unread: dict[str, str] = {}
        try:
            checks = await hub.list(ADMISSION_CHECKS)
        except Forbidden as refused:
            checks, unread["hub"] = [], str(refused)
        carried = _Carried()
        works: list[Obj] = []
        statuses: list[Obj] = []
        try:
            async with asyncio.timeout(SPACE_TIMEOUT), _space(hub, "wds", where["wds"]) as wds:
                carried = await _carried(wds, job, workload)
        except (KubeError, TimeoutError) as error:
            unread["wds"] = _why(error)
        try:
            async with asyncio.timeout(SPACE_TIMEOUT), _space(hub, "its", where["its"]) as its:
                works, statuses = await _delivered(its, job, workload, carried)
        except (KubeError, TimeoutError) as error:
            unread["its"] = _why(error)
    return Found(
        now=time.time(),
        job=job,
        workload=workload,
        checks=checks,
        copy=carried.copy,
        policies=carried.policies,
        bound=carried.bound,
        works=works,
        statuses=statuses,
        unread=unread,
    )


@asynccontextmanager
async def _space(hub: Space, name: str, settings: ConnectionSettings) -> AsyncIterator[Space]:
    async with await connect_control_plane(hub, name, settings) as space:
        yield space


async def _job(hub: Space, namespace: str, name: str) -> Obj:
    try:
        return await hub.get(JOBS, name, namespace)
    except NotFound:
        try:
            names = [job["metadata"]["name"] for job in await hub.list(JOBS, namespace)]
            why = f"{len(names)} jobs are there" if names else "no job is there"
        except Forbidden:
            names, why = [], "other jobs there may not be listed"
        near = difflib.get_close_matches(name, names, n=3)
        fix = f"did you mean {' or '.join(near)}?" if near else "name another one, or its namespace with -n"
        what = f"no job {name!r} in namespace {namespace!r}"
        raise CommandError(what, why=why, fix=fix) from None


async def _workload(hub: Space, job: Obj) -> Obj | None:
    """The Workload that Kueue made for exactly this job (label with its uid, kueue jobframework)."""
    selector = f"{keys.KUEUE_JOB_UID}={job['metadata']['uid']}"
    found = await hub.list(WORKLOADS, job["metadata"]["namespace"], label_selector=selector)
    return found[0] if found else None


async def _carried(wds: Space, job: Obj, workload: Obj | None) -> _Carried:
    metadata = job["metadata"]
    try:
        copy: Obj | None = await wds.get(JOBS, metadata["name"], metadata["namespace"])
    except NotFound:
        copy = None
    if copy is not None and _annotation(copy, keys.JOB_UID) != metadata["uid"]:
        copy = None  # somebody else's
    uid = workload["metadata"]["uid"] if workload else ""
    selector = f"{keys.MANAGED_BY_LABEL}={keys.MANAGED_BY},{keys.WORKLOAD_UID}={uid}"
    opened = await wds.list(BINDING_POLICIES, label_selector=selector) if uid else []
    wave = copy["metadata"]["labels"].get(keys.WAVE, "") if copy is not None else ""
    own = [p for p in opened if p["metadata"]["name"] == wave or not _annotation(p, keys.WAVE_SIZE)]
    if wave and wave not in {policy["metadata"]["name"] for policy in own}:
        with suppress(NotFound):
            own.append(await wds.get(BINDING_POLICIES, wave))  # another job's, which it has joined
    carried = _Carried(copy, tuple(own))
    bound = [name for name in carried.waves if await _bound(wds, name, copy)]
    return _Carried(copy, tuple(own), bound=bool(bound))


async def _bound(wds: Space, wave: str, copy: Obj | None) -> bool:
    try:
        binding = reading.read_binding(await wds.get(BINDINGS, wave))
    except NotFound:
        return False
    return copy is None or not waves.has_left(reading.read_copy(copy), binding)


async def _delivered(
    its: Space, job: Obj, workload: Obj | None, carried: _Carried
) -> tuple[list[Obj], list[Obj]]:
    uid = workload["metadata"]["uid"] if workload else ""
    works: list[Obj] = []
    statuses: list[Obj] = []
    for cluster in carried.clusters:
        for wave in carried.waves:
            selector = f"{CARRIED_BY}={wave}"
            found = await its.list(MANIFEST_WORKS, cluster, label_selector=selector)
            works += [work for work in found if not uid or reading.may_carry(work, uid)]
            statuses += await its.list(WORK_STATUSES, cluster, label_selector=selector)
    return works, [status for status in statuses if _reports(status, job)]


def _reports(status: Obj, job: Obj) -> bool:
    source = (status.get("spec") or {}).get("sourceRef") or {}
    metadata = job["metadata"]
    return (source.get("kind"), source.get("namespace"), source.get("name")) == (
        "Job",
        metadata["namespace"],
        metadata["name"],
    )


def _annotation(obj: Obj, key: str) -> str:
    value: str = (obj["metadata"].get("annotations") or {}).get(key, "")
    return value


def _why(error: KubeError | TimeoutError) -> str:
    return str(error) or f"no answer within {SPACE_TIMEOUT:.0f}s"
