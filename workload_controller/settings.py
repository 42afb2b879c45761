"""Settings of WorkloadController: flags, environment (``KUEUE_KS_…``), defaults."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from kube_runtime.spaces import SpacesSettings
from workload_controller.lifecycle import Timing


class Settings(SpacesSettings):
    """Every option with its unit and default."""

    model_config = SettingsConfigDict(
        env_prefix="KUEUE_KS_", cli_kebab_case=True, cli_prog_name="workload_controller", extra="forbid"
    )

    placement_timeout: float = Field(
        600, gt=0, description="seconds without a fitting cluster until the quota goes back"
    )
    retry_delay: float = Field(30, gt=0, description="seconds until the first next try, doubled each time")
    retry_delay_max: float = Field(600, gt=0, description="longest such delay in seconds")
    stale_after: float = Field(
        180, gt=0, description="seconds after which a cluster's report is not believed"
    )
    pods_end_margin: float = Field(
        10, ge=0, description="seconds that withdrawn pods get beyond their grace period"
    )
    clock_skew: float = Field(2, ge=0, description="seconds by which a worker's clock may be ahead")
    workers: int = Field(16, ge=1, description="reconciles at the same time")

    namespace: str = Field("kueue-kubestellar-system", description="where the leader's Lease lives")
    metrics_port: int = Field(
        0, ge=0, description="port of /metrics, /healthz and /readyz; 0 takes a free one"
    )

    @property
    def timing(self) -> Timing:
        """The waits of the lifecycle."""
        return Timing(
            placement_timeout=self.placement_timeout,
            retry_delay=self.retry_delay,
            retry_delay_max=self.retry_delay_max,
            pods_end_margin=self.pods_end_margin,
            clock_skew=self.clock_skew,
        )
