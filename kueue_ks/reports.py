"""How a report becomes JSON: one versioned document per command, made of its dataclasses."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any, Final

API_VERSION: Final = "cli.kueue-ks/v1"


def document(kind: str, report: Any) -> dict[str, Any]:  # noqa: ANN401  any of our dataclasses
    """The published form."""
    return {"apiVersion": API_VERSION, "kind": kind, **plain(report)}


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Field names in camelCase; keys of mappings are the users' and stay."""
    if is_dataclass(value) and not isinstance(value, type):
        return {_camel(f.name): plain(getattr(value, f.name)) for f in fields(value)}
    match value:
        case tuple():
            return [plain(each) for each in value]
        case StrEnum():
            return value.value
        case Mapping():
            return {key: plain(each) for key, each in value.items()}
        case _:
            return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
