"""Whether the admission policies of config/admission do their work by now.

An API server notices a new policy some hundred milliseconds later, and what is written in between slips
through: a Job would run on the hub itself, a copy could be carried twice. Every probe is a dry run.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kube_runtime.errors import Forbidden, KubeError
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from vocabulary import keys
from vocabulary.resources import JOBS, MANIFEST_WORKS

EFFECTIVE_WITHIN: Final = 20.0  # seconds; seen: 0.1 to 1 s, more on a busy machine
PROBE_EVERY: Final = 0.1  # seconds
_POD: Final = {"restartPolicy": "Never", "containers": [{"name": "probe", "image": "probe"}]}


class NotEffectiveError(KubeError):
    """Everything is written, but an admission policy does nothing; the text says what to look at."""


@dataclass(frozen=True, slots=True)
class Probe:
    """An object that a policy changes or denies. ``gap`` is what is seen as long as it does neither."""

    kind: str  # as kubectl takes it
    policy: str
    resource: Resource
    obj: Obj
    gap: str

    async def takes_effect(self, space: Space) -> bool:
        """Whether the object was denied by the policy, or made ours."""
        try:
            created = await space.create(self.resource, self.obj, dry_run=True)
        except Forbidden as denied:
            if self.policy in denied.message:
                return True
            raise
        return bool(created["spec"].get("managedBy") == keys.CONTROLLER_NAME)


def _job(**labels: str) -> Obj:
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {"generateName": "probe-", "namespace": keys.SYSTEM_NAMESPACE, "labels": labels},
        "spec": {"suspend": True, "template": {"spec": _POD}},
    }


def _work(manifest: Obj) -> Obj:
    return {
        "apiVersion": MANIFEST_WORKS.api_version,
        "kind": MANIFEST_WORKS.kind,
        "metadata": {"generateName": "probe-", "namespace": keys.SYSTEM_NAMESPACE},
        "spec": {"workload": {"manifests": [manifest]}},
    }


_OURS: Final = _job(**{keys.WORKLOAD_UID: "probe"})
_STRAY: Final[Obj] = {**_OURS, "metadata": {"name": "probe", "labels": {keys.WORKLOAD_UID: "probe"}}}
# The policies of one manifest take effect together: one probe for each manifest.
PROBES: Final = (
    Probe(
        "mutatingadmissionpolicy",
        "kueue-ks-managed-by",
        JOBS,
        _job(**{keys.QUEUE_NAME: "probe"}),
        "a queued Job still gets no spec.managedBy",
    ),
    Probe(
        "validatingadmissionpolicy",
        "kueue-ks-carried-once",
        MANIFEST_WORKS,
        _work(_STRAY),
        "a ManifestWork may still carry a copy to a cluster that it is not for",
    ),
    Probe(
        "validatingadmissionpolicy",
        "kueue-ks-namespace",
        JOBS,
        _OURS,
        "a Job of ours may still be created in a namespace that was not carried",
    ),
)


async def until_effective(space: Space, installed: Iterable[str]) -> None:
    """Return when all those of our policies do their work that are among the ``installed`` names."""
    names = set(installed)
    for probe in PROBES:
        if probe.policy in names:
            await _until_effective(space, probe)


async def _until_effective(space: Space, probe: Probe) -> None:
    try:
        async with asyncio.timeout(EFFECTIVE_WITHIN):
            while True:
                if await probe.takes_effect(space):
                    return
                await asyncio.sleep(PROBE_EVERY)
    except TimeoutError:
        msg = (
            f"{space.name} ({space.server}): the admission policy is installed, but after "
            f"{EFFECTIVE_WITHIN:.0f} s {probe.gap}; look at: kubectl describe "
            f"{probe.kind} {probe.policy}, and at the API server's --disable-admission-plugins"
        )
        raise NotEffectiveError(msg) from None
