"""What is left over at the end of a log."""

from tests import judge
from tests.judge.made_events import CONTROLLER, Log, thing

BINDING = "transport.kubestellar.io/originOwnerReferenceBindingKey"


def carried(policy: str, *, by: str = CONTROLLER) -> Log:
    """A policy and what KubeStellar made of it."""
    labels = {BINDING: policy}
    return (
        Log()
        .create(0, "control", thing("BindingPolicy", policy), user=by)
        .create(1, "control", thing("ManifestWork", "mw", namespace="w1", labels=labels), user="transport")
        .create(2, "control", thing("WorkStatus", "ws", namespace="w1", labels=labels), user="status-addon")
    )


STATUS_SUCCESS = {"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}


def removed(log: Log, kind: str, name: str, **metadata: str) -> Log:
    """A DELETE that answers with a Status: nothing is left."""
    log.delete(5, "control", thing(kind, name, **metadata), user="garbage-collector")
    log.events[-1][1]["responseObject"] = STATUS_SUCCESS
    return log


def test_leftovers_are_ours_or_made_for_us() -> None:
    left = judge.leftovers(carried("wave").history())

    assert [(one.resource.partition(".")[0], one.name, one.policy) for one in left] == [
        ("bindingpolicies", "wave", ""),
        ("manifestworks", "mw", "wave"),
        ("workstatuses", "ws", "wave"),
    ]
    assert str(left[1]).endswith(
        "manifestworks.work.open-cluster-management.io w1/mw, created by transport for policy wave"
    )


def test_no_leftovers_after_all_was_removed() -> None:
    log = removed(
        removed(carried("wave"), "ManifestWork", "mw", namespace="w1"), "WorkStatus", "ws", namespace="w1"
    )
    held = thing("BindingPolicy", "wave", deletionTimestamp="x", finalizers=["kscontroller"])
    log.delete(4, "control", held, user=CONTROLLER)

    assert [one.name for one in judge.leftovers(log.history())] == ["wave"]  # its finalizer keeps it

    log.patch(6, "control", thing("BindingPolicy", "wave", deletionTimestamp="x"))
    assert judge.leftovers(log.history()) == []


def test_leftovers_of_others_and_standing_ones_do_not_count() -> None:
    assert judge.leftovers(carried("theirs", by="alice").history()) == []
    assert judge.leftovers(carried("base-w1").history(), keep=["base-*"]) == []
    standing = Log().create(0, "control", thing("Namespace", "team"), user=CONTROLLER)
    assert judge.leftovers(standing.history()) == []


def test_an_object_made_by_apply_is_a_leftover_too() -> None:
    log = Log().patch(
        0,
        "control",
        thing("ConfigMap", "copy", namespace="team"),
        user=CONTROLLER,
        code=201,
        level="Metadata",
    )

    assert [one.name for one in judge.leftovers(log.history())] == ["copy"]

    log.delete(1, "control", thing("ConfigMap", "copy", namespace="team"), user=CONTROLLER, level="Metadata")
    assert judge.leftovers(log.history()) == []
