"""What the recipes make of upstream's manifests, and the nodes."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_runtime.quantity import parse_milli_down
from local_fleet.bootstrap import extra_crds, own_manifests
from local_fleet.components import kueue, worker
from local_fleet.components.kueue import webhooks
from local_fleet.errors import FleetError
from local_fleet.fleet import MAX_WORKERS, Options
from local_fleet.nodes import GPU, nodes_of
from local_fleet.supervisor import _from_json, _to_json


def hook(name: str, group: str, resource: str) -> dict[str, Any]:
    service = {"name": "webhook-service", "namespace": "system", "path": f"/mutate-{name}"}
    return {
        "name": name,
        "clientConfig": {"service": service},
        "rules": [{"apiGroups": [group], "resources": [resource]}],
    }


HOOKS = [
    hook("mclusterqueue", "kueue.x-k8s.io", "clusterqueues"),
    hook("mworkload", "kueue.x-k8s.io", "workloads/status"),
    hook("mjob", "batch", "jobs"),
    hook("mjobset", "jobset.x-k8s.io", "jobsets"),
    hook("mpod", "", "pods"),
]


@pytest.mark.parametrize(
    ("frameworks", "kept"),
    [
        (["batch/job"], ["mclusterqueue", "mworkload", "mjob"]),
        (["batch/job", "jobset.x-k8s.io/jobset"], ["mclusterqueue", "mworkload", "mjob", "mjobset"]),
        (["pod"], ["mclusterqueue", "mworkload", "mpod"]),
        ([], ["mclusterqueue", "mworkload"]),
    ],
)
def test_webhooks_of_frameworks_that_are_off_are_dropped(frameworks: list[str], kept: list[str]) -> None:
    upstream = [{"kind": "MutatingWebhookConfiguration", "metadata": {"name": "x"}, "webhooks": HOOKS}]
    (made,) = webhooks(upstream, frameworks, "https://127.0.0.1:1", "Q0E=")
    assert [each["name"] for each in made["webhooks"]] == kept
    assert made["metadata"]["name"] == "kueue-mutating"


def test_webhooks_are_pointed_at_the_process_and_leave_system_namespaces_alone() -> None:
    upstream = [{"kind": "ValidatingWebhookConfiguration", "metadata": {"name": "x"}, "webhooks": HOOKS}]
    (made,) = webhooks(upstream, ["batch/job"], "https://127.0.0.1:1", "Q0E=")
    queue, _, job = made["webhooks"]
    assert job["clientConfig"] == {"url": "https://127.0.0.1:1/mutate-mjob", "caBundle": "Q0E="}
    assert job["namespaceSelector"]["matchExpressions"][0]["values"] == ["kube-system", "kueue-system"]
    assert "namespaceSelector" not in queue


def test_only_complete_and_delete_get_a_time() -> None:
    upstream = [
        {"metadata": {"name": name}, "spec": {"next": {}}}
        for name in ("pod-ready", "pod-complete", "pod-delete")
    ]
    ready, complete, delete = worker.stages(upstream)
    assert ready == upstream[0]
    assert complete["spec"]["delay"]["durationMilliseconds"] == worker.COMPLETE_AFTER
    assert complete["spec"]["next"] == {}
    assert delete["spec"]["delay"]["durationMilliseconds"] == 0
    assert (
        '"grace" then .metadata.deletionTimestamp'
        in delete["spec"]["delay"]["durationFrom"]["jq"]["expression"]
    )


@given(st.integers(0, MAX_WORKERS - 1))
def test_nodes_have_all_that_a_placement_looks_at(index: int) -> None:
    nodes = nodes_of(f"w{index + 1}", index)
    assert 4 <= len(nodes) <= 6
    assert len({node["metadata"]["name"] for node in nodes}) == len(nodes)
    assert sum(bool(node["spec"].get("unschedulable")) for node in nodes) == 1
    assert sum(bool(node["spec"].get("taints")) for node in nodes) == 1
    for node in nodes:
        allocatable, capacity = node["status"]["allocatable"], node["status"]["capacity"]
        assert {"cpu", "memory", "pods", "ephemeral-storage"} <= set(allocatable)
        assert all(parse_milli_down(allocatable[r]) <= parse_milli_down(capacity[r]) for r in capacity)
        assert (GPU in capacity) is (node["metadata"]["labels"]["node-class"] == "gpu")


def test_neighbours_differ_in_size() -> None:
    assert nodes_of("w", 0)[0]["status"] != nodes_of("w", 1)[0]["status"]


def test_our_own_crds_are_found() -> None:
    assert [crd["metadata"]["name"] for crd in own_manifests()] == ["workstatuses.control.kubestellar.io"]
    assert "clustermetrics.galaxy.kubestellar.io" in {crd["metadata"]["name"] for crd in extra_crds()}


def test_options_travel_to_the_detached_supervisor() -> None:
    options = Options(workers=3, frameworks=("batch/job", "pod"), heartbeat=1.5, proxied=True)
    assert _from_json(_to_json(options)) == options


@pytest.mark.parametrize("workers", [0, -1, MAX_WORKERS + 1])
def test_a_fleet_has_workers(workers: int) -> None:
    with pytest.raises(FleetError, match=f"not {workers}"):
        Options(workers=workers)


@pytest.mark.parametrize(
    ("allowed", "user", "want"),
    [
        ("--mount", 0, ["--mount"]),
        ("--user", 0, ["--user", "--map-root-user", "--mount"]),
        ("--user", 1000, ["--user", "--map-root-user", "--mount"]),
    ],
)
def test_the_first_way_to_a_private_etc_that_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, allowed: str, user: int, want: list[str]
) -> None:
    unshare(tmp_path, monkeypatch, f'test "$1" = "{allowed}"')
    monkeypatch.setattr("os.geteuid", lambda: user)
    assert kueue._way_in(tmp_path / "etc") == want


def test_no_way_to_a_private_etc_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unshare(tmp_path, monkeypatch, "exit 1")
    with pytest.raises(
        FleetError, match=r"needs a private /etc .* Allow unprivileged user namespaces .* or run as root"
    ):
        kueue._way_in(tmp_path / "etc")
    (tmp_path / "bin" / "unshare").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(FleetError, match=r"unshare is missing.*Install util-linux"):
        kueue._way_in(tmp_path / "other")


def unshare(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    command = folder / "bin" / "unshare"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=":")
