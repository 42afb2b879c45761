"""Pod requests against the rules of kube-scheduler (component-helpers 0.36.3)."""

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vocabulary.pod_requests import pod_requests

GI = (1 << 30) * 1000


def asks(cpu: str = "", *, name: str = "main", sidecar: bool = False, **others: str) -> dict[str, Any]:
    requests = {**({"cpu": cpu} if cpu else {}), **others}
    policy = {"restartPolicy": "Always"} if sidecar else {}
    return {"name": name, "resources": {"requests": requests}, **policy}


def state(given: str | None, allocated: str | None = None, *, name: str = "main") -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    if given is not None:
        found["resources"] = {"requests": {"cpu": given}}
    if allocated is not None:
        found["allocatedResources"] = {"cpu": allocated}
    return found


INFEASIBLE = [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]
DEFERRED = [{"type": "PodResizePending", "status": "True", "reason": "Deferred"}]


class Case(NamedTuple):
    reason: str
    spec: dict[str, Any]
    want: dict[str, int]
    status: dict[str, Any] = {}  # noqa: RUF012 - read only


CASES = [
    Case(
        "a pod that asks for nothing still takes one of the node's pods", {"containers": [{"name": "c"}]}, {}
    ),
    Case("containers run together", {"containers": [asks("1"), asks("500m", name="b")]}, {"cpu": 1500}),
    Case(
        "init containers run one after the other: the hungriest counts, not the sum",
        {"containers": [asks("1")], "initContainers": [asks("2", name="i"), asks("3", name="j")]},
        {"cpu": 3000},
    ),
    Case(
        "an init container that asks for less than the containers adds nothing",
        {"containers": [asks("2"), asks("2", name="b")], "initContainers": [asks("3", name="i")]},
        {"cpu": 4000},
    ),
    Case(
        "the largest is taken for each resource by itself",
        {"containers": [asks("4", memory="1Gi")], "initContainers": [asks("1", name="i", memory="2Gi")]},
        {"cpu": 4000, "memory": 2 * GI},
    ),
    Case(
        "sidecars run beside the containers",
        {"containers": [asks("1")], "initContainers": [asks("1", name="s", sidecar=True)]},
        {"cpu": 2000},
    ),
    Case(
        "an init container runs beside the sidecars listed before it",
        {
            "containers": [asks("1")],
            "initContainers": [asks("1", name="s", sidecar=True), asks("4", name="i")],
        },
        {"cpu": 5000},
    ),
    Case(
        "and not beside those listed after it",
        {
            "containers": [asks("1")],
            "initContainers": [asks("4", name="i"), asks("1", name="s", sidecar=True)],
        },
        {"cpu": 4000},
    ),
    Case(
        "all sidecars count beside the containers, wherever they are listed",
        {
            "containers": [asks("3")],
            "initContainers": [
                asks("1", name="s", sidecar=True),
                asks("1", name="i"),
                asks("1", name="t", sidecar=True),
            ],
        },
        {"cpu": 5000},
    ),
    Case(
        "overhead of the runtime class comes on top",
        {"containers": [asks("1")], "initContainers": [asks("2", name="i")], "overhead": {"cpu": "250m"}},
        {"cpu": 2250},
    ),
    Case(
        "requests of the pod as a whole replace the sum of its containers",
        {"containers": [asks("1"), asks("1", name="b")], "resources": {"requests": {"cpu": "1500m"}}},
        {"cpu": 1500},
    ),
    Case(
        "but only where they are set",
        {"containers": [asks("1", memory="1Gi")], "resources": {"requests": {"cpu": "3"}}},
        {"cpu": 3000, "memory": GI},
    ),
    Case(
        "and not for devices, which a pod as a whole cannot ask for",
        {
            "containers": [{"name": "c", "resources": {"requests": {"nvidia.com/gpu": "2"}}}],
            "resources": {"requests": {"cpu": "1", "hugepages-2Mi": "4Mi", "nvidia.com/gpu": "9"}},
        },
        {"cpu": 1000, "hugepages-2Mi": (4 << 20) * 1000, "nvidia.com/gpu": 2000},
    ),
    Case(
        "overhead comes on top of the pod as a whole too",
        {"containers": [], "resources": {"requests": {"cpu": "1"}}, "overhead": {"cpu": "1"}},
        {"cpu": 2000},
    ),
    Case("fractions of a milli-unit are rounded up", {"containers": [asks("100u")]}, {"cpu": 1}),
    Case(
        "shrinking in place: what it still has counts",
        {"containers": [asks("1")]},
        {"cpu": 3000},
        {"containerStatuses": [state("3", "1")]},
    ),
    Case(
        "growing in place: what it asks for counts",
        {"containers": [asks("4")]},
        {"cpu": 4000},
        {"containerStatuses": [state("2", "2")], "conditions": DEFERRED},
    ),
    Case(
        "a growth that this node can never grant does not count",
        {"containers": [asks("64")]},
        {"cpu": 2000},
        {"containerStatuses": [state("2", "1")], "conditions": INFEASIBLE},
    ),
    Case(
        "a status without resources says nothing",
        {"containers": [asks("1")]},
        {"cpu": 1000},
        {"containerStatuses": [state(None, "5")]},
    ),
    Case(
        "sidecars are resized too, other init containers are not",
        {
            "containers": [asks("1")],
            "initContainers": [asks("1", name="s", sidecar=True), asks("1", name="i")],
        },
        {"cpu": 3000},
        {"initContainerStatuses": [state("2", name="s"), state("9", name="i")]},
    ),
    Case(
        "the pod as a whole is resized too",
        {"containers": [], "resources": {"requests": {"cpu": "1"}}},
        {"cpu": 2000},
        {"resources": {"requests": {"cpu": "2"}}, "allocatedResources": {"cpu": "1"}},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_pod_requests(case: Case) -> None:
    assert pod_requests(case.spec, case.status) == case.want | {"pods": 1000}


CONTAINERS = st.lists(st.integers(0, 9).map(lambda n: asks(str(n), name=f"c{n}")), max_size=3)
STARTS = st.lists(
    st.tuples(st.integers(0, 9), st.booleans()).map(lambda t: asks(str(t[0]), name="i", sidecar=t[1])),
    max_size=4,
)


@given(CONTAINERS, STARTS)
def test_requests_cover_every_moment_of_a_pods_life(containers: list[Any], starts: list[Any]) -> None:
    def cpu(container: dict[str, Any]) -> int:
        return int(container["resources"]["requests"]["cpu"]) * 1000

    sidecars = [c for c in starts if "restartPolicy" in c]
    moments = [sum(map(cpu, containers)) + sum(map(cpu, sidecars))]
    for i, container in enumerate(starts):
        before = [c for c in starts[:i] if "restartPolicy" in c]
        moments.append(cpu(container) + sum(map(cpu, before)))
    got = pod_requests({"containers": containers, "initContainers": starts}, {})
    assert got.get("cpu", 0) == max(moments)


def test_in_a_template_a_limit_stands_in_for_a_missing_request() -> None:
    resources = {"limits": {"cpu": "2", "nvidia.com/gpu": 1}, "requests": {"cpu": "500m"}}
    template = {"containers": [{"name": "main", "resources": resources}]}
    assert pod_requests(template) == {"cpu": 500, "nvidia.com/gpu": 1000, "pods": 1000}
