"""Settings of the sources. Credentials are files: a command line and an environment can be read by others."""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from kube_runtime.spaces import SpacesSettings
from quota_manager.sources.prometheus import Server


class SourcesSettings(SpacesSettings):
    """Which sources there are beside ClusterMetrics."""

    prometheus_url: str | None = Field(
        None, description="a Prometheus with kube-state-metrics of the clusters; none is asked without it"
    )
    prometheus_cluster_label: str = Field(
        "cluster", pattern="^[a-zA-Z_][a-zA-Z0-9_]*$", description="label that has a ManagedCluster's name"
    )
    prometheus_token_file: Path | None = Field(None, description="file with a bearer token for it")
    prometheus_ca_file: Path | None = Field(None, description="file with the CAs that sign its certificate")
    prometheus_interval: float = Field(30, gt=0, description="seconds between two rounds of questions")
    prometheus_timeout: float = Field(10, gt=0, description="seconds to wait for each answer")
    count_allocatable: bool = Field(
        default=True,
        description="fall back to ManagedCluster.status.allocatable where no flavor asks for node labels",
    )

    @field_validator("prometheus_url")
    @classmethod
    def _an_address_and_no_more(cls, url: str | None) -> str | None:
        """The message has no part of the value: it could be the password."""
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = "must be http://HOST:PORT or https://HOST:PORT, with a path if it has one"
            raise ValueError(msg)
        if parts.username or parts.password or parts.query:
            msg = "must not hold credentials; put a bearer token into --prometheus-token-file"
            raise ValueError(msg)
        return url

    @property
    def prometheus(self) -> Server | None:
        """Where it is, if there is one."""
        if self.prometheus_url is None:
            return None
        return Server(
            url=self.prometheus_url,
            cluster_label=self.prometheus_cluster_label,
            token_file=self.prometheus_token_file,
            ca_file=self.prometheus_ca_file,
            timeout=self.prometheus_timeout,
        )
