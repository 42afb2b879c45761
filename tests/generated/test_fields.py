"""Our description of KubeStellar's API has the fields of KubeStellar's CRDs, no fewer and no others."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from local_fleet.binaries import provide
from local_fleet.build import cache_root, cached_build
from local_fleet.progress import Silent
from local_fleet.stack_modules import KUBESTELLAR

KUBESTELLAR_MODULE = "github.com/kubestellar/kubestellar"
DOCUMENT = Path(__file__).resolve().parents[2] / "generated" / "openapi" / "kubestellar.yaml"
KINDS = ["BindingPolicy", "Binding", "StatusCollector", "CombinedStatus", "CustomTransform"]


def of_module_cache() -> Path | None:
    """The CRDs in the Go module that the fleet pins."""
    go = shutil.which("go")
    printed = (
        subprocess.run([go, "env", "GOMODCACHE"], check=False, capture_output=True, text=True) if go else None
    )
    cache = printed.stdout.strip() if printed else os.environ.get("GOMODCACHE")
    root = Path(cache) if cache else Path.home() / "go" / "pkg" / "mod"
    file = (
        root
        / f"{KUBESTELLAR_MODULE}@{KUBESTELLAR.version_of(KUBESTELLAR_MODULE)}"
        / "pkg/crd/files/crds.yaml"
    )
    return file if file.exists() else None


def of_fleet() -> Path | None:
    """The CRDs that the fleet keeps beside the binaries that it built."""
    built = cached_build(KUBESTELLAR, KUBESTELLAR.programs, cache_root())
    return built / "manifests" / "kubestellar-crds.json" if built else None


CRDS = of_fleet() or of_module_cache()

# Where neither is at hand these are fleet tests: they build KubeStellar, which others need not do.
pytestmark = [] if CRDS else [pytest.mark.fleet]


class Field(NamedTuple):
    path: str
    type: str
    format: str
    required: bool  # False below status, where the description says so on purpose


def fields(schema: dict[str, Any], path: str = "") -> Iterator[Field]:
    required = () if path.startswith(".status") else schema.get("required", ())
    for name, child in schema.get("properties", {}).items():
        if path or name not in {"apiVersion", "kind", "metadata"}:
            yield Field(f"{path}.{name}", child.get("type", ""), child.get("format", ""), name in required)
            yield from fields(child, f"{path}.{name}")
    for step, key in (("[]", "items"), ("{}", "additionalProperties")):
        child = schema.get(key)
        if isinstance(child, dict) and child:
            yield Field(f"{path}{step}", child.get("type", ""), child.get("format", ""), required=False)
            yield from fields(child, path + step)


def resolve(node: Any, schemas: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        if "$ref" in node:
            return resolve(schemas[node["$ref"].rpartition("/")[2]], schemas)
        return {key: resolve(value, schemas) for key, value in node.items()}
    return node


@pytest.fixture(scope="module")
def crds() -> dict[str, Any]:
    file = CRDS or provide(Silent()).manifest("kubestellar-crds")
    read = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))  # JSON is YAML; it has them in a list
    found = read[0] if isinstance(read[0], list) else read
    return {crd["spec"]["names"]["kind"]: crd["spec"] for crd in found if crd}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return dict(yaml.safe_load(DOCUMENT.read_text(encoding="utf-8")))


def test_every_kind_is_described(crds: dict[str, Any]) -> None:
    assert sorted(crds) == sorted(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_fields_types_and_requirements_agree(
    kind: str, crds: dict[str, Any], document: dict[str, Any]
) -> None:
    schemas = document["components"]["schemas"]
    theirs = {f.path: f for f in fields(crds[kind]["versions"][0]["schema"]["openAPIV3Schema"])}
    ours = {f.path: f for f in fields(resolve(schemas[kind], schemas))}
    for path, mine in ours.items():
        if path in theirs and not theirs[path].type:  # any value; we say what is in it
            theirs[path] = theirs[path]._replace(type=mine.type)
    assert ours == theirs


@pytest.mark.parametrize("kind", KINDS)
def test_paths_agree(kind: str, crds: dict[str, Any], document: dict[str, Any]) -> None:
    spec = crds[kind]
    middle = "/namespaces/{namespace}" if spec["scope"] == "Namespaced" else ""
    one = f"/apis/{spec['group']}/v1alpha1{middle}/{spec['names']['plural']}/{{name}}"
    assert sorted(document["paths"][one]) == ["delete", "get", "patch", "put"]
    assert ("status" in spec["versions"][0].get("subresources", {})) == (f"{one}/status" in document["paths"])
