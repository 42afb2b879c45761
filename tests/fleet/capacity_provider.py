"""A CRD of the shape of Kueue's CapacityProvider (v1alpha1, from 0.20 on), with its validation."""

from typing import Any

from kube_runtime.objects import Obj
from vocabulary.resources import CAPACITY_PROVIDERS

FLAVOR_NAME = {"type": "string", "minLength": 1, "maxLength": 253}


def _object(required: list[str], **properties: Any) -> Obj:
    return {"type": "object", "required": required, "properties": properties}


def _list_by(key: str, items: Obj, most: int, least: int = 0) -> Obj:
    by = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    return {"type": "array", "items": items, "maxItems": most, "minItems": least, **by}


QUANTITY = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
    "pattern": r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
}
RESOURCES = {
    "type": "object",
    "additionalProperties": QUANTITY,
    "minProperties": 1,
    "maxProperties": 64,
}
CONDITION = _object(
    ["type", "status", "lastTransitionTime", "reason", "message"],
    type={"type": "string", "maxLength": 316},
    status={"type": "string", "enum": ["True", "False", "Unknown"]},
    observedGeneration={"type": "integer", "format": "int64", "minimum": 0},
    lastTransitionTime={"type": "string", "format": "date-time"},
    reason={"type": "string", "minLength": 1, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
    message={"type": "string", "maxLength": 32768},
)


def crd() -> Obj:
    """To be created on the hub."""
    spec = _object(
        ["controllerName", "orchestratedFlavors"],
        controllerName={
            **FLAVOR_NAME,
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "field is immutable"}],
        },
        orchestratedFlavors=_list_by("name", _object(["name"], name=FLAVOR_NAME), 64, 1),
    )
    flavor = _object(["name", "resources"], name=FLAVOR_NAME, resources=RESOURCES)
    status = _object(
        [],
        capacity=_object(["flavors"], flavors=_list_by("name", flavor, 64)),
        conditions=_list_by("type", CONDITION, 16),
    )
    version = {
        "name": CAPACITY_PROVIDERS.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": _object([], spec=spec, status=status)},
    }
    group, plural = CAPACITY_PROVIDERS.group, CAPACITY_PROVIDERS.plural
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            # Asked of every kind in *.k8s.io; this one is an imitation, which is a reason of its own.
            "annotations": {"api-approved.kubernetes.io": "unapproved, an imitation for tests"},
        },
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"plural": plural, "singular": "capacityprovider", "kind": CAPACITY_PROVIDERS.kind},
            "versions": [version],
        },
    }
