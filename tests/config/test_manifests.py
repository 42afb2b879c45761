"""config/ and examples/ hold what an API server takes, and the words that our programs look for.

Kueue's kinds are checked by a real API server in tests/fleet; their schemas are not to be had here.
"""

import re
from typing import Any

import kubernetes_validate
import pytest

from kube_runtime.objects import Obj
from kube_runtime.quantity import parse_milli_down
from kueue_ks.install.manifests import load, manifest_root
from local_fleet.nodes import NODE_CLASS, nodes_of
from vocabulary import keys
from vocabulary.pod_requests import pod_requests

KUBERNETES = ("1.34", "1.35", "1.36")  # of hubs
FIRST_SERVED = {"MutatingAdmissionPolicy": "1.36", "MutatingAdmissionPolicyBinding": "1.36"}
ELSEWHERE = {"kueue.x-k8s.io", "monitoring.coreos.com"}  # groups whose schemas are not to be had here
CONFIG = [
    "config/crd/clustermetrics.yaml",
    "config/crd/placementpolicy.yaml",
    "config/admission/managed-by.yaml",
    "config/admission/its-guard.yaml",
    "config/admission/worker-guard.yaml",
    "config/rbac/hub.yaml",
    "config/rbac/wds.yaml",
    "config/rbac/its.yaml",
    "config/rbac/worker.yaml",
    "config/rbac/discovery.yaml",
    "config/samples/queues.yaml",
    "config/controllers/workload-controller.yaml",
    "config/controllers/quota-manager.yaml",
    "config/controllers/network-policy.yaml",
    "config/prometheus/service-monitor.yaml",
    "config/prometheus/alerts.yaml",
]
EXAMPLES = [f"examples/{name}-job.yaml" for name in ("batch", "gpu", "parallel", "sweep")]


def objects(*names: str) -> list[Any]:
    """One parameter for each object of the manifests, named by file, kind and name."""
    return [
        pytest.param(obj, id=f"{name}:{obj['kind']}/{next(iter(obj['metadata'].values()))}")
        for name in names
        for obj in load(name)
    ]


def named(kind: str, name: str, manifest: str) -> Obj:
    (obj,) = [o for o in load(manifest) if o["kind"] == kind and o["metadata"]["name"] == name]
    return obj


def test_every_manifest_is_known_here() -> None:
    folders = [manifest_root().joinpath("examples"), *manifest_root().joinpath("config").iterdir()]
    found = [
        file.name
        for folder in folders
        if folder.name != "helm"  # written from the others: test_chart.py
        for file in folder.iterdir()
        if file.name.endswith(".yaml") and file.name != "kustomization.yaml"
    ]
    assert sorted(found) == sorted(name.rpartition("/")[2] for name in CONFIG + EXAMPLES)


@pytest.mark.parametrize("obj", objects(*CONFIG))
def test_an_object_has_a_type_a_name_and_our_label(obj: Obj) -> None:
    assert obj["apiVersion"]
    assert obj["kind"]
    assert obj["metadata"]["name"]
    assert obj["metadata"]["labels"][keys.MANAGED_BY_LABEL] == keys.MANAGED_BY


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize(
    "obj",
    [p for p in objects(*CONFIG, *EXAMPLES) if p.values[0]["apiVersion"].partition("/")[0] not in ELSEWHERE],
)
def test_kubernetes_knows_every_field(obj: Obj, version: str) -> None:
    if version >= FIRST_SERVED.get(obj["kind"], ""):
        kubernetes_validate.validate(obj, version, strict=True)
    else:
        with pytest.raises(kubernetes_validate.SchemaNotFoundError):
            kubernetes_validate.validate(obj, version, strict=True)


def test_what_is_in_two_manifests_is_alike_in_both() -> None:
    """WDS and ITS may be one API server: applied one after the other they must not undo each other."""
    seen: dict[tuple[str, str, str], Obj] = {}
    for name in CONFIG:
        for obj in load(name):
            metadata = obj["metadata"]
            assert seen.setdefault((obj["kind"], metadata.get("namespace", ""), metadata["name"]), obj) == obj


def test_the_policy_writes_our_controller_name() -> None:
    spec = named("MutatingAdmissionPolicy", "kueue-ks-managed-by", "config/admission/managed-by.yaml")["spec"]
    (mutation,) = spec["mutations"]
    assert f'value: "{keys.CONTROLLER_NAME}"' in mutation["jsonPatch"]["expression"]
    assert f"'{keys.QUEUE_NAME}'" in mutation["jsonPatch"]["expression"]
    (requirement,) = spec["matchConstraints"]["namespaceSelector"]["matchExpressions"]
    assert requirement == {"key": keys.MANAGE_JOBS, "operator": "NotIn", "values": ["false"]}
    assert spec["failurePolicy"] == "Fail"


