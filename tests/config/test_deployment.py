"""The Deployments are what Pod Security calls restricted, and say what the programs understand."""

from typing import Any

import pytest

import quota_manager.settings
import workload_controller.settings
from kube_runtime.objects import Obj
from kueue_ks.install.manifests import load
from tests.config.rendering import CONFIG, kustomized
from vocabulary import keys

PROGRAMS = {
    "workload-controller": workload_controller.settings.Settings,
    "quota-manager": quota_manager.settings.Settings,
}
ALL = {(obj["kind"], obj["metadata"]["name"]): obj for obj in kustomized(CONFIG / "overlays" / "prometheus")}


def deployment(name: str) -> Obj:
    return ALL["Deployment", name]


def pod(name: str) -> Any:
    return deployment(name)["spec"]["template"]["spec"]


def container(name: str) -> Any:
    (only,) = pod(name)["containers"]
    return only


def environment(name: str) -> dict[str, str]:
    """As the pod has it, at an address of its own."""
    return {entry["name"]: entry.get("value", "10.0.0.7") for entry in container(name)["env"]}


@pytest.mark.parametrize("name", PROGRAMS)
def test_restricted_pod_security(name: str) -> None:
    of_pod, of_container = pod(name)["securityContext"], container(name)["securityContext"]
    assert of_pod["runAsNonRoot"] is True
    assert of_pod["runAsUser"] > 0
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert of_container["allowPrivilegeEscalation"] is False
    assert of_container["readOnlyRootFilesystem"] is True
    assert of_container["capabilities"] == {"drop": ["ALL"]}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod(name))
    assert {kind for volume in pod(name)["volumes"] for kind in volume} <= {"name", "secret", "emptyDir"}
    labels = ALL["Namespace", keys.SYSTEM_NAMESPACE]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_understands_its_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable would be passed over in silence: each must change the setting that it names."""
    for variable, value in environment(name).items():
        monkeypatch.setenv(variable, value)
    settings = PROGRAMS[name]()
    for variable in environment(name):
        assert variable.startswith("KUEUE_KS_")
        field = variable.removeprefix("KUEUE_KS_").lower()
        assert getattr(settings, field) != type(settings).model_fields[field].default, variable
    assert settings.namespace == deployment(name)["metadata"]["namespace"]
    assert container(name)["command"] == ["python", "-m", name.replace("-", "_")]


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_variable_comes_from_a_service(name: str) -> None:
    """Services of this namespace would else be told as variables, and ours are read from those."""
    assert pod(name)["enableServiceLinks"] is False


@pytest.mark.parametrize("name", PROGRAMS)
def test_probes_and_metrics_meet_at_the_port(name: str) -> None:
    (port,) = container(name)["ports"]
    assert environment(name)["KUEUE_KS_METRICS_PORT"] == str(port["containerPort"])
    assert {container(name)[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness")} == {
        "/healthz"
    }
    assert container(name)["readinessProbe"]["httpGet"]["path"] == "/readyz"
    for kind in ("startup", "liveness", "readiness"):
        assert container(name)[f"{kind}Probe"]["httpGet"]["port"] == port["name"]
    (told,) = ALL["Service", name]["spec"]["ports"]
    assert (told["targetPort"], told["name"]) == (port["name"], "metrics")
    (endpoint,) = ALL["ServiceMonitor", "kueue-kubestellar"]["spec"]["endpoints"]
    assert endpoint["port"] == told["name"]
    (rule,) = ALL["NetworkPolicy", "kueue-kubestellar"]["spec"]["ingress"]
    assert [each["port"] for each in rule["ports"]] == [port["containerPort"]]


@pytest.mark.parametrize("name", PROGRAMS)
def test_files_of_the_environment_are_mounted(name: str) -> None:
    mounts = {mount["mountPath"]: mount["name"] for mount in container(name)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod(name)["volumes"]}
    assert (
        volumes[mounts["/spaces"]]["secret"]["secretName"] == f"{name}-spaces"
    )  # each with rights of its own
    assert "emptyDir" in volumes[mounts["/tmp"]]
    for space in ("WDS", "ITS"):
        folder, _, _ = environment(name)[f"KUEUE_KS_{space}_KUBECONFIG"].rpartition("/")
        assert folder in mounts


@pytest.mark.parametrize("name", PROGRAMS)
def test_one_replica_can_always_go(name: str) -> None:
    labels = deployment(name)["spec"]["template"]["metadata"]["labels"]
    assert deployment(name)["spec"]["replicas"] == 2
    assert ALL["PodDisruptionBudget", name]["spec"]["minAvailable"] == 1
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert ALL[kind, name]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert ALL["Service", name]["spec"]["selector"].items() <= labels.items()
    chosen = ALL["NetworkPolicy", "kueue-kubestellar"]["spec"]["podSelector"]["matchLabels"]
    assert chosen.items() <= labels.items()


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_pod_has_the_account_that_the_roles_are_bound_to(name: str) -> None:
    bound = {
        (subject["kind"], subject["name"])
        for obj in load("config/rbac/hub.yaml")
        for subject in obj.get("subjects", ())
    }
    assert ("ServiceAccount", pod(name)["serviceAccountName"]) in bound


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_it_needs_is_asked_for(name: str) -> None:
    resources = container(name)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}  # a limit of cpu would slow the renewal of the Lease
