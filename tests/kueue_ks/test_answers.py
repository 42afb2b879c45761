"""``explain`` and ``whatif`` from argv to exit code and sentence, against servers that only answer reads."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from kueue_ks.explain import search
from kueue_ks.views import reading
from kueue_ks.views.seen import Seen
from tests.kueue_ks.forecast_builders import fleet, new_job
from tests.kueue_ks.test_main import call
from tests.kueue_ks.three_servers import Servers, serving
from tests.kueue_ks.view_builders import NOW, RESERVED, job, workload
from vocabulary import keys

A_JOB, NEVER = "job.yaml", "never.yaml"
FILES = {
    A_JOB: json.dumps(new_job()),
    NEVER: json.dumps(new_job(annotations={keys.ON_CLUSTER_LOSS: "never"})),
    "pod.yaml": "kind: Pod\napiVersion: v1\nmetadata: {name: x}\nspec: {}\n",
    "list.yaml": "- 1\n- 2\n",
    "two.yaml": "kind: Job\n---\nkind: Job\n",
    "broken.yaml": "kind: [\n",
    "empty.yaml": "",
    "text.yaml": "spec: 7\n",
    "bare.yaml": json.dumps({**new_job(), "spec": {"parallelism": 2}}),
    "count.yaml": json.dumps({**new_job(), "spec": {**new_job()["spec"], "parallelism": "two"}}),
    "shape.yaml": json.dumps({"apiVersion": "batch/v1", "kind": "Job", "metadata": "x", "spec": {}}),
}
PATIENT = 60.0  # seconds: no test waits for it, also on a busy machine
WORKLOADS = "/hub/apis/kueue.x-k8s.io/v1beta2/workloads"
JOBS = "/hub/apis/batch/v1/namespaces/team-a/jobs"
CLUSTERS = "/its/apis/cluster.open-cluster-management.io/v1/managedclusters"
REJECTED = {"state": "Rejected", "message": "Job team-a/bad: spec.managedBy is 'unset'. Create it again."}


class Case(NamedTuple):
    reason: str
    arguments: list[str]
    code: int
    out: str = ""
    err: str = ""
    forbidden: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


A = ["-n", "team-a"]
EXPLAIN = [
    Case("a job that waits is fine", ["explain", "job/room-4", *A], 0, "WAITING FOR A CLUSTER"),
    Case("a bare name is a job's", ["explain", "room-4", *A], 0, "WAITING FOR A CLUSTER"),
    Case("one that can never run is a finding", ["explain", "job/bad", *A], 3, "spec.managedBy is 'unset'"),
    Case("unless that is turned off", ["explain", "job/bad", *A, "--exit-zero"], 0, "REFUSED"),
    Case(
        "an unknown job, with near ones",
        ["explain", "job/room-5", *A],
        1,
        err="no job 'room-5' in namespace 'team-a'\n  why: 7 jobs are there\n  fix: did you mean room-4",
    ),
    Case(
        "no job at all: the namespace is forgotten most often",
        ["explain", "job/room-4", "-n", "team-x"],
        1,
        err="error: no job 'room-4' in namespace 'team-x'\n  why: no job is there\n"
        "  fix: name another one, or its namespace with -n\n",
    ),
    Case("another kind", ["explain", "pod/room-4"], 2, err="error: 'pod/room-4' is no batch Job\n  fix: "),
    Case("a name that is missing", ["explain", "job/"], 2, err="error: 'job/' names no job\n  fix: "),
    Case("an output that is not there", ["explain", "job/room-4", "-o", "yaml"], 2, err="not one of"),
    Case("nothing is asked", ["explain"], 2, err="Missing argument"),
    Case(
        "no right to read the job",
        ["explain", "job/room-4", *A],
        1,
        err="error: not allowed: hub: GET /apis/batch/v1/namespaces/team-a/jobs/room-4\n  why: user ana",
        forbidden=(f"{JOBS}/room-4",),
    ),
    Case(
        "no right to list the others: it still says that the job is not there",
        ["explain", "job/room-5", *A],
        1,
        err="error: no job 'room-5' in namespace 'team-a'\n  why: other jobs there may not be listed\n",
        forbidden=(JOBS,),
    ),
    Case(
        "a tenant: his job, and what of the fleet he may not read",
        ["explain", "job/room-4", *A],
        0,
        "no verdict: not read: clusters",
        forbidden=(CLUSTERS,),
    ),
    Case("the ITS is away: the rest is told", ["explain", "job/room-4", *A], 0, "unread", gone=("its",)),
    Case("the hub is away", ["explain", "job/room-4", *A], 1, err="error: hub: ", gone=("hub",)),
]
WHATIF = [
    Case("a job that would run", ["whatif", A_JOB], 0, "PLACED  on w1"),
    Case("a job that would never run is an answer", ["whatif", NEVER], 0, "NEVER RUNS"),
    Case("and may be a failure", ["whatif", NEVER, "--fail-if", "never>0"], 3, "NEVER RUNS"),
    Case("a condition that is not so", ["whatif", A_JOB, "--fail-if", "waiting>0"], 0, "PLACED"),
    Case("cordon", ["whatif", "cordon", "w1"], 0, "If w1 were cordoned now"),
    Case("drain", ["whatif", "drain", "w1"], 0, "If w1 were drained now"),
    Case("drain as a test", ["whatif", "drain", "w1", "--fail-if", "moving>=0"], 3, "If w1 were drained now"),
    Case(
        "an unknown cluster, with near ones",
        ["whatif", "drain", "w11"],
        1,
        err="error: no ManagedCluster 'w11'\n  why: registered are w1, w2, w3, w4\n  fix: did you mean w1",
    ),
    Case(
        "no cluster",
        ["whatif", "drain"],
        2,
        err="error: drain needs a cluster\n  fix: kueue-ks whatif drain CLUSTER",
    ),
    Case(
        "a job and a cluster",
        ["whatif", A_JOB, "w1"],
        2,
        err="a job is asked about without a cluster: 'w1' is too much\n  fix: kueue-ks whatif job.yaml, ",
    ),
    Case(
        "no file and no verb",
        ["whatif", "dran", "w1"],
        2,
        err="error: dran: No such file or directory\n  fix: give the file of a Job, or cordon ",
    ),
    Case("a folder", ["whatif", "."], 2, err="error: .: Is a directory\n"),
    Case("no YAML", ["whatif", "broken.yaml"], 2, err="error: broken.yaml cannot be read as YAML\n  why: "),
    Case("two documents", ["whatif", "two.yaml"], 2, err="expected a single document"),
    Case("an empty file", ["whatif", "empty.yaml"], 2, err="error: empty.yaml holds no Job\n"),
    Case("a list", ["whatif", "list.yaml"], 2, err="error: list.yaml holds no Job\n"),
    Case("a Job without a spec", ["whatif", "text.yaml"], 2, err="error: text.yaml holds no Job\n"),
    Case("another kind", ["whatif", "pod.yaml"], 2, err="error: it is a Pod, not a batch/v1 Job\n"),
    Case(
        "a Job without pods", ["whatif", "bare.yaml"], 2, err="the job cannot be read: KeyError: 'template'"
    ),
    Case("a number that is none", ["whatif", "count.yaml"], 2, err="error: the job cannot be read: "),
    Case("a Job of a wrong shape", ["whatif", "shape.yaml"], 2, err="error: shape.yaml holds no Job\n"),
    Case(
        "a condition that is none",
        ["whatif", "drain", "w1", "--fail-if", "jobs>0"],
        2,
        err="error: --fail-if 'jobs>0' is no condition\n  fix: ",
    ),
    Case(
        "a condition that can never be so",
        ["whatif", "drain", "w1", "--fail-if", "never>0"],
        2,
        err="error: --fail-if never is about a job, not about drain\n",
    ),
    Case(
        "a namespace for what creates nothing",
        ["whatif", "cordon", "w1", "-n", "team-a"],
        2,
        err="error: -n says where a job would be created, and cordon creates none\n",
    ),
    Case(
        "a job does not move",
        ["whatif", A_JOB, "--fail-if", "moving>0"],
        2,
        err="error: --fail-if moving is about drain, not about a job\n",
    ),
    Case(
        "no right to list clusters",
        ["whatif", "drain", "w1"],
        1,
        err="error: not everything that decides could be read: clusters\n  why: its managedclusters: ",
        forbidden=(CLUSTERS,),
    ),
    Case(
        "half of the Workloads is no answer",
        ["whatif", A_JOB],
        1,
        err="error: not everything that decides could be read: workloads\n",
        forbidden=(WORKLOADS,),
    ),
    Case("the ITS is away", ["whatif", "cordon", "w1"], 1, err="could be read: clusters", gone=("its",)),
]


def given() -> Seen:
    """The views' small fleet, and a job that was refused."""
    seen = fleet()
    bad = workload("bad", RESERVED, check=REJECTED)
    return replace(seen, workloads=[*(seen.workloads or ()), bad], jobs=[*(seen.jobs or ()), job("bad")])


