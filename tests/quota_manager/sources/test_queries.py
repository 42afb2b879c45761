"""Each question is PromQL, by a parser of it; what they answer is seen on a real server (tests/fleet)."""

from dataclasses import asdict

import promql_parser
import pytest

from quota_manager.sources.queries import Wanted, queries, sanitized

WANTED = {
    "much": Wanted(frozenset({"cpu", "memory", "pods", "nvidia.com/gpu"}), frozenset({"a.b/c", "pool"})),
    "little": Wanted(frozenset({"cpu"}), frozenset()),
}


@pytest.mark.parametrize("how_much", WANTED)
@pytest.mark.parametrize("cluster", ["cluster", "site_name"])
def test_every_question_parses(how_much: str, cluster: str) -> None:
    for name, query in asdict(queries(WANTED[how_much], cluster)).items():
        if name == "labels" and how_much == "little":
            assert query == "", "no flavor goes by labels"
            continue
        promql_parser.parse(query)
        assert cluster in query


def test_the_parser_would_tell() -> None:
    with pytest.raises(ValueError, match="invalid promql query"):
        promql_parser.parse(queries(WANTED["much"], "not a label").foreign)


@pytest.mark.parametrize(
    ("name", "spelled"),
    [("nvidia.com/gpu", "nvidia_com_gpu"), ("ephemeral-storage", "ephemeral_storage"), ("cpu", "cpu")],
)
def test_spelling(name: str, spelled: str) -> None:
    assert sanitized(name) == spelled
