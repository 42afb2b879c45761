"""How explain, whatif, audit, cordon and drain look: at several widths, piped, with NO_COLOR, without UTF-8.

(The live views have test_view_text, and each width of explain and whatif is in test_whatif.)
"""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kueue_ks.audit import run as audit_run
from kueue_ks.audit.text import text as audit_text
from kueue_ks.cordon import run as cordon_run
from kueue_ks.cordon.change import Verb, report_on
from kueue_ks.cordon.change import text as cordon_text
from kueue_ks.flags import Output
from tests.kueue_ks.test_answers import A_JOB, given, run
from tests.kueue_ks.test_audit import SHOWN, TEXT
from tests.kueue_ks.test_cordon import cluster, cordoned, draining, work
from tests.kueue_ks.test_view_text import same
from tests.kueue_ks.three_servers import Servers

LONG = "by ana: the kernel of all its nodes is replaced, which takes until Friday — ask her before that"
DRAINING = report_on(
    cluster(cordoned(LONG), draining(LONG)), Verb.DRAIN, [work("sft"), work("train", "2")], changed=True
)
CORDONED = report_on(
    cluster(cordoned(LONG), {"key": "maintenance", "effect": "NoSelect"}), Verb.CORDON, [work()], changed=True
)
WIDTHS = (None, 80, 120)


@pytest.mark.parametrize("width", WIDTHS)
def test_snapshots(width: int | None) -> None:
    screens = {
        "audit": audit_text(SHOWN, width),
        "cordon": [*cordon_text(CORDONED, width), "", *cordon_text(DRAINING, width)],
    }
    for name, lines in screens.items():
        same(f"{name}-{width or 'piped'}", "\n".join(line.rstrip() for line in lines))
        assert width is None or all(len(line) <= width for line in lines)


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_audit_keeps_every_word_of_its_sentences(width: int) -> None:
    whole = "".join(TEXT.split("\n\n", 1)[1].split())
    shown = audit_text(SHOWN, width)
    assert "".join(" ".join(shown[shown.index("") :]).split()) == whole


class Screen(io.StringIO):
    """A terminal, or with ``tty`` False a pipe, of some encoding."""

    def __init__(self, encoding: str, *, tty: bool) -> None:
        super().__init__()
        self._encoding, self._tty = encoding, tty

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self._tty


Printing = Callable[[], None]
EVIL = "by \x1b[2J\x1b]0;root\x07: …"


def _audit(output: Output) -> Printing:
    evil = replace(SHOWN.findings[0], message=EVIL)
    return lambda: audit_run.print_report(replace(SHOWN, findings=(evil,)), output)


def _drain(output: Output) -> Printing:
    return lambda: cordon_run._print(replace(DRAINING, words=EVIL), output)


PRINTED = {
    "audit": (_audit(Output.TEXT), _audit(Output.JSON)),
    "drain": (_drain(Output.TEXT), _drain(Output.JSON)),
}


@pytest.mark.parametrize("name", PRINTED)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("tty", [False, True])
def test_nothing_that_is_printed_moves_the_cursor_or_needs_utf_8(
    name: str, encoding: str, tty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    as_text, as_json = PRINTED[name]
    monkeypatch.setattr(sys, "stdout", screen := Screen(encoding, tty=tty))
    as_text()
    shown = screen.getvalue()
    assert "by  [2J" in shown
    assert "\x1b" not in shown
    shown.encode(encoding)
    assert not tty or all(len(line) <= 90 for line in shown.splitlines())
    monkeypatch.setattr(sys, "stdout", screen := Screen(encoding, tty=tty))
    as_json()
    shown = screen.getvalue()
    shown.encode(encoding)
    assert "\x1b" not in shown
    told = json.loads(shown)
    assert EVIL in (told.get("words"), told.get("findings", [{}])[0].get("message"))


@pytest.mark.parametrize(
    "arguments", [["explain", "job/room-4", "-n", "team-a"], ["whatif", A_JOB], ["whatif", "drain", "w1"]]
)
def test_into_a_pipe_with_and_without_color_the_same_is_said(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = set()
    for variable, value in (("NO_COLOR", "1"), ("FORCE_COLOR", "1"), ("TERM", "dumb"), ("COLUMNS", "40")):
        with monkeypatch.context() as environment:
            environment.setenv(variable, value)
            code, out, _ = run(arguments, Servers(given()), tmp_path, environment, capsys)
        assert code == 0
        said.add(out)
    (text,) = said
    assert "\x1b" not in text
    assert "…" not in text, "in a pipe nothing is cut"
