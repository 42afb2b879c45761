"""Settings of QuotaManager: flags, environment (``KUEUE_KS_…``), defaults."""

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from quota_manager.decision import Rules
from quota_manager.sources.settings import SourcesSettings
from vocabulary.programs import PROGRAMS


class Settings(SourcesSettings):
    """Every option with its unit and default."""

    sections: ClassVar = PROGRAMS

    model_config = SettingsConfigDict(
        env_prefix="KUEUE_KS_", cli_kebab_case=True, cli_prog_name="quota_manager", extra="forbid"
    )

    stale_after: float = Field(
        180, gt=0, description="seconds without news after which a cluster's report leaves the quota"
    )
    shrink_after: float = Field(15, ge=0, description="seconds for which less must be there to lower a quota")

    namespace: str = Field("kueue-kubestellar-system", description="where the leader's Lease lives")
    metrics_port: int = Field(
        0, ge=0, description="port of /metrics, /healthz and /readyz; 0 takes a free one"
    )
    metrics_address: str = Field("127.0.0.1", description="address of that port; a pod's own in a cluster")

    @property
    def rules(self) -> Rules:
        """The times of the decision."""
        return Rules(stale_after=self.stale_after, shrink_after=self.shrink_after)
