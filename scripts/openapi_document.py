"""The OpenAPI document of KubeStellar's API, spelled out from generated/openapi/kinds.yaml.

KubeStellar publishes CRDs and no OpenAPI document, and the CRDs know neither paths nor lists. What every
Kubernetes API has alike (envelopes, paths, parameters, answers) is made here, so that kinds.yaml holds
only what is KubeStellar's own. No I/O; generate_client.py reads and writes.

Operations are named as the official client names them (``list_namespaced_work_status``). Left out: watch
and deletecollection, which our programs do not use.
"""

from typing import Any

Node = dict[str, Any]

SERVED_AS = "application/json"
# The first is what the client sends when the caller names none. JSON Patch is left out: it is
# the only one whose body is a list, and our programs never send it.
PATCHED_AS = ("application/merge-patch+json", "application/apply-patch+yaml")

LIST_QUERY = (
    "labelSelector",
    "fieldSelector",
    "limit",
    "continue",
    "resourceVersion",
    "resourceVersionMatch",
)
WRITE_QUERY = ("dryRun", "fieldManager", "fieldValidation")
PATCH_QUERY = (*WRITE_QUERY, "force")

PARAMETERS: dict[str, tuple[str, str, str]] = {  # name: where, type, what it does
    "name": ("path", "string", "metadata.name of the object."),
    "namespace": ("path", "string", "Namespace of the object."),
    "labelSelector": ("query", "string", "Only objects whose labels match."),
    "fieldSelector": ("query", "string", "Only objects whose fields match."),
    "limit": ("query", "integer", "Most items in one answer; metadata.continue leads to the next."),
    "continue": ("query", "string", "Token from the answer before."),
    "resourceVersion": ("query", "string", "How old the answer may be; absent is not at all."),
    "resourceVersionMatch": ("query", "string", "Exact or NotOlderThan; how resourceVersion is meant."),
    "dryRun": ("query", "string", "All: everything is checked and nothing is stored."),
    "fieldManager": ("query", "string", "Who writes; server-side apply needs it."),
    "fieldValidation": ("query", "string", "Strict refuses unknown fields, which are dropped otherwise."),
    "force": ("query", "boolean", "Server-side apply takes fields over from other managers."),
}


def build_document(source: Node) -> Node:
    """The whole document. ``source`` is kinds.yaml; KeyError names what it lacks."""
    group, version = source["group"], source["version"]
    schemas: Node = {}
    paths: Node = {}
    for kind in source["kinds"]:
        schemas[kind["kind"]] = _object_schema(kind)
        schemas[f"{kind['kind']}List"] = _list_schema(kind["kind"])
        paths |= _paths(kind, f"/apis/{group}/{version}", tag=f"{group}_{version}".replace(".", "_"))
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "KubeStellar",
            "version": version,
            "description": f"{group}/{version} as kueue-kubestellar uses it.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"BearerToken": []}],
        "paths": paths,
        "components": {
            "parameters": {name: _parameter(name) for name in PARAMETERS},
            "schemas": schemas | source["schemas"],
            # The name under which kubernetes.aio keeps its token, so that both clients can share it.
            "securitySchemes": {"BearerToken": {"type": "apiKey", "in": "header", "name": "authorization"}},
        },
    }


def _object_schema(kind: Node) -> Node:
    return {
        "type": "object",
        "description": kind["description"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Group and version."},
            "kind": {"type": "string", "description": kind["kind"] + "."},
            "metadata": _ref("ObjectMeta"),
            **kind["fields"],
        },
    }


def _list_schema(kind: str) -> Node:
    return {
        "type": "object",
        "description": f"Objects of kind {kind}.",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Group and version."},
            "kind": {"type": "string", "description": f"{kind}List."},
            "metadata": _ref("ListMeta"),
            "items": {"type": "array", "description": "The objects.", "items": _ref(kind)},
        },
    }


def _paths(kind: Node, root: str, *, tag: str) -> Node:
    name, namespaced = kind["kind"], kind["scope"] == "Namespaced"
    where = ("namespace",) if namespaced else ()
    noun = f"Namespaced{name}" if namespaced else name
    collection = (
        f"{root}/namespaces/{{namespace}}/{kind['plural']}" if namespaced else f"{root}/{kind['plural']}"
    )
    paths = {
        collection: {
            "get": _operation(f"list{noun}", f"{name}List", where + LIST_QUERY),
            "post": _operation(f"create{noun}", name, where + WRITE_QUERY, body=name, created=True),
        },
        f"{collection}/{{name}}": {
            "get": _operation(f"read{noun}", name, ("name", *where)),
            "put": _operation(
                f"replace{noun}", name, ("name", *where, *WRITE_QUERY), body=name, created=True
            ),
            "patch": _operation(f"patch{noun}", name, ("name", *where, *PATCH_QUERY), patch=True),
            "delete": _operation(f"delete{noun}", None, ("name", *where, "dryRun"), body="DeleteOptions"),
        },
    }
    if namespaced:
        everywhere = _operation(f"list{name}ForAllNamespaces", f"{name}List", LIST_QUERY)
        paths[f"{root}/{kind['plural']}"] = {"get": everywhere}
    if kind["status"]:
        paths[f"{collection}/{{name}}/status"] = {
            "get": _operation(f"read{noun}Status", name, ("name", *where)),
            "put": _operation(f"replace{noun}Status", name, ("name", *where, *WRITE_QUERY), body=name),
            "patch": _operation(f"patch{noun}Status", name, ("name", *where, *PATCH_QUERY), patch=True),
        }
    for path in paths.values():
        for operation in path.values():
            operation["tags"] = [tag]
    return paths


def _operation(
    operation_id: str,
    answer: str | None,
    parameters: tuple[str, ...],
    *,
    body: str | None = None,
    patch: bool = False,
    created: bool = False,
) -> Node:
    """One method of the client.

    ``answer`` is the schema of what comes back; None is free-form, as a deletion answers with a Status or
    with the object.
    """
    found = {
        "description": "OK",
        "content": {SERVED_AS: {"schema": _ref(answer) if answer else _free_form()}},
    }
    operation: Node = {
        "operationId": operation_id,
        "summary": _summary(operation_id),
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in parameters],
    }
    if body:
        operation["requestBody"] = {
            "required": body != "DeleteOptions",
            "content": {SERVED_AS: {"schema": _ref(body)}},
        }
    if patch:
        operation["requestBody"] = {
            "required": True,
            "content": {media: {"schema": _free_form()} for media in PATCHED_AS},
        }
    operation["responses"] = {"200": found}
    if created or patch:  # an apply of an object that does not exist creates it
        operation["responses"]["201"] = {**found, "description": "Created"}
    if answer is None:
        operation["responses"]["202"] = {**found, "description": "Accepted"}
    return operation


def _summary(operation_id: str) -> str:
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in operation_id)
    return words.capitalize()


def _parameter(name: str) -> Node:
    place, type_, description = PARAMETERS[name]
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": {"type": type_},
    }


def _free_form() -> Node:
    return {"type": "object", "additionalProperties": True}


def _ref(schema: str) -> Node:
    return {"$ref": f"#/components/schemas/{schema}"}
