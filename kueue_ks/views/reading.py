"""Reading hub, WDS and ITS at once, each with its own deadline. Reads only.

What does not answer in time, or refuses, is named and left out; the rest is shown. Connections stay open
between two looks, and one that failed is made anew at the next.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from kube_runtime.connections import ConnectionSettings, connect, connect_control_plane
from kube_runtime.errors import ApiError, Forbidden, KubeError, NotFound
from kube_runtime.objects import Obj
from kube_runtime.resources import LEASES, Resource
from kube_runtime.space import Space
from kueue_ks.views.seen import Seen
from vocabulary import keys
from vocabulary.resources import (
    ADMISSION_CHECKS,
    BINDING_POLICIES,
    BINDINGS,
    CLUSTER_QUEUES,
    COHORTS,
    CONFIG_MAPS,
    JOBS,
    LOCAL_QUEUES,
    MANAGED_CLUSTERS,
    MANIFEST_WORKS,
    NAMESPACES,
    PLACEMENT_DECISIONS,
    PLACEMENT_POLICIES,
    RESOURCE_FLAVORS,
    WORK_STATUSES,
    WORKLOADS,
)


class Reading(NamedTuple):
    """One list."""

    space: str
    resource: Resource
    selector: str = ""
    of_tenants: bool = False
    """Whether a caller without rights in all namespaces may still read it in one."""
    namespace: str | None = None
    optional: bool = False
    """Whether it need not be served; then it is None, and nobody is told."""
    for_operators: bool = False
    """Whether users mostly have no right to it: refused, it is None, nobody is told, and defaults count."""


OURS: Final = f"{keys.MANAGED_BY_LABEL}={keys.MANAGED_BY}"
READINGS: Final = {
    "workloads": Reading("hub", WORKLOADS, of_tenants=True),
    "jobs": Reading("hub", JOBS, keys.QUEUE_NAME, of_tenants=True),
    "checks": Reading("hub", ADMISSION_CHECKS),
    "flavors": Reading("hub", RESOURCE_FLAVORS),
    "cluster_queues": Reading("hub", CLUSTER_QUEUES),
    "cohorts": Reading("hub", COHORTS, optional=True),
    "local_queues": Reading("hub", LOCAL_QUEUES, of_tenants=True),
    "hub_namespaces": Reading("hub", NAMESPACES),
    "placement_policies": Reading("hub", PLACEMENT_POLICIES, optional=True),
    "leases": Reading("hub", LEASES, namespace=keys.SYSTEM_NAMESPACE, for_operators=True),
    "copies": Reading("wds", JOBS, OURS),
    "policies": Reading("wds", BINDING_POLICIES, f"{OURS},{keys.WORKLOAD_UID}"),
    "bindings": Reading("wds", BINDINGS),
    "beats": Reading("wds", CONFIG_MAPS, f"{OURS},{keys.CLUSTER}", namespace=keys.SYSTEM_NAMESPACE),
    "twins": Reading("wds", NAMESPACES),
    "clusters": Reading("its", MANAGED_CLUSTERS),
    "statuses": Reading("its", WORK_STATUSES),
    "works": Reading("its", MANIFEST_WORKS),
    "decisions": Reading("its", PLACEMENT_DECISIONS, optional=True),
}

FOR_CLUSTERS: Final = frozenset({"workloads", "flavors", "leases", "copies", "clusters", "statuses"})
FOR_QUEUE: Final = frozenset(
    {"workloads", "jobs", "checks", "cluster_queues", "local_queues", "leases", "copies"}
)
FOR_TOP: Final = FOR_CLUSTERS | FOR_QUEUE
FOR_QUOTA: Final = frozenset({"cluster_queues", "cohorts", "flavors", "clusters", "statuses"})
FOR_QUOTA_PLAN: Final = FOR_QUOTA | {"workloads"}
FOR_VERDICTS: Final = frozenset(READINGS) - {"cohorts"}
"""All that the controller decides from."""


@dataclass
class _Answers:
    """What has come until now: kept when a deadline ends the rest."""

    lists: dict[str, list[Obj]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    narrowed: bool = False  # only the namespace could be read


class Eyes:
    """``look`` reads what one view needs; ``close`` ends the connections."""

    def __init__(
        self,
        where: Mapping[str, ConnectionSettings],
        *,
        deadline: float,
        namespace: str = "",
    ) -> None:
        """``deadline`` is for one space in seconds; ``namespace`` is what a tenant may read at least."""
        self._where = where
        self._deadline = deadline
        self._namespace = namespace
        self._open: dict[str, Space] = {}

    async def __aenter__(self) -> "Eyes":
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in list(self._open):
            await self._forget(name)

    async def look(self, wanted: frozenset[str]) -> Seen:
        """Read these lists now. Raises KubeError when no space at all has answered."""
        answers = _Answers()
        connected: asyncio.Future[Space] = asyncio.get_running_loop().create_future()
        spaces = sorted({READINGS[name].space for name in wanted} | {"hub"})
        failures = await asyncio.gather(*(self._space(s, wanted, answers, connected) for s in spaces))
        if connected.done():
            connected.exception()  # asked for, since perhaps nobody else has
        if not answers.lists:
            raise next(filter(None, failures), KubeError("; ".join(answers.unread.values())))
        return Seen(
            now=time.time(),
            namespace=self._namespace if answers.narrowed else "",
            unread=dict(sorted(answers.unread.items())),
            **answers.lists,
        )

    async def _space(
        self, name: str, wanted: frozenset[str], answers: _Answers, hub: "asyncio.Future[Space]"
    ) -> KubeError | None:
        """Everything from one space within its deadline; returns why there is nothing, if so."""
        mine = [each for each in sorted(wanted) if READINGS[each].space == name]
        failure: KubeError | None = None
        try:
            async with asyncio.timeout(self._deadline):
                space = await self._connected(name, hub)
                async with asyncio.TaskGroup() as group:
                    for each in mine:
                        group.create_task(self._list(space, each, answers))
        except (KubeError, TimeoutError) as failed:
            failure = failed if isinstance(failed, KubeError) else KubeError(self._late(name, hub))
            if name == "hub" and not hub.done():
                hub.set_exception(failure)
            answers.unread[name] = str(failure).removeprefix(f"{name}: ")
        if name in answers.unread:
            await self._forget(name)
        return failure

    async def _connected(self, name: str, hub: "asyncio.Future[Space]") -> Space:
        if name not in self._open:
            self._open[name] = await self._connect(name, hub)
        if name == "hub" and not hub.done():
            hub.set_result(self._open[name])
        return self._open[name]

    async def _connect(self, name: str, hub: "asyncio.Future[Space]") -> Space:
        settings = self._where[name]
        if name == "hub" or settings.named:
            return await connect(name, settings)
        try:
            found = await asyncio.shield(hub)
        except KubeError as failed:
            msg = f"it is described on the hub, and that cannot be read: {failed}"
            raise KubeError(msg) from failed
        return await connect_control_plane(found, name, settings)

    async def _list(self, space: Space, name: str, answers: _Answers) -> None:
        reading = READINGS[name]
        try:
            answers.lists[name] = await space.list(
                reading.resource, reading.namespace, label_selector=reading.selector
            )
        except Forbidden as refused:
            if reading.for_operators:
                return
            if not (reading.of_tenants and self._namespace):
                answers.unread[f"{space.name} {reading.resource.plural}"] = str(refused)
                return
            await self._list_namespace(space, name, answers)
        except NotFound as unserved:
            if not reading.optional:
                answers.unread[f"{space.name} {reading.resource.plural}"] = str(unserved)
        except ApiError as refused:
            answers.unread[f"{space.name} {reading.resource.plural}"] = str(refused)
        except KubeError as lost:
            answers.unread[space.name] = str(lost).removeprefix(f"{space.name}: ")

    async def _list_namespace(self, space: Space, name: str, answers: _Answers) -> None:
        reading = READINGS[name]
        try:
            answers.lists[name] = await space.list(
                reading.resource, self._namespace, label_selector=reading.selector
            )
            answers.narrowed = True
        except ApiError as refused:
            answers.unread[f"{space.name} {reading.resource.plural}"] = str(refused)
        except KubeError as lost:
            answers.unread[space.name] = str(lost).removeprefix(f"{space.name}: ")

    def _late(self, name: str, hub: "asyncio.Future[Space]") -> str:
        if name != "hub" and name not in self._open and (not hub.done() or hub.exception()):
            return f"{name} is described on the hub, which has not answered within {self._deadline:g}s"
        return f"{name}: no answer within {self._deadline:g}s"

    async def _forget(self, name: str) -> None:
        space = self._open.pop(name, None)
        if space is not None:
            await space.close()


def settings(**options: Any) -> dict[str, ConnectionSettings]:  # noqa: ANN401  the flags as typer gives them
    """``hub_kubeconfig=…, hub_context=…`` and so on, by space."""
    return {
        name: ConnectionSettings(
            kubeconfig=options.get(f"{name}_kubeconfig"), context=options.get(f"{name}_context")
        )
        for name in ("hub", "wds", "its")
    }
