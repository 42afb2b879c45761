"""Writing ``nominalQuota`` of a ClusterQueue or Cohort, and nothing else that its owner has written.

``spec.resourceGroups`` is one atomic list for server-side apply, so nobody can own one number in it:
read, change, PUT with the resourceVersion that was read.

A lendingLimit above the nominalQuota is refused by Kueue's webhook, so it is lowered in the same write.
The owner's number is kept in an annotation and comes back when there is room for it: a cluster that was
lost for an hour must not end the lending for ever. A limit that was changed meanwhile is the owner's
newest word.
"""

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from kube_runtime.errors import Conflict, NotFound
from kube_runtime.objects import Obj, uid_of
from kube_runtime.quantity import format_milli, parse, parse_milli_down
from kube_runtime.space import Space
from quota_manager.decision import Write
from quota_manager.facts import Cell, queue_facts
from vocabulary import keys
from vocabulary.resources import CLUSTER_QUEUES, COHORTS

RESOURCES: Final = {resource.kind: resource for resource in (CLUSTER_QUEUES, COHORTS)}


async def write_quotas(
    hub: Space, write: Write, *, breakdown: str | None, may_write: Callable[[], bool]
) -> Obj | None:
    """Make the changes if the queue's spec is still the one that was seen; the queue as it is then.

    ``breakdown`` says what the quotas are made of, unless it is None.

    None: it is another one by now (409, 404, a new generation, no longer managed), or we may no longer
    write. The change is an event, which brings a new decision.
    """
    resource = RESOURCES[write.queue.kind]
    try:
        seen = await hub.get(resource, write.queue.name)
        same = (
            uid_of(seen) == write.queue.uid
            and seen["metadata"].get("generation", 0) == write.queue.generation
        )
        if not same or not write.queue.ours <= queue_facts(seen).ours:  # annotations make no new generation
            return None
        changed = with_quotas(seen, {change.cell: change.new for change in write.changes})
        changed = with_breakdown(seen, changed, breakdown)
        if changed is None:
            return seen
        return await hub.update(resource, changed) if may_write() else None
    except (Conflict, NotFound):
        return None


def with_quotas(queue: Obj, quotas: Mapping[Cell, int]) -> Obj | None:
    """A copy with these nominal quotas (milli-units); None when it has them, however they are written."""
    changed = copy.deepcopy(queue)
    owners_limits = _read_limits(changed)
    different = False
    for group in changed["spec"].get("resourceGroups") or ():
        for flavor in group["flavors"]:
            for resource in flavor["resources"]:
                cell = Cell(flavor["name"], resource["name"])
                if cell in quotas and parse(resource["nominalQuota"]) * 1000 != quotas[cell]:
                    _set(resource, cell, quotas[cell], owners_limits)
                    different = True
    if not different:
        return None
    _write_limits(changed, owners_limits)
    return changed


def with_breakdown(seen: Obj, changed: Obj | None, breakdown: str | None) -> Obj | None:
    """``changed``, or a copy of ``seen``, with the annotation; None when nothing is different."""
    told = (seen["metadata"].get("annotations") or {}).get(keys.QUOTA_BREAKDOWN)
    if breakdown is None or breakdown == told:
        return changed
    changed = copy.deepcopy(seen) if changed is None else changed
    changed["metadata"].setdefault("annotations", {})[keys.QUOTA_BREAKDOWN] = breakdown
    return changed


def _set(resource: dict[str, Any], cell: Cell, quota: int, owners_limits: dict[str, str]) -> None:
    """Set the quota, and a lendingLimit to the greatest that both Kueue and its owner allow."""
    key = f"{cell.flavor}/{cell.resource}"
    kept = owners_limits.pop(key, None)
    before = parse_milli_down(resource["nominalQuota"])
    resource["nominalQuota"] = format_milli(quota, cell.resource)
    if "lendingLimit" not in resource:
        return
    present = parse_milli_down(resource["lendingLimit"])
    ours = kept is not None and present == min(parse_milli_down(kept), before)
    wish = kept if kept is not None and ours else resource["lendingLimit"]
    if parse_milli_down(wish) <= quota:
        resource["lendingLimit"] = wish
        return
    resource["lendingLimit"] = format_milli(quota, cell.resource)
    owners_limits[key] = wish


def _read_limits(queue: Obj) -> dict[str, str]:
    """What we kept; an annotation that somebody has broken is worth nothing."""
    try:
        limits = json.loads((queue["metadata"].get("annotations") or {}).get(keys.LENDING_LIMITS, "{}"))
        return {str(key): str(limit) for key, limit in limits.items() if parse(str(limit)) >= 0}
    except (ValueError, AttributeError):
        return {}


def _write_limits(queue: Obj, limits: Mapping[str, str]) -> None:
    annotations: dict[str, str] = queue["metadata"].setdefault("annotations", {})
    if limits:
        annotations[keys.LENDING_LIMITS] = json.dumps(limits, sort_keys=True)
    else:
        annotations.pop(keys.LENDING_LIMITS, None)
