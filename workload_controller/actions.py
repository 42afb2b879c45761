"""The only place that writes. Each write has a precondition or is an apply of our own field manager.

Every method is safe to repeat and safe to lose: the next reconcile sees the objects as they are. A refusal
by the precondition (404, 409) means that the world is no longer the one of the decision; its event brings a
new decision.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from kube_runtime.errors import BadRequest, Conflict, Invalid, NotFound
from kube_runtime.objects import Obj
from kube_runtime.space import Space
from vocabulary import keys
from vocabulary.resources import (
    ADMISSION_CHECKS,
    BINDING_POLICIES,
    BINDINGS,
    CONFIG_MAPS,
    JOBS,
    MANIFEST_WORKS,
    NAMESPACES,
    WORKLOADS,
)
from workload_controller import heartbeat, reading, waves
from workload_controller.admission_check import ActiveCondition, AdmissionCheckFacts
from workload_controller.facts import (
    Check,
    CheckState,
    CopyFacts,
    Decision,
    History,
    JobFacts,
    PolicyFacts,
    WorkloadFacts,
)
from workload_controller.history import format_history

FIELD_MANAGER = keys.CONTROLLER_NAME
MESSAGE_LIMIT = 4000  # characters; Kueue allows 32768, a person reads less


class NotLeading(Exception):
    """This process may not write (any more): another replica may be at work (I7)."""


class RefusedByWDS(Exception):
    """The WDS's API server refuses a copy for what it contains; the text is the server's."""


class Writer:
    """Carries out decisions. ``may_write`` is asked right before every write."""

    def __init__(
        self, hub: Space, wds: Space, its: Space, may_write: Callable[[], bool], clock: Callable[[], float]
    ) -> None:
        self._hub = hub
        self._wds = wds
        self._its = its  # only read
        self._may_write = may_write
        self._clock = clock

    async def set_check(
        self,
        workload: WorkloadFacts,
        check: Check,
        state: CheckState,
        message: str,
        *,
        decision: Decision | None = None,
        requeue_after: int | None = None,
        history: History | None = None,
    ) -> Obj:
        """Write our entry of ``Workload.status.admissionChecks`` if the Workload is still as read.

        One apply carries state, message, decision and history, so that no crash can separate them. Kueue's
        own writes use the same strict precondition. The history stays as it was read unless a new one is
        given. Raises Conflict when the Workload has changed.
        """
        entry: dict[str, Any] = {
            "name": check.name,
            "state": state.value,
            "message": message[:MESSAGE_LIMIT],
            "lastTransitionTime": _rfc3339(self._clock()),
        }
        annotations = {}
        if decision is not None:
            annotations = {keys.CLUSTER: decision.cluster, keys.ATTEMPT: str(decision.attempt)}
        failures = history if history is not None else check.history
        if failures.total:
            annotations[keys.HISTORY] = format_history(failures)
        if annotations:
            entry["podSetUpdates"] = [
                {"name": pod_set.name, "annotations": annotations} for pod_set in workload.pod_sets
            ]
        if requeue_after is not None:
            entry["requeueAfterSeconds"] = requeue_after
        self._fence()
        return await self._hub.apply(
            WORKLOADS,
            {
                "apiVersion": WORKLOADS.api_version,
                "kind": WORKLOADS.kind,
                "metadata": {
                    "namespace": workload.namespace,
                    "name": workload.name,
                    "uid": workload.uid,
                    "resourceVersion": workload.resource_version,
                },
                "status": {"admissionChecks": [entry]},
            },
            field_manager=FIELD_MANAGER,
            subresource="status",
        )

    async def set_finalizer(self, held: WorkloadFacts | JobFacts, *, present: bool) -> Obj | None:
        """Put our finalizer on, or take it off; the resourceVersion that was read is the precondition.

        Applied by our own field manager, so other finalizers stay what they are. Returns None when taking it
        off ended the object.
        """
        self._fence()
        workload = isinstance(held, WorkloadFacts)
        answer = await self._hub.apply(
            WORKLOADS if workload else JOBS,
            {
                "metadata": {
                    "namespace": held.namespace,
                    "name": held.name,
                    "uid": held.uid,
                    "resourceVersion": held.resource_version,
                    "finalizers": [keys.PODS_MAY_RUN] if present else [],
                },
            },
            field_manager=FIELD_MANAGER,
        )
        gone = held.deleting and not (answer["metadata"].get("finalizers") or ())
        return None if gone else answer

    async def deactivate(self, workload: WorkloadFacts) -> Obj:
        """Set ``spec.active`` to false if the Workload is still as read; raises Conflict otherwise.

        A merge patch, not an apply: the field stays the users', who set it to true again.
        """
        self._fence()
        precondition = {"uid": workload.uid, "resourceVersion": workload.resource_version}
        body = {"metadata": precondition, "spec": {"active": False}}
        return await self._hub.patch(WORKLOADS, body, name=workload.name, namespace=workload.namespace)

    async def delete_workload(self, workload: WorkloadFacts) -> Obj | None:
        """Delete the Workload that the decision saw; returns it while a finalizer holds it."""
        self._fence()
        with suppress(NotFound):
            return await self._hub.delete(WORKLOADS, workload.name, workload.namespace, uid=workload.uid)
        return None

    async def set_job_status(self, job: JobFacts, status: Mapping[str, Any]) -> Obj:
        """Replace the hub job's status; raises Conflict or NotFound when the job has changed or gone."""
        self._fence()
        return await self._hub.update(JOBS, {**job.raw, "status": dict(status)}, subresource="status")

    async def newest(self, workload: WorkloadFacts, job: JobFacts) -> tuple[Obj, Obj]:
        """Workload and job as the hub has them now, by quorum reads; raises NotFound.

        Before something is started that cannot be taken back, an API server that lags behind, or our own
        stores filled from one, must not be what we rest on (docs/design.md, I3).
        """
        return (
            await self._hub.get(WORKLOADS, workload.name, workload.namespace),
            await self._hub.get(JOBS, job.name, job.namespace),
        )

    async def is_gone(self, copy: CopyFacts) -> bool:
        """Whether neither Binding nor ManifestWork carries the copy, by quorum reads in that order.

        A wave that goes on has left it out once the transport has read that generation of the Binding: it
        handles one Binding at a time, so it makes no ManifestWork of an earlier one after that.

        A watch of the ITS may be silent for its idle time before it counts as broken; who believed its store
        meanwhile would count the grace of pods that nobody has withdrawn yet.
        """
        try:
            binding = await self._wds.get(BINDINGS, copy.wave)
            if not waves.has_left(copy, reading.read_binding(binding)):
                return False
        except NotFound:
            pass
        selector = f"{keys.ORIGIN_BINDING}={copy.wave}"
        works = await self._its.list(MANIFEST_WORKS, copy.cluster, label_selector=selector)
        return not any(reading.may_carry(work, copy.workload_uid) for work in works)

    async def newest_policy(self, name: str) -> Obj | None:
        """The policy as the WDS has it now, by a quorum read; None when it has none."""
        with suppress(NotFound):
            return await self._wds.get(BINDING_POLICIES, name)
        return None

    async def carries_others(self, policy: PolicyFacts, leaving: Collection[str]) -> bool:
        """Whether its Binding, by a quorum read, lists copies that are not ``leaving`` ("namespace/name").

        Our stores may be old, and another leader have made a copy there that they do not show.
        """
        with suppress(NotFound):
            binding = reading.read_binding(await self._wds.get(BINDINGS, policy.name))
            return not set(binding.jobs) <= set(leaving)
        return False

    async def create_copy(self, copy: Obj) -> Obj:
        """Create the copy; raises AlreadyExists for a tombstone or somebody else's Job of the name.

        Raises RefusedByWDS when the WDS cannot hold the job (unknown field, invalid value, its own
        policies).
        """
        self._fence()
        try:
            return await self._wds.create(JOBS, copy)
        except (BadRequest, Invalid) as refused:
            raise RefusedByWDS(refused.message) from refused

    async def create_policy(self, copy: CopyFacts) -> Obj:
        """Create the policy that carries the copy; raises AlreadyExists."""
        self._fence()
        return await self._wds.create(BINDING_POLICIES, waves.policy(copy))

    async def delete_policy(self, policy: PolicyFacts) -> Obj | None:
        """Delete the policy that the decision saw; returns it while KubeStellar's finalizer holds it."""
        self._fence()
        with suppress(NotFound, Conflict):
            return await self._wds.delete(BINDING_POLICIES, policy.name, uid=policy.uid)
        return None

    async def withdraw(self, copy: CopyFacts) -> Obj | None:
        """Delete the copy that the decision saw; returns the tombstone that its finalizer keeps."""
        self._fence()
        with suppress(NotFound, Conflict):
            return await self._wds.delete(JOBS, copy.name, copy.namespace, uid=copy.uid)
        return None

    async def unselect(self, copy: CopyFacts) -> Obj | None:
        """Mark the tombstone, so that its wave selects it no more; the label of its wave stays."""
        self._fence()
        with suppress(NotFound, Conflict):
            marked = {"metadata": {"uid": copy.uid, "labels": {keys.WITHDRAWN: "true"}}}
            return await self._wds.patch(JOBS, marked, name=copy.name, namespace=copy.namespace)
        return None

    async def release(self, copy: CopyFacts) -> None:
        """Take our finalizer from the tombstone, which ends it."""
        self._fence()
        with suppress(NotFound, Conflict):
            await self._wds.patch(
                JOBS,
                {"metadata": {"uid": copy.uid, "finalizers": None}},
                name=copy.name,
                namespace=copy.namespace,
            )

    async def beat(self, cluster: str) -> Obj:
        """Write the heartbeat of a cluster, and see that it is carried.

        The policy is last here and first in ``end_beat``, so that a crash leaves no policy alone.
        """
        self._fence()
        body = heartbeat.config_map(cluster, self._clock())
        written = await self._wds.apply(CONFIG_MAPS, body, field_manager=FIELD_MANAGER)
        self._fence()
        policy = heartbeat.policy(cluster)
        await self._wds.apply(BINDING_POLICIES, policy, field_manager=FIELD_MANAGER)
        return written

    async def end_beat(self, cluster: str) -> None:
        """Take a cluster's heartbeat away, if it is ours; the policy first, which withdraws the other.

        Raises Conflict: what was read a moment ago is still there, and no event would bring us here again.
        """
        name = heartbeat.name_of(cluster)
        for resource, namespace in ((BINDING_POLICIES, None), (CONFIG_MAPS, keys.SYSTEM_NAMESPACE)):
            with suppress(NotFound):
                found = await self._wds.get(resource, name, namespace)
                if (found["metadata"].get("labels") or {}).get(keys.MANAGED_BY_LABEL) == keys.MANAGED_BY:
                    self._fence()
                    await self._wds.delete(resource, name, namespace, uid=found["metadata"]["uid"])

    async def set_active_condition(self, check: AdmissionCheckFacts, condition: ActiveCondition) -> Obj:
        """Write condition Active of an AdmissionCheck: without it Kueue admits nothing."""
        entry = {
            "type": "Active",
            "status": "True" if condition.active else "False",
            "reason": condition.reason,
            "message": condition.message,
            "observedGeneration": check.generation,
            "lastTransitionTime": _rfc3339(condition.since),
        }
        self._fence()
        return await self._hub.apply(
            ADMISSION_CHECKS,
            {
                "apiVersion": ADMISSION_CHECKS.api_version,
                "kind": ADMISSION_CHECKS.kind,
                "metadata": {"name": check.name, "uid": check.uid},
                "status": {"conditions": [entry]},
            },
            field_manager=FIELD_MANAGER,
            subresource="status",
        )

    async def carry_namespace(self, namespace: Obj) -> Obj:
        """Create or update a namespace of ours in the WDS, from where it is carried to the workers."""
        self._fence()
        return await self._wds.apply(NAMESPACES, namespace, field_manager=FIELD_MANAGER)

    async def delete_namespace(self, name: str, uid: str) -> None:
        """Delete a carried namespace, on every worker too; raises Conflict, as ``end_beat`` does."""
        self._fence()
        with suppress(NotFound):
            await self._wds.delete(NAMESPACES, name, uid=uid)

    def _fence(self) -> None:
        if not self._may_write():
            raise NotLeading


def _rfc3339(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
