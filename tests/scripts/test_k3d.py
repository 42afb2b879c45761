"""scripts/k3d among programs that only write down how they are called.

What this cannot tell is whether the real programs take these calls as meant: that needs Docker (tests/k3d).
So each flag is compared with those that the programs' own documentation has, and each version with our pins.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from local_fleet.stack_modules import CONTROLPLANE, STACK
from tests.scripts.fake_tools import SCRIPTS, STAYS, Answer, Ran, run

HUB, W1, W2 = "kueue-ks-hub", "kueue-ks-w1", "kueue-ks-w2"
TOKEN = Answer(
    "clusteradm --context its1 get token",
    "token=t\nplease log on spoke and run:\n"
    "clusteradm join --hub-token t --hub-apiserver https://its1:9443 --cluster-name <cluster_name>\n",
)
CLUSTERS = Answer("k3d cluster list", f"{HUB}  1/1  0/0  true\n{W1}  1/1  0/0  true\n{W2}  1/1  0/0  true\n")
HUB_ONLY = Answer("k3d cluster list", f"{HUB}  1/1  0/0  true\n{HUB}-other  1/1  0/0  true\n")
ACCEPTED = Answer(f"kubectl --context its1 get managedcluster {W1} ", "true")
BOTH_ACCEPTED = Answer("kubectl --context its1 get managedcluster ", "true")
GATED = Answer(
    f"kubectl --context k3d-{HUB} -n kueue-system get deployment",
    '["--zap-log-level=2","--feature-gates=FinishOrphanedWorkloads=false,DisableWaitForPodsReady=true"]',
)


class Case(NamedTuple):
    reason: str
    answers: tuple[Answer, ...]
    made: tuple[str, ...]  # k3d clusters that are created
    joined: tuple[str, ...]
    kueue: bool  # whether its manifest is applied


UP = [
    Case("nothing is there", (TOKEN,), (HUB, W1, W2), (W1, W2), kueue=True),
    Case("stopped after the hub was made", (TOKEN, HUB_ONLY), (W1, W2), (W1, W2), kueue=True),
    Case("stopped between the two joins", (TOKEN, CLUSTERS, GATED, ACCEPTED), (), (W2,), kueue=False),
    Case("all is there", (TOKEN, CLUSTERS, GATED, BOTH_ACCEPTED), (), (), kueue=False),
]


def words(ran: Ran, start: str, place: int) -> tuple[str, ...]:
    """One word of each call that begins so."""
    return tuple(call.split()[place] for call in ran.calls if call.startswith(start))


@pytest.mark.parametrize("case", UP, ids=lambda case: case.reason)
def test_up_makes_what_is_missing_and_no_more(case: Case, tmp_path: Path) -> None:
    ran = run(tmp_path, "up.sh", answers=case.answers)
    assert ran.code == 0, ran.err
    assert words(ran, "k3d cluster create", 3) == case.made
    joins = [call for call in ran.calls if call.startswith("clusteradm join")]
    assert [call.split()[7] for call in joins] == list(case.joined)
    assert all(call.endswith("--singleton --force-internal-endpoint-lookup") for call in joins)
    assert words(ran, "clusteradm --context its1 accept", 5) == case.joined
    assert any("kueue/releases/download" in call for call in ran.calls) is case.kueue
    # What is there was perhaps stopped, and its kubeconfig lost.
    assert set(words(ran, "k3d cluster start", 3)) == {HUB, W1, W2} - set(case.made)
    assert set(words(ran, "k3d kubeconfig merge", 3)) == {HUB, W1, W2} - set(case.made)
    assert ran.calls[-1] == (
        f"kueue-ks install --samples --hub-context k3d-{HUB} --wds-context wds1 --its-context its1 "
        f"--worker-context k3d-{W1} --worker-context k3d-{W2}"
    )


def test_a_new_fleet_is_made_in_the_order_of_what_needs_what(tmp_path: Path) -> None:
    ran = run(tmp_path, "up.sh", answers=[TOKEN])
    milestones = (
        f"k3d cluster create {HUB} ",
        f"helm --kube-context k3d-{HUB} upgrade --install ingress-nginx",
        f"helm --kube-context k3d-{HUB} upgrade --install ks-core",
        f"kubectl --context k3d-{HUB} wait -n its1-system job.batch/its-hub-init",
        f"kubectl --context k3d-{HUB} wait -n its1-system job.batch/install-status-addon",
        f"kubectl --context k3d-{HUB} wait -n its1-system job.batch/update-cluster-info",
        f"kubectl config use-context k3d-{HUB}",
        "kflex ctx --set-current-for-hosting",
        "kflex ctx --overwrite-existing-context its1",
        f"kubectl --context k3d-{HUB} apply --server-side",
        f"kubectl --context k3d-{HUB} -n kueue-system patch deployment",
        f"kubectl --context k3d-{HUB} -n kueue-system rollout status",
        f"clusteradm join --hub-token t --hub-apiserver https://its1:9443 --cluster-name {W1} ",
        f"kubectl --context its1 label managedcluster {W1} name={W1}",
        f'kubectl --context k3d-{W1} patch klusterlet klusterlet --type=merge -p {{"spec":{{"workConf',
        "kubectl --context its1 get namespace customization-properties",
        "kueue-ks install",
    )
    at = [next(i for i, call in enumerate(ran.calls) if call.startswith(start)) for start in milestones]
    assert at == sorted(at)


@pytest.mark.parametrize("tool", ["docker", "k3d", "helm", "kubectl", "kflex", "clusteradm", "kueue-ks"])
def test_a_missing_tool_is_named_with_what_installs_it(tool: str, tmp_path: Path) -> None:
    ran = run(tmp_path, "up.sh", missing=[tool])
    assert ran.code == 1
    lines = ran.err.splitlines()
    assert lines[0] == f"{tool} is missing. Install it:"
    assert lines[1].startswith("  make sync" if tool == "kueue-ks" else "  curl -fsSL")
    assert lines[-1] == "Nothing was done."
    assert set(ran.calls) <= {"docker info"}


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    ran = run(
        tmp_path, "up.sh", ["--check"], missing=["k3d", "helm"], answers=[Answer("docker info", code=1)]
    )
    named = [line.partition(".")[0] for line in ran.err.splitlines() if line[:1].islower()]
    assert (ran.code, named) == (1, ["k3d is missing", "helm is missing", "docker does not answer"])


def test_too_few_inotify_watches_are_a_warning(tmp_path: Path) -> None:
    (tmp_path / "inotify").mkdir()
    (tmp_path / "inotify" / "max_user_watches").write_text("524288\n")
    (tmp_path / "inotify" / "max_user_instances").write_text("128\n")
    ran = run(tmp_path, "up.sh", ["--check"])
    assert ran.code == 0
    assert "sudo sysctl fs.inotify.max_user_instances=512" in ran.err
    assert "max_user_watches" not in ran.err


FAILING = [
    Case("of the first step", (Answer("k3d cluster create", "no space\n", 1),), (HUB,), (), kueue=False),
    Case(
        "in the middle of one",
        (Answer(f"kubectl --context k3d-{HUB} wait -n its1-system job.batch/its-hub", "no space\n", 1),),
        (HUB, W1, W2),
        (),
        kueue=False,
    ),
    Case(
        "that is tried again and again",
        (TOKEN, Answer("clusteradm --context its1 accept", "no space\n", 1)),
        (HUB, W1, W2),
        (W1,),
        kueue=True,
    ),
    Case(
        "of the last one", (TOKEN, Answer("kueue-ks", "no space\n", 2)), (HUB, W1, W2), (W1, W2), kueue=True
    ),
]


@pytest.mark.parametrize("case", FAILING, ids=lambda case: case.reason)
def test_a_failure_ends_it_with_what_was_said_and_can_be_resumed(case: Case, tmp_path: Path) -> None:
    ran = run(tmp_path, "up.sh", answers=case.answers)
    assert ran.code == 1
    assert ran.out.endswith("... failed\n")
    assert "no space" in ran.err
    assert "run " in ran.err.splitlines()[-1]
    assert "it goes on here" in ran.err
    assert ran.calls[-1].startswith(case.answers[-1].start) or ran.calls[-1].startswith("sleep")
    assert words(ran, "k3d cluster create", 3) == case.made
    assert tuple(call.split()[7] for call in ran.calls if call.startswith("clusteradm join")) == case.joined
    assert run(tmp_path, "up.sh", answers=[TOKEN]).code == 0


@pytest.mark.parametrize(
    ("script", "arguments"), [("up.sh", ["--fast"]), ("demo.sh", ["gpu"]), ("down.sh", ["--yes"])]
)
def test_wrong_use_is_said_and_does_nothing(script: str, arguments: list[str], tmp_path: Path) -> None:
    ran = run(tmp_path, script, arguments)
    assert (ran.code, ran.calls) == (2, ())
    assert ran.err.startswith(f"usage: {script}")


def test_down_deletes_what_is_there_and_the_folder(tmp_path: Path) -> None:
    assert run(tmp_path, "up.sh", answers=[TOKEN]).code == 0
    ran = run(tmp_path, "down.sh", answers=[HUB_ONLY])
    assert (ran.code, words(ran, "k3d cluster delete", 3)) == (0, (HUB,))
    assert not (tmp_path / "state").exists()
    again = run(tmp_path, "down.sh")
    assert (again.code, words(again, "k3d cluster delete", 3)) == (0, ())


RUNS = (Answer("kueue-ks run", code=STAYS), Answer("python-of-ours -m metrics_agent", code=STAYS))
CREATED = Answer(f"kubectl --context k3d-{HUB} create", "job.batch/some-x7\n")


class Demo(NamedTuple):
    reason: str
    answers: tuple[Answer, ...]
    code: int


DEMO = [
    Demo("every job finished", (*RUNS, CREATED), 0),
    Demo(
        "a job did not finish",
        (*RUNS, CREATED, Answer(f"kubectl --context k3d-{HUB} -n team-b wait", "timed out\n", 1)),
        1,
    ),
    Demo("a controller ended", (RUNS[1], CREATED), 1),
]


@pytest.mark.parametrize("case", DEMO, ids=lambda case: case.reason)
def test_demo_runs_the_examples_and_ends_what_it_started(case: Demo, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "kubeconfig").touch()
    ran = run(tmp_path, "demo.sh", answers=case.answers)  # returns before a minute: what stays was ended
    assert ran.code == case.code, ran.err
    contexts = f"--hub-context k3d-{HUB} --wds-context wds1 --its-context its1"
    assert f"kueue-ks run {contexts}" in ran.calls
    assert f"python-of-ours -m metrics_agent --context k3d-{W1} --metrics-name {W1}" in ran.calls
    assert f"python-of-ours -m metrics_agent --context k3d-{W2} --metrics-name {W2}" in ran.calls
    assert [Path(name).name for name in words(ran, f"kubectl --context k3d-{HUB} create", 5)] == [
        "batch-job.yaml",
        "sweep-job.yaml",
    ]
    assert f"kueue-ks explain job/some-x7 -n team-b {contexts}" in ran.calls


def test_demo_without_a_fleet_says_how_to_get_one(tmp_path: Path) -> None:
    ran = run(tmp_path, "demo.sh")
    assert (ran.code, ran.calls) == (1, ())
    assert ran.err.rstrip().endswith("up.sh")


# As the programs document them: k3d 5.8 (k3d.io), Helm 3.16, kubectl 1.36, clusteradm 1.0, KubeFlex 0.9.3.
DOCUMENTED = {
    "docker": {"info"},
    "k3d": {"--no-headers", "--image", "--network", "-p", "--k3s-arg", "--kubeconfig-merge-default"},
    "helm": {
        "--kube-context", "--install", "--repo", "--version", "--namespace", "--create-namespace", "--set",
        "--set-json", "--wait", "--timeout",
    },
    "kubectl": {
        "--context", "--for", "--all", "--timeout", "--overwrite", "-n", "-o", "--ignore-not-found",
        "--server-side", "--force-conflicts", "-f", "--type", "-p",
    },
    "kflex": {"--set-current-for-hosting", "--overwrite-existing-context"},
    "clusteradm": {
        "--context", "--hub-token", "--hub-apiserver", "--cluster-name", "--singleton", "--clusters",
        "--force-internal-endpoint-lookup",
    },
}  # fmt: skip


def test_no_flag_is_invented(tmp_path: Path) -> None:
    calls = [*run(tmp_path, "up.sh", answers=[TOKEN]).calls]
    calls += run(tmp_path, "up.sh", answers=[TOKEN, CLUSTERS, GATED]).calls
    calls += run(tmp_path, "down.sh", answers=[CLUSTERS]).calls
    for call in calls:
        tool, *rest = call.split()
        if tool in DOCUMENTED:
            flags = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
            # The value of --k3s-arg is a flag of k3s.
            assert flags - {"--disable"} <= DOCUMENTED[tool], call


def pins() -> dict[str, str]:
    text = (SCRIPTS / "versions.sh").read_text()
    return dict(re.findall(r"^([A-Z0-9_]+)=(\S+)", text, re.MULTILINE))


def test_the_pins_are_those_of_the_local_fleet() -> None:
    kubestellar = next(module for module in STACK if module.name == "kubestellar")
    assert pins()["KUEUE_VERSION"] == CONTROLPLANE.version_of("sigs.k8s.io/kueue")
    assert "v" + pins()["KUBESTELLAR_VERSION"] == kubestellar.version_of("github.com/kubestellar/kubestellar")
    assert pins()["KFLEX_VERSION"] == kubestellar.version_of("github.com/kubestellar/kubeflex")
    minor = CONTROLPLANE.version_of("k8s.io/kubernetes").rpartition(".")[0]
    assert pins()["K3S_IMAGE"].startswith(f"rancher/k3s:{minor}.")


def test_no_version_stands_anywhere_else() -> None:
    for script in SCRIPTS.glob("*.sh"):
        if script.name != "versions.sh":
            code = re.sub(r"#.*", "", script.read_text())
            assert not re.search(r"\bv?\d+\.\d+\.\d+\b", code), script.name


def test_shellcheck_finds_nothing() -> None:
    """The tool comes with the development dependencies, beside the Python that runs this."""
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which(
        "shellcheck"
    )
    assert shellcheck, "make sync installs it"
    scripts = sorted(str(path) for path in SCRIPTS.glob("*.sh"))
    found = subprocess.run(
        [shellcheck, "--external-sources", "--source-path", str(SCRIPTS.parents[1]), *scripts],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 0, found.stdout
