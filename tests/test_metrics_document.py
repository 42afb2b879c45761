"""docs/metrics.md lists the metrics that the programs register, all of them and nothing else."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import structlog
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from structlog.testing import capture_logs

import metrics_agent.main
import quota_manager.main
import workload_controller.main
from kube_runtime.telemetry import InformerTelemetry
from quota_manager.sources.sources import Sources
from quota_manager.tell import Teller
from workload_controller.stores import Stores
from workload_controller.telemetry import StandingTelemetry, state_changed

DOCUMENT = Path(__file__).parents[1] / "docs" / "metrics.md"
PROGRAMS = (metrics_agent.main, quota_manager.main, workload_controller.main)  # imported: their metrics exist


class Described(NamedTuple):
    name: str
    type: str
    labels: tuple[str, ...]


def documented() -> list[Described]:
    rows = re.findall(
        r"^\| `(\w+)` \| (counter|gauge|histogram) \| ([\w, ]*) ?\|", DOCUMENT.read_text(), re.MULTILINE
    )
    return [
        Described(name, kind, tuple(part for part in re.split(r"[, ]+", labels) if part))
        for name, kind, labels in rows
    ]


def registered() -> list[Described]:
    nowhere = cast("Any", SimpleNamespace(name="nowhere"))
    stores = Stores(nowhere, nowhere, nowhere)
    asked = (
        InformerTelemetry([]),
        StandingTelemetry(stores),
        Teller(nowhere, hub_events=nowhere, its_events=nowhere),
        Sources([], stale_after=1, events=nowhere),
    )
    families: list[Any] = [family for collector in asked for family in collector.collect()]
    families += [metric for metric in REGISTRY._collector_to_names if isinstance(metric, MetricWrapperBase)]
    return [described(family) for family in families]


def described(family: Any) -> Described:
    """Of a metric or a family of samples: both know their labels, and spell the rest differently."""
    name, kind = getattr(family, "_name", None) or family.name, getattr(family, "_type", None) or family.type
    return Described(f"{name}_total" if kind == "counter" else name, kind, tuple(family._labelnames))


def test_the_document_lists_what_is_registered() -> None:
    told, real = documented(), registered()
    assert len(told) == len(set(told)), "listed twice"
    assert sorted(told) == sorted(real)


def test_a_change_of_state_is_one_line_that_can_be_searched() -> None:
    with capture_logs() as lines:
        log = structlog.get_logger("test")
        state_changed(
            log, workload="ns/a", state="Placed", message="2 of 2 pods fit", cluster="w1", attempt=2
        )
        state_changed(log, workload="ns/a", state="Released", message="nothing is left")
    assert lines == [
        {
            "event": "Placed",
            "log_level": "info",
            "kind": "Workload",
            "key": "ns/a",
            "cluster": "w1",
            "attempt": 2,
            "message": "2 of 2 pods fit",
        },
        {
            "event": "Released",
            "log_level": "info",
            "kind": "Workload",
            "key": "ns/a",
            "message": "nothing is left",
        },
    ]
