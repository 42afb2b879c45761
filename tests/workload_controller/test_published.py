"""The options on the Lease come back as they were; what cannot be read is said to be unknown."""

from dataclasses import replace

import pytest

from vocabulary import keys
from workload_controller.facts import LossPolicy
from workload_controller.published import Options, publish, read_options
from workload_controller.situation import Timing
from workload_controller.wishes import Growth, JobPolicy, OnRemoved

OTHERS = Options(
    timing=Timing(placement_timeout=7.0, hold_quota=False),
    defaults=JobPolicy(
        on_loss=LossPolicy.LEASED,
        on_removed=OnRemoved.REJECT,
        start_timeout=11.0,
        growth=Growth.LINEAR,
        start_timeout_max=13.0,
        max_requeuings=17,
    ),
    stale_after=19.0,
    known=True,
)


@pytest.mark.parametrize("options", [OTHERS, Options(known=True)], ids=["others", "defaults"])
def test_what_is_published_is_read(options: Options) -> None:
    assert read_options(publish(options)) == options


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("no annotation", {}),
        ("no JSON", {keys.OPTIONS: "{"}),
        ("no object", {keys.OPTIONS: "[]"}),
        ("a word for a number", {keys.OPTIONS: publish(OTHERS)[keys.OPTIONS].replace("7.0", '"7"')}),
        ("an unknown policy", {keys.OPTIONS: publish(OTHERS)[keys.OPTIONS].replace("leased", "owned")}),
    ],
)
def test_the_defaults_stand_for_what_cannot_be_read(reason: str, told: dict[str, str]) -> None:
    assert read_options(told) == Options(known=False), reason


def test_other_versions_may_know_more_or_less() -> None:
    told = publish(OTHERS)[keys.OPTIONS]
    newer = told.replace('"timing": {', '"timing": {"new": 1, ')
    older = told.replace('"placement_timeout": 7.0, ', "")
    assert read_options({keys.OPTIONS: newer}) == OTHERS
    assert read_options({keys.OPTIONS: older}) == replace(OTHERS, timing=Timing(hold_quota=False))
