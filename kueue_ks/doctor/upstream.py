"""Kueue and KubeStellar, as far as their Deployments on the hub can be seen: versions, gates, rates."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import yaml

from kube_runtime.objects import Obj
from kueue_ks.doctor.facts import Facts
from kueue_ks.doctor.finding import Check, Finding, Level
from kueue_ks.install.checks import Duty
from vocabulary.resources import CLUSTER_METRICS, JOBS

GATE: Final = "FinishOrphanedWorkloads"
GATE_SINCE: Final = (0, 19)  # beta and on
ENOUGH: Final = 50.0
"""Requests per second below which KubeStellar or Kueue, not the clusters, limit a burst of jobs."""
CLIENT_GO: Final = 5.0  # of KubeStellar's flags
KUEUE_DEFAULT: Final = 20.0  # clientConnection.qps
CARRIED: Final = (JOBS.group, CLUSTER_METRICS.group)


def kueue(facts: Facts) -> Iterator[Finding]:
    """Version, the gate that frees quota too early, and the rate that limits admissions."""
    lists = facts.of(Duty.HUB).lists
    containers = _containers(lists.get("kueue", ()))
    if not containers:
        message = "no Deployment of Kueue is to be seen on the hub (label app.kubernetes.io/name=kueue)"
        for check in (Check.KUEUE, Check.KUEUE_GATES, Check.KUEUE_RATE):
            yield Finding(check, Level.UNKNOWN, "kueue", message, _BY_HAND[check])
        return
    image = next((c["image"] for c in containers if "kueue" in c["image"]), containers[0]["image"])
    version = _version(image)
    yield Finding(Check.KUEUE, Level.OK, "kueue", f"{image} serves v1beta2 (0.16 and newer do)")
    configuration = _configuration(lists.get("kueue_config", ()))
    gates = {**(configuration.get("featureGates") or {}), **_gates(containers)}
    if gates.get(GATE, version is None or version >= GATE_SINCE) is False:
        yield Finding(Check.KUEUE_GATES, Level.OK, "kueue", f"{GATE} is off, or not there yet")
    else:
        message = f"feature gate {GATE} is on: a deleted job's quota is free while its pods still run"
        yield Finding(Check.KUEUE_GATES, Level.WARN, "kueue", message, _BY_HAND[Check.KUEUE_GATES])
    qps = float((configuration.get("clientConnection") or {}).get("qps") or KUEUE_DEFAULT)
    if "kueue_config" not in lists:
        message = "the ConfigMap kueue-manager-config was not read"
        yield Finding(Check.KUEUE_RATE, Level.UNKNOWN, "kueue", message, _BY_HAND[Check.KUEUE_RATE])
    elif qps < ENOUGH:
        message = f"clientConnection.qps is {qps:g}, below {ENOUGH:g}: it limits how fast jobs are admitted"
        yield Finding(Check.KUEUE_RATE, Level.WARN, "kueue", message, _BY_HAND[Check.KUEUE_RATE])
    else:
        yield Finding(Check.KUEUE_RATE, Level.OK, "kueue", f"clientConnection.qps is {qps:g}")


_BY_HAND: Final = {
    Check.KUEUE: "check that Kueue is 0.16 or newer",
    Check.KUEUE_GATES: f"set featureGates: {{{GATE}: false}} in Kueue's configuration, and restart it",
    Check.KUEUE_RATE: "set clientConnection: {qps: 1000, burst: 2000} in Kueue's configuration",
}


def kubestellar(facts: Facts) -> Iterator[Finding]:
    """Whether it carries our kinds, and how fast."""
    lists = facts.of(Duty.HUB).lists
    manager, transport = (_containers(lists.get(name, ())) for name in ("kubestellar", "transport"))
    if not manager:
        message = "no Deployment kubestellar-controller-manager is to be seen on the hub"
        remedy = "check that its --api-groups has batch and galaxy.kubestellar.io, or is empty"
        yield Finding(Check.CARRIED, Level.UNKNOWN, "kubestellar", message, remedy)
        remedy = "check its --wds-qps and --its-qps, and the transport's --wds-qps and --transport-qps"
        yield Finding(Check.KUBESTELLAR_RATE, Level.UNKNOWN, "kubestellar", message, remedy)
        return
    groups = _flags(manager).get("api-groups", "")
    missing = [group for group in CARRIED if groups and group not in groups.split(",")]
    if missing:
        message = f"--api-groups={groups} leaves out {', '.join(missing)}: such objects are not carried"
        remedy = "add them (KubeStellar's chart: APIGroups of the WDS)"
        yield Finding(Check.CARRIED, Level.FAIL, "kubestellar", message, remedy)
    else:
        said = f"--api-groups={groups}" if groups else "all API groups"
        yield Finding(Check.CARRIED, Level.OK, "kubestellar", f"carries {said}")
    yield _rate("kubestellar-controller-manager", manager, ("wds-qps", "its-qps"))
    if transport:
        yield _rate("transport-controller", transport, ("wds-qps", "transport-qps"))


def _rate(name: str, containers: Sequence[Obj], wanted: Sequence[str]) -> Finding:
    flags = _flags(containers)
    rates = {flag: float(flags.get(flag) or CLIENT_GO) for flag in wanted}
    low = [f"--{flag} is {rate:g}" for flag, rate in rates.items() if rate < ENOUGH]
    if low:
        message = f"{' and '.join(low)}, below {ENOUGH:g}: it limits how fast jobs reach their clusters"
        bursts = " ".join(f"--{flag}=200 --{flag.replace('qps', 'burst')}=400" for flag in wanted)
        remedy = f"kubectl edit deployment {name} (args): {bursts}"
        return Finding(Check.KUBESTELLAR_RATE, Level.WARN, name, message, remedy)
    said = ", ".join(f"--{flag}={rate:g}" for flag, rate in rates.items())
    return Finding(Check.KUBESTELLAR_RATE, Level.OK, name, said)


def _containers(deployments: Sequence[Obj]) -> list[dict[str, Any]]:
    return [c for d in deployments for c in d["spec"]["template"]["spec"].get("containers") or ()]


def _flags(containers: Sequence[Obj]) -> dict[str, str]:
    """``--name=value`` and ``--name value`` of all containers."""
    words = [str(w) for c in containers for w in (*(c.get("command") or ()), *(c.get("args") or ()))]
    found: dict[str, str] = {}
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            found[name] = value if equals else ("" if following.startswith("-") else following)
    return found


def _gates(containers: Sequence[Obj]) -> dict[str, bool]:
    pairs = (pair.partition("=") for pair in _flags(containers).get("feature-gates", "").split(","))
    return {name: value.lower() == "true" for name, _, value in pairs if name}


def _configuration(config_maps: Sequence[Obj]) -> dict[str, Any]:
    for config_map in config_maps:
        for text in (config_map.get("data") or {}).values():
            try:
                found = yaml.safe_load(text)
            except yaml.YAMLError:
                continue
            if isinstance(found, dict):
                return found
    return {}


def _version(image: str) -> tuple[int, int] | None:
    found = re.search(r":v?(\d+)\.(\d+)", image)
    return (int(found[1]), int(found[2])) if found else None
