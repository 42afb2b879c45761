"""docs/reasons.md lists every reason that the code writes, and no other; each message is definite.

Reasons are collected from the source: what stands where a reason stands, and every CamelCase word that is no
word of an API. So a new one fails here until it is documented and rendered once.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from kueue_ks.explain.explanation import Phase
from tests.reasons_rendered import RENDERED
from vocabulary.reasons import ACTIONS, KUEUES, OURS, SHOWN

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "reasons.md").read_text()
PROGRAMS = ("workload_controller", "quota_manager")
SOURCES = {
    path.relative_to(ROOT): path.read_text()
    for name in PROGRAMS
    for path in ROOT.joinpath(name).rglob("*.py")
}

HEADING = re.compile(r"^### (\w+)\n\*(\w+)\* · (.+)$", re.MULTILINE)
CAMEL_CASE = re.compile(r"[A-Z][a-z]+(?:[A-Z]+[a-z]*)+|[A-Z]{2,}[a-z]+[A-Za-z]*")

REASON_IS_ARGUMENT: Final = {
    "Wait": 0,
    "GiveBack": 0,
    "Refusal": 0,
    "Finding": 0,
    "Refuse": 0,
    "_finding": 1,
    "_say": 1,
    "_event": 1,
    "_log": 1,
    "_not_taken": 2,
    "record": 2,
    "ActiveCondition": 1,
}
"""Where a call has its reason."""

API_WORDS: Final = frozenset(
    {
        # kinds
        *("AdmissionCheck", "BindingPolicy", "ClusterMetrics", "ClusterQueue", "LocalQueue", "ManifestWork"),
        # condition types, taint effects, operators
        *(
            "CapacitySynchronized",
            "SourceUnavailable",  # its reason, in Kueue's words
            "FailureTarget",
            "ManagedClusterConditionAvailable",
            "PodsReady",
            "QuotaReserved",
            "SuccessCriteriaMet",
        ),
        *("DoesNotExist", "NoExecute", "NoSchedule", "NoSelect", "NotIn"),
    }
)
STEPS: Final = frozenset({"LetGo"})  # of ``steps``: docs/lifecycle.md


def _in_position(tree: ast.AST) -> Iterator[ast.expr]:
    """Expressions that stand where a reason stands."""
    for node in ast.walk(tree):
        match node:
            case ast.Call():
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                at = REASON_IS_ARGUMENT.get(name, len(node.args))
                yield from node.args[at : at + 1]
                yield from (keyword.value for keyword in node.keywords if keyword.arg == "reason")
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                yield from (
                    v
                    for n, v in zip(names, values, strict=True)
                    if getattr(n, "id", "") in {"reason", "code"}
                )
            case ast.Assign(targets=[ast.Name(id="reason" | "code")], value=value):
                yield value
            case ast.AnnAssign(target=ast.Name(id="reason"), value=ast.expr() as value):
                yield value


def _words(expression: ast.expr) -> Iterator[str]:
    """What is put together of parts is no public word: "Attempt1"."""
    for node in [] if isinstance(expression, ast.JoinedStr) else ast.walk(expression):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _strings(tree: ast.AST) -> Iterator[str]:
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def reasons(source: str) -> set[str]:
    """All that a module writes."""
    tree = ast.parse(source)
    placed = {word for expression in _in_position(tree) for word in _words(expression)}
    camel = {text for text in _strings(tree) if CAMEL_CASE.fullmatch(text)}
    return {word for word in placed | camel if re.fullmatch(r"[A-Z]\w+", word)} - API_WORDS - STEPS


WRITTEN = {reason for source in SOURCES.values() for reason in reasons(source)}
DOCUMENTED = {name: (kind, text) for name, kind, text in HEADING.findall(DOCUMENT)}


def test_each_way_of_naming_a_reason_is_found() -> None:
    """So that the tests below are not about nothing."""
    one_each = {
        "PodsEnding",  # Wait
        "NoClusterInTime",  # GiveBack
        "WorkerJobRemoved",  # reason=
        "ForgedWorkload",  # Refusal
        "NotCarried",  # reason, words =
        "Placed",  # _say
        "Fits",  # a verdict's class variable
        "NoUsableCluster",  # reason =
        "NominalQuotaChanged",  # record
        "NameTaken",  # a constant
        "QuotaKept",  # a key of notices
        "TwoClusters",  # Finding
    }
    assert one_each <= WRITTEN


@pytest.mark.parametrize("reason", sorted(WRITTEN | DOCUMENTED.keys()))
def test_documented_and_written(reason: str) -> None:
    assert reason in DOCUMENTED, "docs/reasons.md lacks it"
    assert reason in WRITTEN | KUEUES.keys() | SHOWN.keys(), "docs/reasons.md has it, and no code writes it"


def test_the_document_and_what_is_printed_have_the_same_classes() -> None:
    assert {reason: kind for reason, (kind, _) in DOCUMENTED.items()} == ACTIONS
    assert OURS.keys() == WRITTEN


@pytest.mark.parametrize("reason", sorted(SHOWN))
def test_what_only_the_command_line_says_is_in_its_code(reason: str) -> None:
    sources = ROOT.joinpath("kueue_ks").rglob("*.py")
    written = {text for path in sources for text in _strings(ast.parse(path.read_text()))}
    assert reason in written | {phase.value for phase in Phase}


def test_each_has_one_anchor_and_a_sentence() -> None:
    headings = re.findall(r"^### (\w+)$", DOCUMENT, re.MULTILINE)
    assert len(headings) == len({heading.lower() for heading in headings}), "an anchor is there twice"
    assert set(headings) == DOCUMENTED.keys(), "a heading without class and text"
    for reason, (_, text) in DOCUMENTED.items():
        assert text.endswith((".", "?")), reason


DEFINITE = re.compile(r"\d|\b(?:team-a|train|alpha|standard)\b")
"""A number, or a name of RENDERED's objects."""


@pytest.mark.parametrize("reason", sorted(WRITTEN))
def test_each_message_has_a_number_or_a_name(reason: str) -> None:
    assert reason in RENDERED, "render its message in tests/reasons_rendered.py"
    for message in RENDERED[reason]:
        assert DEFINITE.search(message), message
        assert "None" not in message.split(), message


SENTENCE = 4  # words; shorter ones are parts of speech
NOT_MESSAGES = {"main.py", "settings.py"}  # each program has its flags and its pre-flight checks


def test_no_text_is_built_in_two_places() -> None:
    places = defaultdict(set)
    for path, source in SOURCES.items():
        if path.name not in NOT_MESSAGES:
            for text in _strings(ast.parse(source)):
                bare = text.strip(" ;:,.")
                if len(bare.split()) >= SENTENCE or bare in PHRASES:
                    places[bare].add(str(path))
    assert {text: sorted(where) for text, where in places.items() if len(where) > 1} == {}


PHRASES = {"given up at"}
"""Shorter ones that say when: deadlines must read alike everywhere."""
