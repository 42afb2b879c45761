"""Amounts and durations as people read them."""

import pytest

from kueue_ks.amounts import amount, duration, short_name


@pytest.mark.parametrize(
    ("milli", "resource", "want"),
    [
        (85_500, "cpu", "85.5"),
        (31_000, "cpu", "31"),
        (0, "cpu", "0"),
        (322 * 2**30 * 1000, "memory", "322Gi"),
        (512 * 2**20 * 1000, "memory", "512Mi"),
        (24_000, "nvidia.com/gpu", "24"),
    ],
)
def test_amount(milli: int, resource: str, want: str) -> None:
    assert amount(milli, resource) == want


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        (-1, "0.0s"),
        (2.34, "2.3s"),
        (9.94, "9.9s"),
        (48.4, "48s"),
        (252, "4m12s"),
        (12_000, "3h20m"),
        (190_000, "2d4h"),
    ],
)
def test_duration(seconds: float, want: str) -> None:
    assert duration(seconds) == want


def test_short_name() -> None:
    assert [short_name(r) for r in ("cpu", "nvidia.com/gpu")] == ["cpu", "gpu"]
