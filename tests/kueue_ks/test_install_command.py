"""Which API servers the flags mean."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kueue_ks.install.command import _targets


class Case(NamedTuple):
    reason: str
    given: dict[str, Any]
    want: list[tuple[str, str, Path | None, str | None]]


NOTHING: dict[str, Any] = {
    "hub": (None, None),
    "wds": (None, None),
    "its": (None, None),
    "workers": (None, []),
}
FILE = Path("k.yaml")
HUB = ("hub", "hub", None, None)

CASES = [
    Case("the hub of kubectl's own configuration", {}, [HUB]),
    Case("nothing with --no-hub alone", {"hub": None}, []),
    Case(
        "the WDS by a context of the same file", {"wds": (None, "wds1")}, [HUB, ("wds", "wds", None, "wds1")]
    ),
    Case("the ITS by a file", {"its": (FILE, None)}, [HUB, ("its", "its", FILE, None)]),
    Case(
        "each worker by its context",
        {"hub": None, "workers": (FILE, ["w1", "w2"])},
        [("w1", "worker", FILE, "w1"), ("w2", "worker", FILE, "w2")],
    ),
    Case(
        "one worker by the current context of its file",
        {"workers": (FILE, [])},
        [HUB, ("worker", "worker", FILE, None)],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_targets(case: Case) -> None:
    targets = _targets(**{**NOTHING, **case.given})
    assert [(t.name, t.duty, t.settings.kubeconfig, t.settings.context) for t in targets] == case.want
