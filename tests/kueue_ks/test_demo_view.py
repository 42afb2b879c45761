"""State → screen: everything fits, nothing is wrapped, figures are whole."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from kueue_ks.demo.state import Stage, State
from kueue_ks.demo.view import bar, clock, render
from tests.kueue_ks.builders import CPU, GPU, job, state, worker

EVENTS = [(n * 1.0, f"event {n}") for n in range(20)]
BUSY = state(
    job(Stage.RUNNING),
    job(Stage.PLACING, uid="2", name="team-a/gang-2"),
    workers=(
        worker("w1", used=28_000, cordoned=("n1",)),
        worker("w2", used=45_000),
        worker("w3", available=False),
    ),
    nominal={CPU: 85_500, GPU: 24_000},
    reserved={CPU: 56_000},
)


def drawn(state: State, *, width: int, unicode: bool = True, color: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=color, color_system="standard" if color else None)
    console.print(render(state, EVENTS, width=width, unicode=unicode))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("unicode", [True, False])
def test_every_line_fits(width: int, unicode: bool) -> None:
    lines = drawn(BUSY, width=width, unicode=unicode).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= 24
    assert not unicode or all(line.count("│") in (0, 2, 4) for line in lines)


@pytest.mark.parametrize("width", [80, 120])
def test_figures_are_whole(width: int) -> None:
    screen = drawn(BUSY, width=width)
    for figure in ("28/31", "45/31", "56/85.5", "1 cordoned", "not available", "p50 2.5s  p99 2.5s", "00:20"):
        assert figure in screen


def test_newest_events_are_shown() -> None:
    screen = drawn(BUSY, width=80)
    assert "event 19" in screen
    assert "event 10" not in screen


def test_counts() -> None:
    lines = drawn(BUSY, width=80).splitlines()
    counts = {
        line.split("│")[1].rsplit(maxsplit=1)[0].strip(): line
        for line in lines
        if "waits" in line or "runs" in line
    }
    assert counts["runs"].split("│")[1].split()[-1] == "1"
    assert counts["waits for a cluster"].split("│")[1].split()[-1] == "1"
    assert counts["waits for quota"].split("│")[1].split()[-1] == "0"


def test_without_unicode_it_is_ascii() -> None:
    assert drawn(BUSY, width=80, unicode=False).isascii()


def test_colour_is_only_a_second_signal() -> None:
    failed = replace(BUSY, jobs=(job(Stage.FAILED),))
    assert "\x1b[" in drawn(failed, width=80, color=True)
    assert "failed" in drawn(failed, width=80)


def test_many_workers_are_counted_not_listed() -> None:
    many = replace(BUSY, workers=tuple(worker(f"w{n}") for n in range(12)))
    screen = drawn(many, width=80)
    assert "+4 more" in screen
    assert "w11" not in screen


def test_the_first_moment_can_be_drawn() -> None:
    assert "kueue-ks demo" in drawn(State(), width=80)


def test_bar() -> None:
    assert bar(0, 10, 4, unicode=False) == "...."
    assert bar(1, 1000, 4, unicode=False) == "#..."  # something is never shown as nothing
    assert bar(5, 10, 4, unicode=False) == "##.."
    assert bar(20, 10, 4, unicode=False) == "####"
    assert bar(5, 0, 4, unicode=False) == "...."


def test_clock() -> None:
    assert [clock(s) for s in (0.0, 41.9, 61.0, 3700.0)] == ["00:00", "00:41", "01:01", "61:40"]
