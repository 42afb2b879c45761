"""The options that a leader decides with, as it publishes them on its Lease for ``kueue-ks explain``.

On the Lease, because it exists, only the leader writes it, and it says whose options these are. Readers
ignore what they do not know and take our default for what is missing, so that versions may differ.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from vocabulary import keys
from workload_controller.facts import LossPolicy
from workload_controller.situation import Timing
from workload_controller.wishes import Growth, JobPolicy, OnRemoved

LEASE: Final = "workload-controller"
"""Name of the Lease, in ``keys.SYSTEM_NAMESPACE`` unless the controller was told another one."""

STALE_AFTER: Final = 180.0  # seconds


@dataclass(frozen=True, slots=True)
class Options:
    """What decisions depend on besides objects. Not ``known``: the defaults, because nobody has said more."""

    timing: Timing = field(default_factory=Timing)
    defaults: JobPolicy = field(default_factory=JobPolicy)
    stale_after: float = STALE_AFTER
    known: bool = False


def publish(options: Options) -> dict[str, str]:
    """The annotations of the Lease."""
    policy = options.defaults
    told = {
        "staleAfter": options.stale_after,
        "timing": {f.name: getattr(options.timing, f.name) for f in fields(Timing)},
        "defaults": {
            "on_loss": policy.on_loss.value,
            "on_removed": policy.on_removed.value,
            "start_timeout": policy.start_timeout,
            "growth": policy.growth.value,
            "start_timeout_max": policy.start_timeout_max,
            "max_requeuings": policy.max_requeuings,
        },
    }
    return {keys.OPTIONS: json.dumps(told, sort_keys=True)}


def read_options(annotations: Mapping[str, str]) -> Options:
    """What a Lease says; the defaults, not ``known``, when it says nothing that can be read."""
    try:
        told = json.loads(annotations[keys.OPTIONS])
        timing = {f.name: told["timing"][f.name] for f in fields(Timing) if f.name in told["timing"]}
        options = Options(
            timing=replace(Timing(), **{name: _number(value) for name, value in timing.items()}),
            defaults=_policy(told["defaults"]),
            stale_after=float(_number(told["staleAfter"])),
            known=True,
        )
    except (KeyError, TypeError, ValueError):
        return Options()
    return options


def _policy(told: Mapping[str, Any]) -> JobPolicy:
    ours = JobPolicy()
    return JobPolicy(
        on_loss=LossPolicy(told.get("on_loss", ours.on_loss.value)),
        on_removed=OnRemoved(told.get("on_removed", ours.on_removed.value)),
        start_timeout=_number(told.get("start_timeout", ours.start_timeout)),
        growth=Growth(told.get("growth", ours.growth.value)),
        start_timeout_max=_number(told.get("start_timeout_max", ours.start_timeout_max)),
        max_requeuings=int(_number(told.get("max_requeuings", ours.max_requeuings))),
    )


def _number(value: Any) -> Any:  # noqa: ANN401  a number or a truth of JSON, refused otherwise
    if not isinstance(value, int | float):
        msg = f"{value!r} is no number"
        raise TypeError(msg)
    return value
