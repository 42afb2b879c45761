"""Whether both controllers live: who holds their Leases, and since when nobody has renewed them."""

from collections.abc import Iterator
from typing import Final

from kube_runtime.objects import Obj
from kueue_ks.amounts import age
from kueue_ks.doctor.facts import Facts
from kueue_ks.doctor.finding import Check, Finding, Level
from kueue_ks.install.checks import Duty
from vocabulary import keys
from workload_controller.published import LEASE, read_options
from workload_controller.reading import seconds

CONTROLLERS: Final = (LEASE, "quota-manager")
_START: Final = "start it (kueue-ks run, or its Deployment), and look into its log"


def controllers(facts: Facts) -> Iterator[Finding]:
    """Both, and the options that WorkloadController has told."""
    lists = facts.of(Duty.HUB).lists
    if "leases" not in lists:
        yield Finding(Check.CONTROLLERS, Level.UNKNOWN, "hub", "Leases were not read")
        return
    leases = {lease["metadata"]["name"]: lease for lease in lists["leases"]}
    for name in CONTROLLERS:
        yield _alive(name, leases.get(name), facts.now)
    annotations = leases.get(LEASE, {}).get("metadata", {}).get("annotations") or {}
    if read_options(annotations).known:
        yield Finding(Check.OPTIONS, Level.OK, LEASE, f"its options are on its Lease ({keys.OPTIONS})")
    elif LEASE in leases:
        message = f"its Lease lacks {keys.OPTIONS}, or it cannot be read: explain and audit assume defaults"
        yield Finding(
            Check.OPTIONS, Level.WARN, LEASE, message, "run controllers and kueue-ks of one version"
        )


def _alive(name: str, lease: Obj | None, now: float) -> Finding:
    namespace = keys.SYSTEM_NAMESPACE
    if lease is None:
        return Finding(
            Check.CONTROLLERS, Level.FAIL, name, f"no Lease {namespace}/{name}: it never led", _START
        )
    spec = lease.get("spec") or {}
    if not spec.get("holderIdentity"):
        return Finding(Check.CONTROLLERS, Level.FAIL, name, "its Lease has no holder: it was ended", _START)
    silent, lasts = now - seconds(spec.get("renewTime")), float(spec.get("leaseDurationSeconds") or 0)
    if silent > lasts:
        gone = f"{spec['holderIdentity']} is gone"
        message = f"its Lease was renewed {age(silent)} ago and lasts {lasts:.0f}s: {gone}"
        return Finding(Check.CONTROLLERS, Level.FAIL, name, message, _START)
    message = f"{spec['holderIdentity']} leads, renewed {age(max(0.0, silent))} ago"
    return Finding(Check.CONTROLLERS, Level.OK, name, message)
