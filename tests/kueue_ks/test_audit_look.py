"""Reading for the audit: what no selector of the controller finds, who leads, and spaces that are away."""

from collections.abc import AsyncIterator, Mapping
from copy import deepcopy
from typing import Any, cast

from kube_runtime.errors import Forbidden, KubeError, NotFound, Unreachable
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from kueue_ks.audit.look import Counts, Look, Spaces, look
from tests.kueue_ks.builders import UID, WORKLOAD, raw_copy, raw_job, raw_workload
from vocabulary import keys
from workload_controller.published import Options, publish
from workload_controller.situation import Timing

LEASE = {
    "metadata": {"name": "workload-controller"},
    "spec": {"holderIdentity": "me", "renewTime": "2026-01-01T12:00:00.000000Z", "leaseDurationSeconds": 15},
}


class Server:
    """Lists by plural, and by the selector that was asked for where a test names one."""

    def __init__(self, name: str, **lists: list[Obj]) -> None:
        self.name = name
        self.lists = lists
        self.by_selector: dict[str, list[Obj]] = {}
        self.lease: Obj | KubeError = deepcopy(LEASE)
        self.away: KubeError | None = None

    @property
    def as_space(self) -> Space:
        return cast("Space", cast("object", self))

    async def pages(
        self, resource: Resource, _namespace: str | None, _params: Mapping[str, str]
    ) -> AsyncIterator[Obj]:
        if self.away is not None:
            raise self.away
        yield {"metadata": {"resourceVersion": "9"}, "items": deepcopy(self.lists.get(resource.plural, []))}

    async def list(self, _resource: Resource, *, label_selector: str) -> list[Obj]:
        return deepcopy(self.by_selector.get(label_selector, []))

    async def get(self, _resource: Resource, _name: str, _namespace: str) -> Obj:
        if isinstance(self.lease, KubeError):
            raise self.lease
        return self.lease


def versioned(obj: Obj, **metadata: Any) -> Obj:
    return {**obj, "metadata": {"uid": "uid", "resourceVersion": "5", **obj["metadata"], **metadata}}


def held_job() -> Obj:
    """Somebody took the queue's label away."""
    return versioned(raw_job(active=1), labels={}, deletionTimestamp="2026-01-01T12:00:00Z")


async def see(hub: Server, *others: Server) -> Look:
    """``others``: WDS and ITS, where they were reached."""
    wds, its = (server.as_space for server in others) if others else (None, None)
    unread = {} if others else {"wds": "no answer", "its": "no answer"}
    return await look(Spaces(hub.as_space, wds, its, unread))


def codes(seen: Look) -> list[str]:
    return sorted(finding.code for finding in seen.suspicions)


async def test_a_held_job_without_its_queue_is_found_with_what_is_left_of_it() -> None:
    hub, wds, its = Server("hub"), Server("wds"), Server("its")
    hub.by_selector = {f"!{keys.QUEUE_NAME}": [held_job()]}
    alone = await see(hub, wds, its)
    assert codes(alone) == ["FinalizerLeftOver", "NobodyLeads"]
    assert "no Workload, so no quota, and no copy of it is left" in str(alone.suspicions[0].remedy)
    hub.lists["workloads"] = [versioned(raw_workload())]
    needed = next(f for f in (await see(hub, wds, its)).suspicions if f.code == "FinalizerLeftOver")
    assert f"left: Workload team-a/{WORKLOAD}" in needed.message
    assert str(needed.remedy) == "wait until those are gone, they go first"
    hub.lists.clear()
    wds.lists["jobs"] = [versioned(raw_copy())]
    copied = [f.message for f in (await see(hub, wds, its)).suspicions if f.objects[0].uid == UID]
    assert any("left: copy team-a/train" in message for message in copied)


async def test_a_job_of_the_user_that_is_not_held_is_nobodys_finding() -> None:
    hub = Server("hub")
    hub.by_selector = {f"!{keys.QUEUE_NAME}": [versioned(raw_job())]}
    assert codes(await see(hub, Server("wds"), Server("its"))) == ["NobodyLeads"]


async def test_a_copy_that_has_lost_our_label_is_found() -> None:
    wds = Server("wds")
    held = {"finalizers": [keys.PODS_LEAVING]}
    wds.by_selector = {
        f"{keys.MANAGED_BY_LABEL}!={keys.MANAGED_BY}": [versioned(raw_copy(**held)), versioned(raw_copy())]
    }
    seen = await see(Server("hub"), wds, Server("its"))
    assert codes(seen) == ["FinalizerLeftOver", "NobodyLeads"]
    assert "kubectl label job -n team-a train" in str(seen.suspicions[0].remedy)


async def test_who_leads_is_read_from_the_lease() -> None:
    """The one above was renewed on the first of January."""
    hub, rest = Server("hub"), (Server("wds"), Server("its"))
    (stale,) = (await see(hub, *rest)).suspicions
    assert "by me; it lasts 15s" in stale.message
    hub.lease["spec"]["renewTime"] = "2100-01-01T12:00:00.000000Z"  # type: ignore[index]
    assert codes(await see(hub, *rest)) == []
    hub.lease = NotFound(404)
    (nobody,) = (await see(hub, *rest)).suspicions
    assert nobody.message.startswith("never held, by nobody")
    hub.lease = Forbidden(403)
    assert codes(await see(hub, *rest)) == []


async def test_the_leaders_own_options_count() -> None:
    """A command that took defaults would call a controller late that was told to take longer."""
    hub, rest = Server("hub"), (Server("wds"), Server("its"))
    assert not (await see(hub, *rest)).options.known
    patient = Options(Timing(worker_lost_timeout=3600.0), known=True)
    hub.lease["metadata"]["annotations"] = publish(patient)  # type: ignore[index]
    assert (await see(hub, *rest)).options == patient


async def test_what_is_away_is_named_and_nothing_is_concluded_from_it() -> None:
    hub, wds, its = Server("hub"), Server("wds"), Server("its")
    hub.lease["spec"]["renewTime"] = "2100-01-01T12:00:00.000000Z"  # type: ignore[index]
    hub.by_selector = {f"!{keys.QUEUE_NAME}": [held_job()]}
    wds.lists["jobs"] = [versioned(raw_copy())]
    its.away = Unreachable("its: connection refused")
    seen = await see(hub, wds, its)
    assert seen.unread == {"its": "its: connection refused"}
    assert codes(seen) == ["CopyWithoutWorkload"]  # both sides of it were read
    assert seen.counts == Counts(0, 1, None, None, None)
    never_reached = await see(hub)
    assert (codes(never_reached), never_reached.counts) == ([], Counts(0, None, None, None, None))