def test_the_queues_lead_to_our_check() -> None:
    samples = {(o["kind"], o["metadata"]["name"]): o for o in load("config/samples/queues.yaml")}
    queue = samples["ClusterQueue", "team-queue"]
    (check,) = queue["spec"]["admissionChecksStrategy"]["admissionChecks"]
    assert samples["AdmissionCheck", check["name"]]["spec"]["controllerName"] == keys.CONTROLLER_NAME
    assert queue["metadata"]["annotations"] == {keys.MANAGE_QUOTA: "true"}
    assert {
        o["spec"]["clusterQueue"] for o in load("config/samples/queues.yaml") if o["kind"] == "LocalQueue"
    } == {"team-queue"}


def test_every_flavor_lists_the_covered_resources_in_their_order() -> None:
    (group,) = named("ClusterQueue", "team-queue", "config/samples/queues.yaml")["spec"]["resourceGroups"]
    flavors = {
        o["metadata"]["name"] for o in load("config/samples/queues.yaml") if o["kind"] == "ResourceFlavor"
    }
    assert [f["name"] for f in group["flavors"]] == [
        "standard",
        "gpu",
    ]  # jobs without GPUs try this one first
    assert {f["name"] for f in group["flavors"]} == flavors
    for flavor in group["flavors"]:
        assert [r["name"] for r in flavor["resources"]] == group["coveredResources"]
        assert {r["nominalQuota"] for r in flavor["resources"]} == {"0"}


@pytest.mark.parametrize("job", objects(*EXAMPLES))
def test_an_example_can_be_created_again_and_again_in_a_sample_queue(job: Obj) -> None:
    metadata = job["metadata"]
    assert metadata["generateName"].endswith("-")
    assert "name" not in metadata
    assert job["spec"]["suspend"] is True
    queues = [o["metadata"] for o in load("config/samples/queues.yaml") if o["kind"] == "LocalQueue"]
    assert (metadata["namespace"], metadata["labels"][keys.QUEUE_NAME]) in {
        (queue["namespace"], queue["name"]) for queue in queues
    }


@pytest.mark.parametrize("job", objects(*EXAMPLES))
def test_an_example_asks_for_covered_resources_only(job: Obj) -> None:
    """Kueue admits nothing that asks for a resource which its ClusterQueue does not cover."""
    (group,) = named("ClusterQueue", "team-queue", "config/samples/queues.yaml")["spec"]["resourceGroups"]
    assert set(pod_requests(job["spec"]["template"]["spec"])) <= set(group["coveredResources"])


@pytest.mark.parametrize("job", objects(*EXAMPLES))
def test_all_pods_of_an_example_fit_on_one_node_of_the_smallest_worker(job: Obj) -> None:
    asked = pod_requests(job["spec"]["template"]["spec"])
    pods = job["spec"].get("parallelism", 1)
    wanted_class = "gpu" if "nvidia.com/gpu" in asked else "standard"
    nodes = [
        node["status"]["allocatable"]
        for node in nodes_of("w1", 0)
        if node["metadata"]["labels"][NODE_CLASS] == wanted_class and not node["spec"].get("unschedulable")
    ]
    assert any(
        all(pods * amount <= parse_milli_down(node.get(resource, "0")) for resource, amount in asked.items())
        for node in nodes
    )


@pytest.mark.parametrize("job", objects(*EXAMPLES))
def test_an_example_runs_for_a_while_on_simulated_nodes(job: Obj) -> None:
    annotations = job["spec"]["template"]["metadata"]["annotations"]
    stage = "pod-complete.stage.kwok.x-k8s.io"
    # For kwok the jitter is the upper end, and the whole delay when it is the smaller one (5 s if absent).
    delay, jitter = (
        int(annotations[f"{stage}/{name}"].removesuffix("s")) for name in ("delay", "jitter-delay")
    )
    assert 10 <= delay <= jitter


GUARDS = ["config/admission/its-guard.yaml", "config/admission/worker-guard.yaml"]


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_denies_and_fails_closed(name: str) -> None:
    objects = load(name)
    policies = [o for o in objects if o["kind"] == "ValidatingAdmissionPolicy"]
    bindings = [o for o in objects if o["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert [b["spec"]["policyName"] for b in bindings] == [p["metadata"]["name"] for p in policies]
    assert all(binding["spec"]["validationActions"] == ["Deny"] for binding in bindings)
    for policy in policies:
        assert policy["spec"]["failurePolicy"] == "Fail"
        for validation in policy["spec"]["validations"]:
            assert validation["messageExpression"]
            assert validation["reason"] == "Forbidden"


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_speaks_of_keys_that_we_write(name: str) -> None:
    text = manifest_root().joinpath(*name.split("/")).read_text(encoding="utf-8")
    known = {value for value in vars(keys).values() if isinstance(value, str)}
    found = {f"{keys.PREFIX}{rest}" for rest in re.findall(re.escape(keys.PREFIX) + r"([a-z-]+)", text)}
    assert found
    assert found <= known
