"""How the views look, at several widths, into a pipe and on a terminal.

Snapshots are whole screens in ``snapshots/``; KUEUE_KS_WRITE_SNAPSHOTS=1 writes them anew, for a look at the
difference.
"""

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from kueue_ks.views.clusters import clusters_report
from kueue_ks.views.clusters_text import clusters_lines
from kueue_ks.views.facts import facts_of
from kueue_ks.views.queue import queue_report
from kueue_ks.views.queue_text import queue_lines
from kueue_ks.views.seen import Seen
from kueue_ks.views.table import Cell, Column, Line, cut, table, words
from kueue_ks.views.terminal import Terminal, terminal
from kueue_ks.views.top import top_report
from kueue_ks.views.top_text import top_lines
from tests.kueue_ks.view_builders import RULES, job, many, seen

SNAPSHOTS = Path(__file__).parent / "snapshots"
VIEWS = ("clusters", "queue", "top")
WIDTHS = (80, 120, 200)
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def lines(
    view: str, given: Seen, *, width: int | None = None, wide: bool = False, **fields: Any
) -> list[Line]:
    facts = facts_of(given)
    match view:
        case "clusters":
            return clusters_lines(clusters_report(facts, RULES), width=width, wide=wide, **fields)
        case "queue":
            return queue_lines(queue_report(facts), width=width, wide=wide, **fields)
        case _:
            return top_lines(top_report(facts, RULES), width=width, **fields)


def same(name: str, text: str) -> None:
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("KUEUE_KS_WRITE_SNAPSHOTS"):
        path.write_text(text + "\n")
    assert text + "\n" == path.read_text()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("width", [None, *WIDTHS])
def test_snapshot(view: str, width: int | None) -> None:
    screen = Terminal(width)
    same(f"{view}-{width or 'piped'}", screen.render(lines(view, seen(), width=width)))


@pytest.mark.parametrize("view", ["clusters", "queue"])
def test_snapshot_wide(view: str) -> None:
    same(f"{view}-wide", Terminal().render(lines(view, seen(), wide=True)))


@pytest.mark.parametrize("view", VIEWS)
def test_snapshot_with_dead_spaces(view: str) -> None:
    dead = {"copies": None, "clusters": None, "statuses": None}
    given = seen(**dead, unread={"its": "no answer within 2s", "wds": "no answer within 2s"})
    same(f"{view}-dead", Terminal().render(lines(view, given)))


@pytest.mark.parametrize("view", VIEWS)
def test_a_hub_that_is_silent_leaves_question_marks(view: str) -> None:
    hub = ("workloads", "jobs", "checks", "flavors", "cluster_queues", "local_queues")
    text = Terminal().render(lines(view, seen(**dict.fromkeys(hub), unread={"hub": "no answer"})))
    assert "?" in text
    assert view == "queue" or "w3" in text


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("width", [40, *WIDTHS])
def test_no_line_is_wider_than_the_terminal(view: str, width: int) -> None:
    long = [job("x" * 63), *(seen().jobs or ())]
    for given in (seen(), seen(jobs=long), many(100)):
        assert max(len(words(line)) for line in lines(view, given, width=width)) <= width


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_cut_in_a_pipe(view: str) -> None:
    text = Terminal().render(lines(view, seen()))
    assert "…" not in text
    assert "ManagedClusterConditionAvailable is Unknown" in text or view == "queue"
    assert "insufficient unused quota for nvidia.com/gpu in flavor standard, 4 more needed" in text or (
        view == "clusters"
    )


@pytest.mark.parametrize("view", VIEWS)
def test_colour_is_only_a_second_signal(view: str) -> None:
    drawn = lines(view, seen(), width=120)
    plain, coloured = Terminal(120).render(drawn), Terminal(120, color=True).render(drawn)
    assert "\x1b[3" in coloured
    assert "\x1b" not in plain
    assert [line.rstrip() for line in ANSI.sub("", coloured).splitlines()] == plain.splitlines()


@pytest.mark.parametrize("view", VIEWS)
def test_without_unicode_it_is_ascii(view: str) -> None:
    assert Terminal(80, unicode=False).render(lines(view, seen(), width=80)).isascii()


@pytest.mark.parametrize("view", ["clusters", "queue"])
def test_without_heads_there_are_rows_only(view: str) -> None:
    text = Terminal().render(lines(view, seen(), heads=False))
    assert not re.search(r"CLUSTER|QUEUE|WAITING", text)
    assert "" not in text.splitlines()


@pytest.mark.parametrize("height", [12, 24, 50])
def test_top_fits_the_screen_and_counts_what_does_not(height: int) -> None:
    shown = [words(line) for line in lines("top", many(200, clusters=30), width=120, height=height)]
    assert len(shown) <= max(height, 22)
    assert sum(line.startswith("+") and line.endswith(" more") for line in shown) >= 3
    for head in ("FLEET 30 clusters", "CLUSTER ", "CLUSTERQUEUE", "WAITING", "RUNNING"):
        assert any(line.startswith(head) for line in shown)


def test_words_of_a_job_cannot_steer_the_terminal() -> None:
    assert Terminal(80).plain("a\x1b[2Jb\nc") == "a [2Jb c"


class FakeTerminal:
    encoding = "utf-8"

    def __init__(self, *, tty: bool) -> None:
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


@pytest.mark.parametrize(
    ("reason", "tty", "environ", "color"),
    [
        ("a pipe", False, {}, False),
        ("a terminal", True, {}, True),
        ("NO_COLOR", True, {"NO_COLOR": "1"}, False),
        ("an empty NO_COLOR says nothing (no-color.org)", True, {"NO_COLOR": ""}, True),
        ("a dumb terminal", True, {"TERM": "dumb"}, False),
    ],
)
def test_what_stdout_is(reason: str, tty: bool, environ: dict[str, str], color: bool) -> None:
    found = terminal(FakeTerminal(tty=tty), environ)  # type: ignore[arg-type]
    assert found.color is color
    assert (found.width is None) is not tty


def test_columns_that_are_optional_go_before_sentences_get_short() -> None:
    columns = [Column("NAME"), Column("MORE", optional=True), Column("WHY", flexible=True, least=10)]
    row = [Cell("job"), Cell("x" * 10), Cell("y" * 30)]
    assert words(table(columns, [row], width=60)[1]) == f"job    {'x' * 10}   {'y' * 30}"
    assert words(table(columns, [row], width=40)[1]) == f"job    {'x' * 10}   {'y' * 19}…"
    assert words(table(columns, [row], width=25)[1]) == f"job    {'y' * 17}…"
    assert words(table(columns, [row], width=10)[1]) == "job    yy…"


def test_cut() -> None:
    assert [cut("abc", n) for n in (3, 2, 1, 0)] == ["abc", "a…", "…", ""]


@pytest.mark.parametrize("view", VIEWS)
def test_the_pictures_of_the_documentation_are_snapshots(view: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "views.md").read_text()
    shown = re.search(rf"```\n\$ kueue-ks {view}[^\n]*\n(.*?)```", text, re.DOTALL)
    assert shown is not None
    assert shown[1] in {path.read_text() for path in SNAPSHOTS.glob(f"{view}-*.txt")}


def test_a_thousand_jobs_take_less_than_a_second() -> None:
    """Processor time of everything but reading; 0.4 s when measured, on a machine with other work."""
    given = many(1000, clusters=100)
    began = time.process_time()
    facts = facts_of(given)
    drawn = Terminal().render(top_lines(top_report(facts, RULES)))
    assert time.process_time() - began < 1.0
    assert len(drawn.splitlines()) > 1100
