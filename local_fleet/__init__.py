"""The real control planes as local processes: demo, tests, benchmarks.

A recipe, in start order: ``stack`` (what is compiled) and ``build``; ``pki``, ``ports`` and ``layout``
(what one fleet owns); ``components`` (each program with its flags, its readiness test and why each unusual
flag is there); ``bootstrap`` (what is written into the API servers); ``fleet`` (everything together);
``supervisor`` (the same in the background).

``Fleet`` and ``Options`` are imported when they are asked for: a command that only catches ``FleetError``
would wait a quarter of a second of processor time for certificates and components.
"""

from typing import TYPE_CHECKING, Any

from local_fleet.errors import FleetError

if TYPE_CHECKING:
    from local_fleet.fleet import Fleet, Options

__all__ = ["Fleet", "FleetError", "Options"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  a module's attribute (PEP 562)
    if name not in {"Fleet", "Options"}:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from local_fleet import fleet  # noqa: PLC0415  see the module's docstring

    return getattr(fleet, name)
