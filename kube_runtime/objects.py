"""Objects as the API server sends them, and how they are named."""

from typing import Any, TypeAlias

Obj: TypeAlias = dict[str, Any]
"""One object as decoded JSON."""

Key: TypeAlias = tuple[str, str]
"""(namespace, name); the namespace of a cluster-scoped object is ""."""


def key_of(obj: Obj) -> Key:
    """The object's key."""
    metadata = obj["metadata"]
    return (metadata.get("namespace", ""), metadata["name"])


def uid_of(obj: Obj) -> str:
    """``metadata.uid``."""
    uid: str = obj["metadata"]["uid"]
    return uid
