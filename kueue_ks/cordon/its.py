"""Reading and tainting one ManagedCluster in the ITS."""

import asyncio
import difflib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final

from kube_runtime.connections import ConnectionSettings, connect, connect_control_plane
from kube_runtime.errors import ApiError, Conflict, NotFound
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from kueue_ks.cordon.change import CordonReport, Saying, Verb, report_on, wanted_taints
from kueue_ks.errors import CommandError
from vocabulary.resources import MANAGED_CLUSTERS, MANIFEST_WORKS

REVIEWS: Final = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False
)
ATTEMPTS: Final = 5  # writes that OCM, which writes the same object, came before
LOOK_AGAIN: Final = 1.0  # seconds between two looks at a cluster that is being drained


@asynccontextmanager
async def connected(where: Mapping[str, ConnectionSettings]) -> AsyncIterator[Space]:
    """The ITS: as given, else found by KubeFlex on the hub, which is not asked otherwise."""
    if where["its"].named:
        async with await connect("its", where["its"]) as its:
            yield its
        return
    async with (
        await connect("hub", where["hub"]) as hub,
        await connect_control_plane(hub, "its", where["its"]) as its,
    ):
        yield its


async def read(its: Space, name: str, verb: Verb) -> CordonReport:
    """The cluster as it is, nothing written. Raises CommandError for an unknown one."""
    return report_on(await _cluster(its, name), verb, await _works(its, name), changed=False)


async def change(its: Space, name: str, verb: Verb, *, who: str = "", reason: str = "") -> CordonReport:
    """Write the taints if they are not so already. Raises CommandError, KubeError."""
    for attempt in range(1, ATTEMPTS + 1):
        cluster = await _cluster(its, name)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        taints = wanted_taints(cluster, verb, Saying(who, reason, now))
        changed = taints != ((cluster.get("spec") or {}).get("taints") or [])
        if changed:
            body = {**cluster, "spec": {**(cluster.get("spec") or {}), "taints": taints}}
            try:
                cluster = await its.update(MANAGED_CLUSTERS, body)
            except Conflict:
                if attempt == ATTEMPTS:
                    raise
                continue
        return report_on(cluster, verb, await _works(its, name), changed=changed)
    raise AssertionError


async def until_empty(
    its: Space, report: CordonReport, timeout: float, told: Callable[[CordonReport], None]
) -> CordonReport:
    """Wait until no job is there, at most so many seconds; ``told`` hears of each change."""
    deadline = asyncio.get_running_loop().time() + timeout
    while report.jobs and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(min(LOOK_AGAIN, timeout))
        works = await _works(its, report.cluster)
        newer = report_on(await _cluster(its, report.cluster), report.verb, works, changed=report.changed)
        if newer.jobs != report.jobs:
            told(newer)
        report = newer
    return report


async def who_am_i(its: Space) -> str:
    """The user that the ITS takes us for; "" where it cannot be asked (before Kubernetes 1.28)."""
    with suppress(ApiError):
        review = await its.create(REVIEWS, {"metadata": {}})
        return str(review["status"]["userInfo"].get("username", ""))
    return ""


async def _cluster(its: Space, name: str) -> Obj:
    try:
        return await its.get(MANAGED_CLUSTERS, name)
    except NotFound:
        names = sorted(each["metadata"]["name"] for each in await its.list(MANAGED_CLUSTERS))
        near = difflib.get_close_matches(name, names, n=3)
        why = f"registered are {', '.join(names)}" if names else "no cluster is registered"
        fix = f"did you mean {' or '.join(near)}?" if near else "name another one"
        what = f"no ManagedCluster {name!r} in {its.name} ({its.server})"
        raise CommandError(what, why=why, fix=fix) from None


async def _works(its: Space, cluster: str) -> list[Obj]:
    return await its.list(MANIFEST_WORKS, cluster)
