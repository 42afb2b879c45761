"""Credentials stay out of command lines, and what is refused is not repeated."""

import pytest
from pydantic import ValidationError

from quota_manager.settings import Settings


@pytest.mark.parametrize(
    "url",
    ["http://ana:hunter2@prometheus:9090", "https://prometheus/?token=hunter2", "hunter2", "ftp://x/hunter2"],
)
def test_an_url_with_more_than_an_address(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(prometheus_url=url, _cli_parse_args=[])
    assert "hunter2" not in "".join(str(error["msg"]) for error in refused.value.errors())


def test_an_address() -> None:
    settings = Settings(prometheus_url="https://thanos.example/prometheus", _cli_parse_args=[])
    assert settings.prometheus is not None
    assert settings.prometheus.cluster_label == "cluster"
    assert Settings(_cli_parse_args=[]).prometheus is None
