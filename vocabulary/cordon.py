"""Our taints on a ManagedCluster of the ITS: no new jobs (cordoned), and those there move away (draining).

OCM's own means, effect NoSelect, so that its Placements leave such a cluster out too. The taint's value says
who and why in words; whoever sets the taint by other means may leave it empty.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from vocabulary import keys

EFFECT: Final = "NoSelect"
VALUE_LENGTH: Final = 1024  # ManagedCluster spec.taints[].value


@dataclass(frozen=True, slots=True)
class Cordon:
    """``words``: "by ana: kernel", "" when nothing is said. ``since``: unix seconds, 0 when not recorded."""

    words: str
    since: float
    draining: bool

    def __str__(self) -> str:
        state = "is being drained" if self.draining else "is cordoned"
        return f"{state} {self.words}".strip()


def words(who: str, reason: str) -> str:
    """As the taint's value."""
    by = f"by {who}" if who else ""
    return ": ".join(part for part in (by, " ".join(reason.split())) if part)[:VALUE_LENGTH]


def read_cordon(taints: Iterable[Mapping[str, Any]]) -> Cordon | None:
    """Ours among ``ManagedCluster.spec.taints``; None when there is none."""
    found = {t["key"]: t for t in taints if t.get("effect") == EFFECT}
    cordoned, draining = found.get(keys.CORDONED), found.get(keys.DRAINING)
    said = draining or cordoned
    if said is None:
        return None
    at = said.get("timeAdded")
    since = datetime.fromisoformat(at).timestamp() if at else 0.0
    return Cordon(said.get("value") or "", since, draining is not None)


def with_cordon(
    taints: Iterable[Mapping[str, Any]], value: str, *, draining: bool, anew: bool, now: str
) -> list[dict[str, Any]]:
    """The taints with ours; one that is there keeps its time, and its words unless they are said ``anew``."""
    wanted = {keys.CORDONED, keys.DRAINING} if draining else {keys.CORDONED}
    result = [dict(t) for t in taints]
    for key in sorted(wanted):
        ours = next((t for t in result if (t["key"], t.get("effect")) == (key, EFFECT)), None)
        if ours is None:
            result.append({"key": key, "value": value, "effect": EFFECT, "timeAdded": now})
        elif anew:
            ours["value"] = value
    return result


def without_cordon(taints: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The taints without ours, whatever their effect."""
    return [dict(t) for t in taints if t["key"] not in (keys.CORDONED, keys.DRAINING)]
