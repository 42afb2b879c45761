"""Whether the admission policy of config/admission does its work by now."""

import asyncio
from typing import Final

from kube_runtime.errors import KubeError
from kube_runtime.objects import Obj
from kube_runtime.space import Space
from vocabulary.keys import CONTROLLER_NAME, QUEUE_NAME
from vocabulary.resources import JOBS

EFFECTIVE_WITHIN: Final = 20.0  # seconds; seen: 0.1 to 1 s, more on a busy machine
PROBE_EVERY: Final = 0.1  # seconds
_PROBE: Final[Obj] = {
    "apiVersion": JOBS.api_version,
    "kind": JOBS.kind,
    "metadata": {
        "generateName": "probe-",
        "namespace": "kueue-kubestellar-system",
        "labels": {QUEUE_NAME: "probe"},
    },
    "spec": {
        "suspend": True,
        "template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "probe", "image": "probe"}]},
        },
    },
}


class NotEffectiveError(KubeError):
    """Everything is written, but the admission policy does nothing; the text says what to look at."""


async def until_effective(space: Space) -> None:
    """Return when the admission policy changes Jobs.

    The API server notices a new policy some hundred milliseconds later, and a Job of that time would run on
    the hub itself. The probe is a dry run.
    """
    try:
        async with asyncio.timeout(EFFECTIVE_WITHIN):
            while True:
                job = await space.create(JOBS, _PROBE, dry_run=True)
                if job["spec"].get("managedBy") == CONTROLLER_NAME:
                    return
                await asyncio.sleep(PROBE_EVERY)
    except TimeoutError:
        msg = (
            f"{space.name} ({space.server}): the admission policy is installed, but after "
            f"{EFFECTIVE_WITHIN:.0f} s a queued Job still gets no spec.managedBy; look at: kubectl describe "
            "mutatingadmissionpolicy kueue-ks-managed-by, and at the API server's --disable-admission-plugins"
        )
        raise NotEffectiveError(msg) from None
