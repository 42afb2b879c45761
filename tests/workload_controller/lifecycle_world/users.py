"""The user of the job, and the administrator who cordons clusters."""

from kube_runtime.objects import Key
from tests.workload_controller.lifecycle_world.spaces import NAME, NAMESPACE, Spaces
from tests.workload_controller.lifecycle_world.worker_objects import OURS
from vocabulary.resources import JOBS, MANAGED_CLUSTERS, WORKLOADS


class Users(Spaces):
    """What people do on the hub and to the ITS."""

    def create_job(self, on_loss: str, grace: int) -> None:
        template = {
            "metadata": {},
            "spec": {
                "terminationGracePeriodSeconds": grace,
                "containers": [{"name": "main", "resources": {"requests": {"cpu": "1"}}}],
            },
        }
        self.hub.create(
            JOBS,
            {
                "metadata": {
                    "name": NAME,
                    "namespace": NAMESPACE,
                    "labels": {"kueue.x-k8s.io/queue-name": "default-queue"},
                    "annotations": {OURS + "on-cluster-loss": on_loss},
                },
                "spec": {
                    "parallelism": 1,
                    "completions": 1,
                    "suspend": True,
                    "managedBy": "kubestellar.io/ks-kueue",
                    "template": template,
                },
            },
        )

    def delete_job(self, *, foreground: bool) -> None:
        if foreground:
            self.hub.change(
                JOBS,
                (NAMESPACE, NAME),
                lambda o: o["metadata"].setdefault("finalizers", []).append("foregroundDeletion"),
            )
        self.hub.delete(JOBS, (NAMESPACE, NAME))

    def set_active(self, key: Key, *, active: bool) -> None:
        """A user's word on ``spec.active``; Kueue counts a deactivated Workload no more, at once."""
        workload = self.hub.change(WORKLOADS, key, lambda obj: obj["spec"].update(active=active))
        if not active:
            self.deactivated_by_user.add(workload["metadata"]["uid"])

    def taint(self, cluster: str, key: str) -> None:
        """Our taint of that key on the cluster, "" for none."""
        taints = [{"key": key, "value": "by ana", "effect": "NoSelect"}] if key else []
        self.its.change(MANAGED_CLUSTERS, ("", cluster), lambda obj: obj["spec"].update(taints=taints))
