"""Which namespaces are carried, and that nobody else's is ever touched (I6)."""

import pytest

from vocabulary import keys
from workload_controller.namespaces import (
    Carry,
    Drop,
    HubNamespace,
    WdsNamespace,
    next_step,
    obstacle,
    read_wds_namespace,
)

HUB = HubNamespace("team-a", "hub-uid", (), deleting=False)
LABELLED = HubNamespace(
    "team-a", "hub-uid", (("pod-security.kubernetes.io/enforce", "restricted"),), deleting=False
)
TWIN = WdsNamespace("team-a", "twin-uid", ours=True, hub_uid="hub-uid", pod_security=(), deleting=False)
OLD_TWIN = WdsNamespace("team-a", "twin-uid", ours=True, hub_uid="earlier", pod_security=(), deleting=False)
FOREIGN = WdsNamespace("team-a", "other", ours=False, hub_uid="", pod_security=(), deleting=False)
SYSTEM = HubNamespace("kube-system", "s", (), deleting=False)
DEFAULT = HubNamespace("default", "d", (), deleting=False)

STEPS = [
    ("a queue makes it a namespace to carry", HUB, None, True, 0, Carry),
    ("no queue, not carried", HUB, None, False, 0, type(None)),
    ("carried already", HUB, TWIN, True, 0, type(None)),
    ("losing its queue does not take it from running jobs", HUB, TWIN, False, 1, type(None)),
    ("Pod Security labels follow", LABELLED, TWIN, True, 0, Carry),
    ("the hub's is gone", None, TWIN, False, 0, Drop),
    ("but copies are left in it", None, TWIN, False, 1, type(None)),
    ("made anew by somebody: the old one goes first", HUB, OLD_TWIN, True, 0, Drop),
    ("somebody else's is never touched (I6)", None, FOREIGN, False, 0, type(None)),
    ("nor taken over (I6)", HUB, FOREIGN, True, 0, type(None)),
    ("control planes' namespaces are never carried", SYSTEM, None, True, 0, type(None)),
    ("default exists everywhere", DEFAULT, None, True, 0, type(None)),
]


@pytest.mark.parametrize(
    ("reason", "hub", "twin", "queue", "copies", "want"), STEPS, ids=[row[0] for row in STEPS]
)
def test_next_step(
    reason: str, hub: HubNamespace | None, twin: WdsNamespace | None, queue: bool, copies: int, want: type
) -> None:
    assert isinstance(next_step(hub, twin, has_queue=queue, copies=copies), want)


def test_the_twin_bears_the_hubs_uid_and_pod_security() -> None:
    step = next_step(LABELLED, None, has_queue=True, copies=0)
    assert isinstance(step, Carry)
    assert step.namespace["metadata"]["annotations"] == {keys.HUB_NAMESPACE_UID: "hub-uid"}
    assert step.namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


OBSTACLES = [
    ("carried", HUB, TWIN, ""),
    ("not yet", HUB, None, "not in the WDS yet"),
    ("foreign", HUB, FOREIGN, "is not ours"),
    ("of an earlier namespace", HUB, OLD_TWIN, "belongs to an earlier namespace"),
]


@pytest.mark.parametrize(("reason", "hub", "twin", "want"), OBSTACLES, ids=[row[0] for row in OBSTACLES])
def test_obstacle(reason: str, hub: HubNamespace, twin: WdsNamespace | None, want: str) -> None:
    text = obstacle("team-a", hub, twin)
    assert (want in text) if want else not text


def test_our_other_namespaces_are_not_carried_ones() -> None:
    """kueue-ks install makes a namespace with our label in the WDS; it is not a twin of anything (I6)."""
    labels = {keys.MANAGED_BY_LABEL: keys.MANAGED_BY}
    read = read_wds_namespace(
        {"metadata": {"name": "kueue-kubestellar-system", "uid": "u", "labels": labels}}
    )
    assert next_step(None, read, has_queue=False, copies=0) is None
