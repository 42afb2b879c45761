"""docs/lifecycle.md names every step and reason of the code: a state not drawn is a state not thought of."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from workload_controller import attempt, controller, lifecycle, loss, retry, steps

DOCUMENT = (Path(__file__).parents[2] / "docs" / "lifecycle.md").read_text()
STEPS = sorted(step.__name__ for step in (*get_args(steps.Action), steps.KeepWaiting))
REASON_IS_ARGUMENT = {"Wait": 0, "GiveBack": 0, "Refusal": 0, "_not_taken": 2}


def _reasons(source: str) -> Iterator[str]:
    """Strings that stand where a reason stands."""
    for node in ast.walk(ast.parse(source)):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            at = REASON_IS_ARGUMENT.get(name, len(node.args))
            values = [*node.args[at : at + 1], *(k.value for k in node.keywords if k.arg == "reason")]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            names = [getattr(target, "id", "") for target in node.targets[0].elts]
            if "reason" in names and isinstance(node.value, ast.Tuple):
                values = [node.value.elts[names.index("reason")]]
        yield from (v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str))


REASONS = sorted(
    {
        reason
        for module in (attempt, controller, lifecycle, loss, retry)
        for reason in _reasons(Path(str(module.__file__)).read_text())
    }
)


def test_reasons_are_found() -> None:
    """Each way of naming one, so that the test below is not about nothing."""
    assert {"PodsEnding", "NotCarried", "WorkerJobRemoved", "NameTakenInWDS", "ClusterLost"} <= set(REASONS)


@pytest.mark.parametrize("word", [*STEPS, *REASONS])
def test_document_names(word: str) -> None:
    assert re.search(rf"\b{word}\b", DOCUMENT)
