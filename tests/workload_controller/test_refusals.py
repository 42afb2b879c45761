"""What never leaves the hub, and that nothing is refused that may leave it."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import kubernetes_validate
import pytest

from tests.workload_controller.builders import NAMESPACE, job, raw_job, workload
from workload_controller.facts import JobFacts, WorkloadFacts
from workload_controller.refusals import refusal, workload_names

PREBUILT = "kueue.x-k8s.io/prebuilt-workload-name"
ELASTIC = {"kueue.x-k8s.io/elastic-job": "true"}
# As Kueue 0.19 names them: sha1 of kind, group, name, uid and, for elastic jobs, generation.
OF_GENERATION_2 = "job-train-863e4"


def hub_job(*, metadata: dict[str, Any] | None = None, **pod: Any) -> JobFacts:
    raw = raw_job()
    raw["metadata"] |= metadata or {}
    raw["spec"]["template"]["spec"] |= pod
    return job(raw=raw, name=raw["metadata"]["name"])


def data_source(**reference: str) -> dict[str, Any]:
    source = {"kind": "PersistentVolumeClaim", "name": "theirs", **reference}
    return {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {"dataSourceRef": source}}}}


def csi(**attributes: str) -> dict[str, Any]:
    return {"name": "v", "csi": {"driver": "file.csi.azure.com", "volumeAttributes": attributes}}


class Case(NamedTuple):
    reason: str
    given: WorkloadFacts
    owner: JobFacts | None
    want: str  # "" when it may leave


CASES = [
    Case("what Kueue made itself", workload(), hub_job(), ""),
    Case("its job has not been seen yet", workload(), None, ""),
    Case("somebody's own name", workload(name="mine"), hub_job(), "ForgedWorkload"),
    Case("Kueue's pattern for another job", workload(name="job-train-00000"), hub_job(), "ForgedWorkload"),
    Case(
        "prebuilt, and the job says so",
        workload(name="mine"),
        hub_job(metadata={"annotations": {PREBUILT: "mine"}}),
        "",
    ),
    Case(
        "prebuilt, said by the older label",
        workload(name="mine"),
        hub_job(metadata={"labels": {PREBUILT: "mine"}}),
        "",
    ),
    Case(
        "the job says another one is its own",
        workload(),
        hub_job(metadata={"annotations": {PREBUILT: "mine"}}),
        "ForgedWorkload",
    ),
    Case(
        "the second size of an elastic job",
        workload(name=OF_GENERATION_2),
        hub_job(metadata={"annotations": ELASTIC, "generation": 3}),
        "",
    ),
    Case(
        "a size that it never had",
        workload(name=OF_GENERATION_2),
        hub_job(metadata={"annotations": ELASTIC, "generation": 1}),
        "ForgedWorkload",
    ),
    Case(
        "a job that is not elastic has one size",
        workload(name=OF_GENERATION_2),
        hub_job(metadata={"generation": 3}),
        "ForgedWorkload",
    ),
    Case(
        "above every tenant",
        workload(),
        hub_job(priorityClassName="system-node-critical"),
        "SystemPriorityClass",
    ),
    Case("a priority of the tenants' own", workload(), hub_job(priorityClassName="high"), ""),
    Case(
        "another namespace's claim",
        workload(),
        hub_job(volumes=[{"name": "w", "emptyDir": {}}, data_source(namespace="team-b")]),
        "CrossNamespaceReference",
    ),
    Case("its own namespace, by name", workload(), hub_job(volumes=[data_source(namespace=NAMESPACE)]), ""),
    Case("its own namespace, unsaid", workload(), hub_job(volumes=[data_source()]), ""),
    Case(
        "another namespace's Secret by a driver's word",
        workload(),
        hub_job(volumes=[csi(secretName="key", secretNamespace="team-b")]),
        "CrossNamespaceReference",
    ),
    Case(
        "another namespace's volume",
        workload(),
        hub_job(volumes=[{"name": "v", "storageos": {"volumeName": "x", "volumeNamespace": "team-b"}}]),
        "CrossNamespaceReference",
    ),
    Case("a driver's other words", workload(), hub_job(volumes=[csi(shareName="namespace-b")]), ""),
    Case(
        "a node label that is called namespace",
        workload(),
        hub_job(nodeSelector={"namespace": "team-b"}),
        "",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_refusal(case: Case) -> None:
    refused = refusal(case.given, case.owner)
    assert (refused.reason if refused else "") == case.want
    if refused:
        assert NAMESPACE in refused.obj
        assert refused.field
        assert refused.value in str(refused)


def test_the_offending_volume_is_named() -> None:
    owner = hub_job(volumes=[{"name": "w", "emptyDir": {}}, data_source(namespace="team-b")])
    assert str(refusal(workload(), owner)) == (
        "batch/v1 Job team-a/train: spec.template.spec.volumes[1].ephemeral.volumeClaimTemplate.spec."
        "dataSourceRef.namespace is 'team-b'. A job may refer to its own namespace only: team-a."
    )


def test_the_names_are_kueues() -> None:
    """Names from Kueue's own test (pkg/controller/jobframework/workload_names_test.go)."""
    raw = raw_job()
    assert set(workload_names(job(name="name", uid="uid", raw=raw))) == {"job-name-ef3a1"}
    raw["metadata"] |= {"annotations": ELASTIC, "generation": 1}
    assert set(workload_names(job(name="name", uid="uid", raw=raw))) == {"job-name-ef3a1", "job-name-2514c"}


@pytest.mark.parametrize("length", [1, 53, 54, 63])
def test_names_of_both_lengths_of_kueue_are_known(length: int) -> None:
    """ShortWorkloadNames cuts to 63 characters, so that the name fits into a label."""
    name = "a" * length
    long, short = workload_names(job(name=name, raw=raw_job()))
    assert long.rsplit("-", 1)[0] == f"job-{name}"
    assert short.rsplit("-", 1)[0] == f"job-{name}"[:57]
    assert long[-6:] == short[-6:]


def test_no_other_field_of_a_pod_spec_names_a_namespace() -> None:
    """A new Kubernetes may bring one: then ``_references`` has to know it."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / "v1.36.0-local"
    definitions = json.loads((folder / "_definitions.json").read_text())["$defs"]
    found: set[str] = set()
    known: set[str] = set()
    pending = ["io.k8s.api.core.v1.PodSpec"]
    while pending:
        name = pending.pop()
        if name in known:
            continue
        known.add(name)
        text = json.dumps(definitions[name])
        pending += [other for other in definitions if f'#/$defs/{other}"' in text]
        fields = definitions[name].get("properties") or {}
        found |= {f"{name.rpartition('.')[2]}.{field}" for field in fields if "namespace" in field.lower()}
    assert found == {
        "PodSpec.shareProcessNamespace",  # of another kind
        "TypedObjectReference.namespace",  # ephemeral.volumeClaimTemplate.spec.dataSourceRef
        "StorageOSVolumeSource.volumeNamespace",
        "ObjectMeta.namespace",  # of that template: the API server refuses it
        "PodAffinityTerm.namespaces",
        "PodAffinityTerm.namespaceSelector",
    }
