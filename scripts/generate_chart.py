"""Write config/helm, the Helm chart, from the manifests that the kustomizations of config/ name.

The manifests are the one truth: the chart is their text, with a few values in place of what people change,
and a condition around what not everybody wants. tests/config/test_chart.py compares it with what is there.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "config"
CHART = CONFIG / "helm"

# Folders of config/ whose kustomization says which files are meant, and the value that they depend on.
TEMPLATES: Mapping[str, str] = {
    "rbac": "",
    "controllers": "",
    "admission": "admissionPolicy",
    "prometheus": "prometheus",
}
# Helm installs these first and never deletes them, so that an uninstall keeps people's objects.
CRDS = "crd"

# Text of the manifests, and the value that stands in its place.
VALUES: Mapping[str, str] = {
    "image: kueue-kubestellar:0.1.0": "image: {{ .Values.image }}",
    "replicas: 2": "replicas: {{ .Values.replicas }}",
    "metadata.name: monitoring": "metadata.name: {{ .Values.monitoringNamespace }}",
}

VALUES_YAML = """\
# Written by scripts/generate_chart.py.
image: kueue-kubestellar:0.1.0 # as you built and pushed it: docs/deployment.md
replicas: 2 # of each controller; one of them leads
admissionPolicy: true # false on hubs before Kubernetes 1.36
prometheus: false # ServiceMonitor and alerts; needs the Prometheus Operator
monitoringNamespace: monitoring # whose pods may read the metrics
"""

CHART_YAML = """\
# Written by scripts/generate_chart.py.
apiVersion: v2
name: kueue-kubestellar
description: "Both controllers on the hub. WDS, ITS and workers: kueue-ks install --no-hub"
type: application
version: 0.1.0
appVersion: "0.1.0"
kubeVersion: ">=1.34.0-0"
"""


def chart() -> dict[str, str]:
    """Every file of the chart by its path in it."""
    files = {"Chart.yaml": CHART_YAML, "values.yaml": VALUES_YAML}
    for folder, condition in TEMPLATES.items():
        for name in named(folder):
            text = template((CONFIG / folder / name).read_text())
            if condition:
                text = f"{{{{- if .Values.{condition} }}}}\n{text}{{{{- end }}}}\n"
            files[f"templates/{folder}-{name}"] = text
    files |= {f"crds/{name}": (CONFIG / CRDS / name).read_text() for name in named(CRDS)}
    return files


def named(folder: str) -> list[str]:
    """The files that the kustomization of a folder names."""
    resources: list[str] = yaml.safe_load((CONFIG / folder / "kustomization.yaml").read_text())["resources"]
    return resources


def template(text: str) -> str:
    """A manifest as a template: what looks like one already (in alerts) stays text."""
    text = text.replace("{{", '{{ "{{" }}')
    for written, value in VALUES.items():
        text = text.replace(written, value)
    return text


def main() -> None:
    """Write what is missing or differs, delete what is no longer meant."""
    files = chart()
    for path in CHART.rglob("*"):
        if path.is_file() and str(path.relative_to(CHART)) not in files:
            path.unlink()
    for name, text in files.items():
        path = CHART / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    sys.stdout.write(f"{len(files)} files in {CHART.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
