"""Every query of the dashboards is PromQL, and names metrics and labels that exist: ours or Kueue's."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    StringLiteral,
    UnaryExpr,
    VectorSelector,
)

from tests.test_metrics_document import registered

FILES = sorted(Path(__file__).parents[2].joinpath("config", "monitoring").glob("*-dashboard.json"))
DASHBOARDS = {file.name: json.loads(file.read_text()) for file in FILES}

OURS = {metric.name: {*metric.labels, "job", "instance"} for metric in registered()}
HISTOGRAMS = {metric.name for metric in registered() if metric.type == "histogram"}
KUEUES = {  # 0.19, site/content/en/docs/reference/metrics.md
    "kueue_cluster_queue_resource_reservation": {"cohort", "cluster_queue", "flavor", "resource"},
    "kueue_pending_workloads": {"cluster_queue", "status"},
    "kueue_admission_checks_wait_time_seconds_bucket": {"cluster_queue", "le"},
}
KNOWN = (
    OURS
    | {f"{name}_{part}": OURS[name] for name in HISTOGRAMS for part in ("sum", "count")}
    | {f"{name}_bucket": OURS[name] | {"le"} for name in HISTOGRAMS}
    | KUEUES
)


def panels(dashboard: Any) -> list[Any]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


QUERIES = [
    pytest.param(target["expr"], id=f"{name}: {panel['title']} {target['refId']}")
    for name, dashboard in DASHBOARDS.items()
    for panel in panels(dashboard)
    for target in panel["targets"]
]
VARIABLES = [
    pytest.param(variable["query"]["query"], id=f"{name}: {variable['name']}")
    for name, dashboard in DASHBOARDS.items()
    for variable in dashboard["templating"]["list"]
    if variable["type"] == "query"
]


def as_prometheus_gets_it(query: str) -> str:
    return re.sub(r"\$\w+", "x", query.replace("$__rate_interval", "5m"))


def selectors(expression: Expr) -> Iterator[VectorSelector]:
    match expression:
        case VectorSelector():
            yield expression
        case MatrixSelector():
            yield expression.vector_selector
        case AggregateExpr() | ParenExpr() | UnaryExpr():
            yield from selectors(expression.expr)
        case BinaryExpr():
            yield from selectors(expression.lhs)
            yield from selectors(expression.rhs)
        case Call():
            for argument in expression.args:
                yield from selectors(argument)
        case NumberLiteral() | StringLiteral():
            pass
        case _:
            pytest.fail(f"a kind of expression that this test does not know: {expression}")


def groupings(expression: Expr) -> Iterator[tuple[set[str], set[str]]]:
    """The labels that an aggregation keeps, and the names of the metrics inside it."""
    match expression:
        case AggregateExpr():
            inside = {str(selector.name) for selector in selectors(expression.expr)}
            yield set(expression.modifier.labels if expression.modifier else ()), inside
            yield from groupings(expression.expr)
        case ParenExpr() | UnaryExpr():
            yield from groupings(expression.expr)
        case BinaryExpr():
            yield from groupings(expression.lhs)
            yield from groupings(expression.rhs)
        case Call():
            for argument in expression.args:
                yield from groupings(argument)
        case _:
            return


def problems(query: str) -> list[str]:
    """What is wrong with a query; ValueError when it is none."""
    expression = promql_parser.parse(as_prometheus_gets_it(query))
    found = []
    for selector in selectors(expression):
        known = KNOWN.get(str(selector.name))
        asked = {matcher.name for matcher in selector.matchers.matchers}
        if known is None:
            found.append(f"no metric {selector.name}")
        else:
            found += [f"{selector.name} has no label {label}" for label in sorted(asked - known)]
    for labels, names in groupings(expression):
        for name in names & KNOWN.keys():
            found += [f"{name} has no label {label}" for label in sorted(labels - KNOWN[name])]
    return found


def test_there_are_dashboards() -> None:
    assert FILES
    assert len(QUERIES) > 20


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_asks_for_what_there_is(query: str) -> None:
    assert problems(query) == []


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("sum by (cluster) (kueue_ks_no_such_metric)", ["no metric kueue_ks_no_such_metric"]),
        ('kueue_ks_cluster_capacity{queue="x"}', ["kueue_ks_cluster_capacity has no label queue"]),
        ("sum by (queue) (kueue_ks_nominal_quota)", ["kueue_ks_nominal_quota has no label queue"]),
        ("rate(kueue_ks_placement_seconds[5m])", []),
        ("histogram_quantile(0.9, sum by (le) (rate(kueue_ks_placement_seconds_bucket[5m])))", []),
    ],
)
def test_a_query_that_asks_for_something_else_is_found(query: str, wrong: list[str]) -> None:
    assert problems(query) == wrong


def test_no_query_is_found_too() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        problems("sum by (cluster (up)")


@pytest.mark.parametrize("query", VARIABLES)
def test_every_variable_asks_for_what_there_is(query: str) -> None:
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()  # type: ignore[union-attr]
    assert label in KNOWN[metric]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_can_be_imported(name: str) -> None:
    """What Grafana needs, by its model of a dashboard: ids of their own, places that do not overlap."""
    dashboard = DASHBOARDS[name]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("name", DASHBOARDS)
def test_everything_comes_from_the_chosen_prometheus(name: str) -> None:
    dashboard = DASHBOARDS[name]
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    for panel in panels(dashboard):
        assert panel["description"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
            assert used <= variables, panel["title"]
