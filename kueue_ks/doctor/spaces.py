"""What is asked of every API server: does it answer, how old is it, what time is it there, whose rights."""

from collections.abc import Iterator
from typing import Final

from kueue_ks.doctor.facts import Facts, SpaceFacts
from kueue_ks.doctor.finding import Check, Finding, Level
from kueue_ks.doctor.rights import CALLER
from kueue_ks.install.checks import OLDEST, SERVED, Duty
from vocabulary.resources import CLUSTER_METRICS, PLACEMENT_POLICIES

CLOCK_WARN: Final = 5.0
"""Seconds. The controllers forgive a worker 2 s (``clock_skew``), and the header is whole seconds."""
CLOCK_FAIL: Final = 60.0
"""Seconds. Reports are believed for 180 s: with this much the age of each is wrong by a third."""
NAMED: Final = 4  # rights that one line names


def spaces(facts: Facts) -> Iterator[Finding]:
    """Each API server by itself."""
    for space in facts.spaces:
        yield from _answers(space)
        if space.minor is not None:
            yield _version(space, space.minor)
        elif not space.problem:
            why = space.unread.get("version", "it does not say")
            yield Finding(Check.VERSION, Level.UNKNOWN, space.name, why)
        yield from _served(space)
        yield from _clock(space)
        yield from _rights(space)


def two_api_servers(facts: Facts) -> Iterator[Finding]:
    """A hub that is the WDS would have its own jobs carried away before anybody admitted them."""
    hub, wds = facts.of(Duty.HUB), facts.of(Duty.WDS)
    if not (hub.identity and wds.identity):
        message = "whether hub and WDS are two API servers cannot be seen"
        yield Finding(Check.TWO_API_SERVERS, Level.UNKNOWN, "wds", message)
    elif hub.identity == wds.identity:
        remedy = "use a WDS of its own (kflex create wds1 --type k8s), named by --wds-kubeconfig"
        message = f"it is the same API server as the hub (kube-system has uid {hub.identity} in both)"
        yield Finding(Check.TWO_API_SERVERS, Level.FAIL, "wds", message, remedy)
    else:
        yield Finding(Check.TWO_API_SERVERS, Level.OK, "wds", "hub and WDS are two API servers")


def _answers(space: SpaceFacts) -> Iterator[Finding]:
    if space.problem:
        remedy = f"check the kubeconfig or context of {space.name}, and that its API server runs"
        yield Finding(Check.API_SERVER, Level.FAIL, space.name, space.problem, remedy)
    else:
        yield Finding(Check.API_SERVER, Level.OK, space.name, f"{space.server} answers")
    for what, why in sorted(space.unread.items()):
        if not what.startswith(("rights of ", "version", "clock")):
            remedy = f"use credentials that may read it: kubectl auth can-i list {what}"
            message = f"{what.replace('_', ' ')} cannot be read: {why}"
            yield Finding(Check.API_SERVER, Level.UNKNOWN, space.name, message, remedy)


def _version(space: SpaceFacts, minor: tuple[int, int]) -> Finding:
    oldest = OLDEST[space.duty]
    version = f"Kubernetes {space.version or '.'.join(map(str, minor))}"
    if minor < tuple(int(part) for part in oldest.split(".")):
        remedy = f"upgrade it to Kubernetes {oldest} or newer"
        return Finding(Check.VERSION, Level.FAIL, space.name, f"{version} is older than {oldest}", remedy)
    return Finding(Check.VERSION, Level.OK, space.name, f"{version} (oldest that is supported: {oldest})")


def _served(space: SpaceFacts) -> Iterator[Finding]:
    needed, remedy = SERVED[space.duty]
    ours = {Duty.HUB: [PLACEMENT_POLICIES], Duty.WDS: [CLUSTER_METRICS], Duty.WORKER: [CLUSTER_METRICS]}
    for resources, cure in (
        (needed, remedy),
        (ours.get(space.duty, []), f"kueue-ks install (in {space.name})"),
    ):
        asked = [(r, space.serves(r.path().rpartition("/")[0], r.plural)) for r in resources]
        missing = [f"{r} ({r.version})" for r, served in asked if served is False]
        if missing:
            message = f"does not serve {', '.join(missing)}"
            yield Finding(Check.SERVED, Level.FAIL, space.name, message, cure)
        elif asked and all(served for _, served in asked):
            kinds = ", ".join(r.kind for r in resources)
            yield Finding(Check.SERVED, Level.OK, space.name, f"serves {kinds}")


def _clock(space: SpaceFacts) -> Iterator[Finding]:
    if space.ahead is None:
        return
    off = abs(space.ahead)
    direction = "ahead of" if space.ahead > 0 else "behind"
    message = f"its clock is {off:.1f}s {direction} ours"
    remedy = "synchronise the clocks (NTP): ages of reports, leases and waits depend on them"
    if off > CLOCK_FAIL:
        yield Finding(Check.CLOCK, Level.FAIL, space.name, f"{message}, more than {CLOCK_FAIL:.0f}s", remedy)
    elif off > CLOCK_WARN:
        yield Finding(Check.CLOCK, Level.WARN, space.name, f"{message}, more than {CLOCK_WARN:.0f}s", remedy)
    else:
        yield Finding(Check.CLOCK, Level.OK, space.name, f"its clock is within {CLOCK_WARN:.0f}s of ours")


def _rights(space: SpaceFacts) -> Iterator[Finding]:
    for who, denied in sorted(space.denied.items()):
        check = Check.CALLER_RIGHTS if who == CALLER else Check.PROGRAM_RIGHTS
        name = "your credentials" if who == CALLER else who
        if not denied:
            message = f"{name}: all {space.reviewed[who]} rights of our roles"
            yield Finding(check, Level.OK, space.name, message)
            continue
        more = f" and {len(denied) - NAMED} more" if len(denied) > NAMED else ""
        message = f"{name}: may not {', '.join(denied[:NAMED])}{more} ({space.reviewed[who]} asked)"
        if who == CALLER:
            remedy = (
                "only kueue-ks run needs them: give it kubeconfigs of our programs, or an administrator's"
            )
            yield Finding(check, Level.WARN, space.name, message, remedy)
        else:
            yield Finding(check, Level.FAIL, space.name, message, f"kueue-ks install (in {space.name})")
    for what, why in sorted(space.unread.items()):
        if what.startswith("rights of "):
            who = what.removeprefix("rights of ")
            check = Check.CALLER_RIGHTS if who == CALLER else Check.PROGRAM_RIGHTS
            remedy = "ask as somebody who may create subjectaccessreviews.authorization.k8s.io"
            yield Finding(check, Level.UNKNOWN, space.name, f"{what} cannot be asked for: {why}", remedy)
