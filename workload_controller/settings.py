"""Settings of WorkloadController: flags, environment (``KUEUE_KS_…``), defaults."""

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from kube_runtime.spaces import SpacesSettings
from vocabulary.programs import PROGRAMS
from workload_controller.facts import LossPolicy
from workload_controller.published import STALE_AFTER, Options
from workload_controller.situation import Timing
from workload_controller.wishes import Growth, JobPolicy, OnRemoved


class Settings(SpacesSettings):
    """Every option with its unit and default."""

    sections: ClassVar = PROGRAMS

    model_config = SettingsConfigDict(
        env_prefix="KUEUE_KS_", cli_kebab_case=True, cli_prog_name="workload_controller", extra="forbid"
    )

    placement_timeout: float = Field(
        600, gt=0, description="seconds without a fitting cluster until the quota goes back"
    )
    never_grace: float = Field(
        60, ge=0, description="seconds until a job that fits no cluster even if empty is rejected"
    )
    retry_delay: float = Field(30, gt=0, description="seconds until the first next try, doubled each time")
    retry_delay_max: float = Field(600, gt=0, description="longest such delay in seconds")
    exclusion: float = Field(
        900, ge=0, description="seconds during which a cluster where an attempt failed is left out"
    )
    start_timeout: float = Field(300, gt=0, description="seconds that a job's pods may take to become ready")
    start_timeout_growth: Growth = Field(
        Growth.EXPONENTIAL, description="how that time grows with every requeuing"
    )
    start_timeout_max: float = Field(0, ge=0, description="longest such time in seconds; 0 means no limit")
    max_requeuings: int = Field(
        5, ge=0, description="requeuings of a job whose attempts fail, then it is rejected; 0 means no limit"
    )
    apply_timeout: float = Field(
        60, gt=0, description="seconds until a job that a worker refuses is taken back from it"
    )
    on_cluster_loss: LossPolicy = Field(
        LossPolicy.AT_MOST_ONCE, description="what happens to the jobs of a lost cluster"
    )
    on_worker_job_removed: OnRemoved = Field(
        OnRemoved.RESTART, description="what happens when somebody deletes a job on its worker"
    )
    worker_lost_timeout: float = Field(
        900, gt=0, description="seconds without contact after which a cluster counts as lost"
    )
    settle: float = Field(
        30, ge=0, description="seconds that a returned cluster must stay before it gets new jobs"
    )
    lease: int = Field(
        600, ge=4, description="seconds without a heartbeat after which a worker ends a leased job"
    )
    hold_quota: bool = Field(
        default=True,
        description="keep the quota of deleted jobs until their pods have ended, by a finalizer on Workloads",
    )
    stale_after: float = Field(
        STALE_AFTER, gt=0, description="seconds after which a cluster's report is not believed"
    )
    pods_end_margin: float = Field(
        10, ge=0, description="seconds that withdrawn pods get beyond their grace period"
    )
    clock_skew: float = Field(2, ge=0, description="seconds by which a worker's clock may be ahead")
    wave_size: int = Field(
        1, ge=1, description="most jobs that one BindingPolicy carries together; 1 means a policy per job"
    )
    workers: int = Field(16, ge=1, description="reconciles at the same time")

    namespace: str = Field("kueue-kubestellar-system", description="where the leader's Lease lives")
    metrics_port: int = Field(
        0, ge=0, description="port of /metrics, /healthz and /readyz; 0 takes a free one"
    )
    metrics_address: str = Field("127.0.0.1", description="address of that port; a pod's own in a cluster")

    @property
    def timing(self) -> Timing:
        """The waits of the lifecycle."""
        return Timing(
            placement_timeout=self.placement_timeout,
            never_grace=self.never_grace,
            retry_delay=self.retry_delay,
            retry_delay_max=self.retry_delay_max,
            exclusion=self.exclusion,
            apply_timeout=self.apply_timeout,
            worker_lost_timeout=self.worker_lost_timeout,
            settle=self.settle,
            lease=self.lease,
            pods_end_margin=self.pods_end_margin,
            clock_skew=self.clock_skew,
            hold_quota=self.hold_quota,
        )

    @property
    def options(self) -> Options:
        """All that decisions depend on."""
        return Options(self.timing, self.defaults, self.stale_after, known=True)

    @property
    def defaults(self) -> JobPolicy:
        """What holds for jobs that say nothing, and whose queues say nothing."""
        return JobPolicy(
            on_loss=self.on_cluster_loss,
            on_removed=self.on_worker_job_removed,
            start_timeout=self.start_timeout,
            growth=self.start_timeout_growth,
            start_timeout_max=self.start_timeout_max,
            max_requeuings=self.max_requeuings,
        )
