"""Pod requests against Kubernetes' own words, for pods that no table thinks of.

``plain`` is component-helpers ``resource.PodRequests`` (0.36.3) written down line by line, with the options
that kube-scheduler 1.36 gives it. ``RECORDED`` holds answers of that Go function itself for random pods.
"""

import json
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_runtime.quantity import parse_milli_up
from vocabulary.pod_requests import asks_by_claim, pod_requests, unreadable_requests

RECORDED = json.loads((Path(__file__).parent / "pod_requests_of_kubernetes.json").read_text())

Amounts: TypeAlias = dict[str, int]
HUGE = "hugepages-2Mi"
RESOURCES = ("cpu", HUGE, "nvidia.com/gpu")  # few, so that the parts of a pod meet
LISTS = st.dictionaries(
    st.sampled_from(RESOURCES), st.sampled_from(["0", "1", "250m", "3", "4", "2Ki"]), min_size=1
)


def maybe(name: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.just({}) | value.map(lambda found: {name: found})


def joined(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda found: {key: each[key] for each in found for key in each})


def named(containers: list[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    return [{"name": f"{prefix}{i}", **container} for i, container in enumerate(containers)]


REQUESTS = LISTS.map(lambda amounts: {"requests": amounts})
CONTAINER = REQUESTS.map(lambda found: {"resources": found})
START = joined(CONTAINER, maybe("restartPolicy", st.just("Always")))
STATE = joined(CONTAINER, maybe("allocatedResources", LISTS))
PENDING = st.sampled_from(["Infeasible", "Deferred"]).map(
    lambda why: [{"type": "PodResizePending", "reason": why}]
)
SPECS = joined(
    st.lists(CONTAINER | st.just({}), min_size=1, max_size=2).map(
        lambda found: {"containers": named(found, "c")}
    ),
    maybe("initContainers", st.lists(START, min_size=2, max_size=3).map(lambda found: named(found, "i"))),
    maybe("resources", REQUESTS),
    maybe("overhead", LISTS),
)
STATUSES = joined(
    maybe("containerStatuses", st.lists(STATE, min_size=2, max_size=2).map(lambda found: named(found, "c"))),
    maybe(
        "initContainerStatuses", st.lists(STATE, min_size=3, max_size=3).map(lambda found: named(found, "i"))
    ),
    maybe("resources", REQUESTS),
    maybe("allocatedResources", LISTS),
    maybe("conditions", PENDING),
)


def milli(amounts: dict[str, str] | None) -> Amounts:
    return {name: parse_milli_up(value) for name, value in (amounts or {}).items()}


def add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def raise_to(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        if name not in total or amount > total[name]:
            total[name] = amount


def effective(status: dict[str, Any], asked: Amounts, state: dict[str, Any]) -> Amounts:
    pending = [c["reason"] for c in status.get("conditions", []) if c["type"] == "PodResizePending"]
    found = {} if pending[:1] == ["Infeasible"] else dict(asked)
    raise_to(found, milli(state["resources"].get("requests")))
    raise_to(found, milli(state.get("allocatedResources")))
    return found


def plain(spec: dict[str, Any], status: dict[str, Any]) -> Amounts:
    states = {}
    for state in status.get("containerStatuses", []) + status.get("initContainerStatuses", []):
        states[state["name"]] = state

    def asked(container: dict[str, Any], *, resized: bool) -> Amounts:
        requests = milli((container.get("resources") or {}).get("requests"))
        state = states.get(container["name"])
        if resized and state is not None and state.get("resources") is not None:
            return effective(status, requests, state)
        return requests

    total: Amounts = {}
    for container in spec["containers"]:
        add(total, asked(container, resized=True))
    restartable: Amounts = {}
    start: Amounts = {}
    for container in spec.get("initContainers", []):
        if container.get("restartPolicy") == "Always":
            requests = asked(container, resized=True)
            add(total, requests)
            add(restartable, requests)
            raise_to(start, restartable)
        else:
            moment = asked(container, resized=False)
            add(moment, restartable)
            raise_to(start, moment)
    raise_to(total, start)
    pod_level = milli((spec.get("resources") or {}).get("requests"))
    resized_pod = effective(status, pod_level, status) if status.get("resources") is not None else pod_level
    for name in pod_level:
        if name in ("cpu", "memory") or name.startswith("hugepages-"):
            total[name] = resized_pod.get(name, 0)
    add(total, milli(spec.get("overhead")))
    return total


def without_zeros(amounts: Amounts) -> Amounts:
    return {name: amount for name, amount in amounts.items() if amount}


@given(SPECS, STATUSES)
def test_any_pod_asks_what_kube_scheduler_counts(spec: dict[str, Any], status: dict[str, Any]) -> None:
    want = plain(spec, status)
    add(want, {"pods": 1000})
    assert without_zeros(pod_requests(spec, status)) == without_zeros(want)
    assert unreadable_requests(spec, status) == {}


@pytest.mark.parametrize("pod", RECORDED, ids=lambda pod: pod["metadata"]["name"])
def test_kubernetes_itself_says_so(pod: dict[str, Any]) -> None:
    """``want`` was printed by PodRequests, MilliValue of each resource."""
    want = pod["want"]
    assert without_zeros(plain(pod["spec"], pod["status"])) == want
    assert without_zeros(pod_requests(pod["spec"], pod["status"])) == want | {"pods": 1000}


BROKEN = [
    ("a container", {"containers": [{"name": "c", "resources": {"requests": {"cpu": "-1"}}}]}, {}),
    ("an init container", {"initContainers": [{"name": "c", "resources": {"requests": {"cpu": "-1"}}}]}, {}),
    ("a limit", {"containers": [{"name": "c", "resources": {"limits": {"cpu": "-1"}}}]}, {}),
    ("the pod as a whole", {"resources": {"requests": {"cpu": "-1"}}}, {}),
    ("its overhead", {"overhead": {"cpu": "-1"}}, {}),
    (
        "what a container was allocated",
        {"containers": [{"name": "c"}]},
        {"containerStatuses": [{"name": "c", "resources": {}, "allocatedResources": {"cpu": "-1"}}]},
    ),
]


@pytest.mark.parametrize(("where", "spec", "status"), BROKEN, ids=[case[0] for case in BROKEN])
def test_less_than_nothing_makes_no_room_wherever_it_stands(
    where: str, spec: dict[str, Any], status: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="-1 is less than nothing"):
        pod_requests(spec, status)
    assert unreadable_requests(spec, status) == {"cpu": "-1 is less than nothing"}, where


def test_devices_by_claim_are_known_and_not_counted() -> None:
    spec = {"containers": [{"name": "c"}], "resourceClaims": [{"name": "gpu", "resourceClaimName": "x"}]}
    assert asks_by_claim(spec)
    assert pod_requests(spec) == {"pods": 1000}
    assert not asks_by_claim({"containers": []})


LIMITS = [
    ("where its containers ask for nothing", {}, {"cpu": "2"}, {"cpu": 2000}),
    ("not where they ask", {"cpu": "1"}, {"cpu": "2"}, {"cpu": 1000}),
    (
        "of huge pages the limit is the request",
        {"hugepages-2Mi": "2"},
        {"hugepages-2Mi": "4"},
        {"hugepages-2Mi": 4000},
    ),
    ("never of devices", {}, {"nvidia.com/gpu": "2"}, {}),
]


@pytest.mark.parametrize(("reason", "asked", "limits", "want"), LIMITS, ids=[case[0] for case in LIMITS])
def test_in_a_template_the_limit_of_the_pod_stands_in(
    reason: str, asked: dict[str, str], limits: dict[str, str], want: Amounts
) -> None:
    spec = {"containers": [{"name": "c", "resources": {"requests": asked}}], "resources": {"limits": limits}}
    assert pod_requests(spec) == want | {"pods": 1000}, reason
