"""The chart of config/helm is what generate_chart.py makes of the manifests, and installs the same."""

import json
import shutil
import subprocess
from typing import Any, NamedTuple

import pytest
import yaml

from kube_runtime.objects import Obj
from scripts.generate_chart import CHART, VALUES, chart
from tests.config.rendering import CONFIG, kustomized, templated


class Case(NamedTuple):
    reason: str
    overlay: str
    values: dict[str, Any]


CASES = [
    Case("as it comes", "base", {}),
    Case("with the Prometheus Operator", "overlays/prometheus", {"prometheus": True}),
    Case("on hubs before Kubernetes 1.36", "overlays/without-admission", {"admissionPolicy": False}),
]


def by_name(objects: Any) -> dict[tuple[str, str], Obj]:
    found = list(objects)
    named = {(obj["kind"], obj["metadata"]["name"]): obj for obj in found}
    assert len(named) == len(found), "one object twice"
    return named


def test_the_chart_is_up_to_date() -> None:
    written = {str(path.relative_to(CHART)): path.read_text() for path in CHART.rglob("*") if path.is_file()}
    assert written == chart(), "run make generate"


def test_every_value_stands_for_something() -> None:
    text = "".join(chart().values())
    assert [value for value in VALUES.values() if value not in text] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_chart_and_kustomization_install_the_same(case: Case) -> None:
    assert by_name(templated(CHART, case.values)) == by_name(kustomized(CONFIG / case.overlay))


def test_values_reach_the_objects() -> None:
    values = {"image": "registry.example/k:1", "replicas": 3, "monitoringNamespace": "observability"}
    found = by_name(templated(CHART, values))
    for name in ("workload-controller", "quota-manager"):
        spec = found["Deployment", name]["spec"]
        assert (spec["replicas"], spec["template"]["spec"]["containers"][0]["image"]) == (
            3,
            "registry.example/k:1",
        )
    assert "observability" in json.dumps(found["NetworkPolicy", "kueue-kubestellar"])


@pytest.mark.skipif(shutil.which("helm") is None, reason="Helm is not on PATH")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_helm_renders_the_same(case: Case) -> None:
    flags = [f"--set={name}={str(value).lower()}" for name, value in case.values.items()]
    rendered = subprocess.run(
        ["helm", "template", "kueue-ks", str(CHART), "--include-crds", "--kube-version=1.36.0", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    objects = [obj for obj in yaml.safe_load_all(rendered.stdout) if obj]
    assert by_name(objects) == by_name(kustomized(CONFIG / case.overlay))
    assert subprocess.run(["helm", "lint", "--quiet", str(CHART)], timeout=60, check=False).returncode == 0
