"""``top`` again and again: lines of changes in a pipe, a screen on a terminal."""

import io
import json
from dataclasses import replace

import pytest

from kube_runtime.errors import KubeError
from kueue_ks.views import show
from kueue_ks.views.clusters import Rules
from kueue_ks.views.facts import facts_of
from kueue_ks.views.screen import Lines, LiveScreen
from kueue_ks.views.seen import Seen
from kueue_ks.views.top import TopReport, changes, top_report
from tests.kueue_ks.view_builders import ADMITTED, RESERVED, RULES, job, managed, placed, seen, workload
from workload_controller.settings import Settings


def report(**fields: object) -> TopReport:
    return top_report(facts_of(seen(**fields)), RULES)


BEFORE = report()
AFTER = report(
    clusters=[managed("w1"), managed("w2", available="False"), managed("w4", available="Unknown")],
    workloads=[
        workload("quota-6", RESERVED, ADMITTED, check=placed("w1", 2), namespace="team-b"),
        *(w for w in seen().workloads or () if w["metadata"]["name"] not in {"job-quota-6", "job-run-1"}),
    ],
    jobs=[job("quota-6", namespace="team-b"), *(seen().jobs or ())[1:]],
    unread={"wds": "dead"},
)


def test_changes() -> None:
    assert list(changes(BEFORE, AFTER)) == [
        "cluster w2: Usable -> Unusable (ManagedClusterConditionAvailable is False)",
        "cluster w3: Cordoned (it has the NoSelect taint maintenance) -> gone",
        "job team-a/run-1 job-run-1: Running on w1 (attempt 1) -> ended",
        "job team-b/quota-6 job-quota-6: WaitingForQuota (Pending) -> Starting on w1 (attempt 1)",
        "wds: dead",
    ]
    assert list(changes(AFTER, replace(AFTER, unread={}))) == ["wds: read again"]
    assert list(changes(BEFORE, BEFORE)) == []


def test_what_is_not_read_has_not_ended() -> None:
    blind = replace(BEFORE, waiting=None, running=None)
    assert not [line for line in changes(BEFORE, blind) if line.startswith("job")]


def test_lines_in_a_pipe() -> None:
    out, err = io.StringIO(), io.StringIO()
    lines = Lines(out, err, as_json=False)
    lines.show(BEFORE)
    lines.show(BEFORE)
    lines.show(AFTER)
    head, *more = out.getvalue().splitlines()
    assert head.startswith("FLEET 4 clusters, 2 not usable   running 2")
    assert len(more) == len(list(changes(BEFORE, AFTER)))
    assert more[0].startswith("14:02:11  cluster w2")


def test_json_lines() -> None:
    out = io.StringIO()
    lines = Lines(out, io.StringIO(), as_json=True)
    lines.show(BEFORE)
    lines.show(AFTER)
    assert [json.loads(line)["kind"] for line in out.getvalue().splitlines()] == ["TopReport"] * 2


def test_without_unicode_json_is_ascii() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Lines(out, io.StringIO(), as_json=True).show(replace(BEFORE, unread={"wds": "Zeitüberschreitung…"}))
    out.seek(0)
    assert json.loads(out.read())["unread"] == {"wds": "Zeitüberschreitung…"}


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_color", "codes"), [("", True), ("1", False)])
def test_a_live_screen(no_color: str, codes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"NO_COLOR": no_color, "TERM": "xterm", "COLUMNS": "90", "LINES": "30"}.items():
        monkeypatch.setenv(name, value)
    out = Tty()
    with LiveScreen(out) as screen:
        screen.show(BEFORE)
        screen.show(AFTER)
    written = out.getvalue()
    assert written.startswith("\x1b[?1049h")  # the alternate screen, which is left at the end
    assert "\x1b[?1049l" in written
    assert written.count("FLEET") == 2
    assert ("\x1b[32m" in written) is codes
    assert max(len(line) for line in written.split("\n") if "\x1b" not in line) <= 90


def test_defaults_are_the_controllers() -> None:
    fields = Settings.model_fields
    assumed = show.Options(where={}, deadline=1).rules(facts_of(seen()))
    ours = {name: fields[name].default for name in ("stale_after", "settle")}
    assert Rules(**ours) == assumed


class Enough(Exception):
    """The test has seen what it wanted."""


class Eyes:
    """Answers once, then nothing answers any more."""

    def __init__(self, *_: object, **__: object) -> None:
        self._answers = [seen()]

    async def __aenter__(self) -> "Eyes":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def look(self, _wanted: frozenset[str]) -> Seen:
        if not self._answers:
            raise KubeError("hub: gone")
        return self._answers.pop()


async def test_when_nothing_answers_any_more_the_last_rows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kueue_ks.views.reading.Eyes", Eyes)
    told: list[TopReport] = []

    def draw(report: TopReport) -> None:
        told.append(report)
        if len(told) == 3:
            raise Enough

    with pytest.raises(Enough):
        await show._follow(show.Options(where={}, deadline=1), draw, every=0)
    first, *later = told
    assert first.unread == {}
    assert all(replace(report, unread={}) == first for report in later)
    assert later[1].unread == {"anything": "hub: gone (seen last at 2026-01-01T14:02:11Z)"}
