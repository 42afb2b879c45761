"""Settings of WorkloadController: flags, environment (``KUEUE_KS_…``), defaults."""

from pathlib import Path

from kube_runtime.connections import ConnectionSettings
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from workload_controller.lifecycle import Timing


class Settings(BaseSettings):
    """Every option with its unit and default."""

    model_config = SettingsConfigDict(
        env_prefix="KUEUE_KS_",
        cli_parse_args=False,
        cli_kebab_case=True,
        cli_prog_name="workload_controller",
        extra="forbid",
    )

    hub_kubeconfig: Path | None = Field(
        None, description="kubeconfig of the hub; default: KUBECONFIG or in-cluster"
    )
    hub_context: str | None = Field(None, description="context in it; default: its current one")
    wds_kubeconfig: Path | None = Field(None, description="kubeconfig of the WDS; default: found by KubeFlex")
    wds_context: str | None = Field(None, description="context in it")
    wds_name: str | None = Field(None, description="KubeFlex ControlPlane of the WDS, when there are several")
    its_kubeconfig: Path | None = Field(None, description="kubeconfig of the ITS; default: found by KubeFlex")
    its_context: str | None = Field(None, description="context in it")
    its_name: str | None = Field(None, description="KubeFlex ControlPlane of the ITS, when there are several")

    placement_timeout: float = Field(
        600, gt=0, description="seconds without a fitting cluster until the quota goes back"
    )
    retry_delay: float = Field(30, gt=0, description="seconds until the first next try, doubled each time")
    retry_delay_max: float = Field(600, gt=0, description="longest such delay in seconds")
    stale_after: float = Field(
        180, gt=0, description="seconds after which a cluster's report is not believed"
    )
    pods_end_margin: float = Field(
        10,
        ge=0,
        description="seconds beyond their grace given to withdrawn pods, unless the agent confirms their end",
    )
    clock_skew: float = Field(2, ge=0, description="seconds by which a worker's clock may be ahead")
    workers: int = Field(16, ge=1, description="reconciles at the same time")

    namespace: str = Field("kueue-kubestellar-system", description="where the leader's Lease lives")
    metrics_port: int = Field(0, ge=0, description="port of /metrics, /healthz, /readyz; 0 takes a free one")
    log_level: str = Field("info", description="debug, info, warning, error")
    log_json: bool = Field(default=False, description="JSON lines instead of text")

    @property
    def hub(self) -> ConnectionSettings:
        """How to reach the hub."""
        return ConnectionSettings(kubeconfig=self.hub_kubeconfig, context=self.hub_context)

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