@pytest.mark.parametrize("case", [*EXPLAIN, *WHATIF], ids=lambda case: f"{case.arguments[0]}: {case.reason}")
def test_exit_code_and_sentence(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = Servers(given())
    servers.forbidden, servers.gone = set(case.forbidden), set(case.gone)
    code, out, err = run(case.arguments, servers, tmp_path, monkeypatch, capsys)
    assert (code, servers.writes) == (case.code, [])
    assert case.out in out
    assert case.err in err
    assert "Traceback" not in err
    assert bool(out) == (code in {0, 3}), "data on stdout, and only data"


@pytest.mark.parametrize(
    "arguments", [["explain", "job/room-4", *A], ["whatif", A_JOB], ["whatif", "drain", "w1"]]
)
def test_json_is_a_document_and_nothing_else(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run([*arguments, "-o", "json"], Servers(given()), tmp_path, monkeypatch, capsys)
    document = json.loads(out)
    assert (code, document["apiVersion"], err) == (0, "cli.kueue-ks/v1", "")


def run(
    arguments: list[str],
    servers: Servers,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str, str]:
    clock: Any = SimpleNamespace(time=lambda: NOW)
    for module in (search, reading):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(search, "SPACE_TIMEOUT", PATIENT)
    for name, content in FILES.items():
        (folder / name).write_text(content)
    monkeypatch.chdir(folder)
    with serving(servers, folder) as flags:
        code = call(monkeypatch, *arguments, f"--request-timeout={PATIENT}", *flags)
    return code, *capsys.readouterr()
