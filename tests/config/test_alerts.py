"""Every alert asks for metrics and labels that docs/metrics.md has, and names a remedy."""

import re
from typing import Any

import pytest

from kueue_ks.install.manifests import load
from kueue_ks.main import COMMANDS
from tests.test_metrics_document import documented
from workload_controller.published import LEASE

(RULE,) = load("config/prometheus/alerts.yaml")
ALERTS = [alert for group in RULE["spec"]["groups"] for alert in group["rules"]]
METRICS = {metric.name: set(metric.labels) for metric in documented()}
OF_PROMETHEUS = {"namespace"}  # labels that the scrape adds
FUNCTIONS = {"absent", "increase", "rate", "sum", "min", "max", "by"}


def each(alerts: list[Any]) -> list[Any]:
    return [pytest.param(alert, id=alert["alert"]) for alert in alerts]


def asked(expression: str) -> tuple[set[str], set[str]]:
    """Metrics and labels of an expression; whatever is neither, nor a function, counts as a metric."""
    labels: set[str] = set()
    for group in re.findall(r"\bby \(([\w, ]+)\)", expression):
        labels |= set(re.split(r", *", group))
    for matchers in re.findall(r"\{([^}]*)\}", expression):
        labels |= set(re.findall(r"(\w+)(?:=~|!=|!~|=)", matchers))
    rest = re.sub(r"\bby \([\w, ]+\)|\{[^}]*\}|\[\w+\]", "", expression)
    return set(re.findall(r"[a-zA-Z_]\w*", rest)) - FUNCTIONS, labels


@pytest.mark.parametrize("alert", each(ALERTS))
def test_metrics_and_labels_are_documented(alert: Any) -> None:
    metrics, labels = asked(alert["expr"])
    assert metrics
    assert metrics <= set(METRICS)
    known = set.union(*(METRICS[name] for name in metrics)) | OF_PROMETHEUS
    assert labels <= known


@pytest.mark.parametrize("alert", each(ALERTS))
def test_the_alert_says_what_and_what_to_do(alert: Any) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert set(alert["annotations"]) == {"summary", "remedy"}
    _, labels = asked(alert["expr"])
    named = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
    kept = {name for group in re.findall(r"\bby \(([\w, ]+)\)", alert["expr"]) for name in group.split(", ")}
    assert named <= kept & labels, "a label that the expression drops would be empty in the text"


def test_the_leases_are_called_so() -> None:
    named = {name for alert in ALERTS for name in re.findall(r'[{,]name="([\w-]+)"', alert["expr"])}
    assert named == {LEASE, "quota-manager"}


def test_names_are_used_once() -> None:
    names = [alert["alert"] for alert in ALERTS]
    assert len(names) == len(set(names))


def test_commands_of_the_remedies_exist() -> None:
    remedies = " ".join(alert["annotations"]["remedy"] for alert in ALERTS)
    named = set(re.findall(r"kueue-ks ([a-z]+)", remedies))
    assert named
    assert named <= set(COMMANDS)
