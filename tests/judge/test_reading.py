"""What the judge reads: logs as servers leave them, after rotation, a kill, and a full life."""

import ast
import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import judge
from tests.judge.__main__ import main
from tests.judge.audit import NoAuditLogs, parse
from tests.judge.made_events import CONTROLLER, KUEUE, Json, Log, pod, running, thing, workload
from tests.judge.quantities import NANO, asked, available, exact, pod_requests, show

HERE = Path(__file__).parent


def test_the_judge_imports_nothing_of_ours() -> None:
    for path in HERE.glob("*.py"):
        if path.name.startswith("test_") or path.name == "made_events.py":
            continue
        for statement in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else []
            if isinstance(statement, ast.ImportFrom):
                assert statement.level == 0
                names = [f"{statement.module}.{alias.name}" for alias in statement.names]
            for name in names:
                ours = name == "tests.judge" or name.startswith("tests.judge.")
                assert ours or name.partition(".")[0] in sys.stdlib_module_names, f"{path.name}: {name}"


def broken() -> Log:
    return running().create(7, "w2", pod("b"))


def test_reads_a_folder_audit_or_the_folder_itself(tmp_path: Path) -> None:
    broken().save(tmp_path / "audit")

    for folder in (tmp_path, tmp_path / "audit"):
        history = judge.read(folder)
        assert [violation.invariant for violation in judge.check(history)] == ["I1"]
        assert history.unreadable == []
    assert history.summary().startswith("5 writes (hub 2, w1 2, w2 1); 1 Workloads, 2 of 2 pods ours")


def test_rotated_and_compressed_logs_are_one_server(tmp_path: Path) -> None:
    broken().save(tmp_path)
    lines = (tmp_path / "w1.log").read_text().splitlines(keepends=True)
    (tmp_path / "w1-2026-11-22T10-00-05.123.log").write_text(lines[0])
    (tmp_path / "w1.log").write_text(lines[1])
    hub = tmp_path / "hub.log"
    with gzip.open(tmp_path / "hub-2026-11-22T10-00-05.123.log.gz", "wt") as rotated:
        rotated.write(hub.read_text())
    hub.unlink()

    assert sorted({write.space for write in judge.read(tmp_path).writes}) == ["hub", "w1", "w2"]


def test_half_a_line_at_the_end_is_named_and_the_rest_is_judged(tmp_path: Path) -> None:
    broken().save(tmp_path)
    for cut in (20, -5):
        log = tmp_path / "hub.log"
        whole = log.read_text()
        log.write_text(whole + whole.splitlines()[0][:cut])

        history = judge.read(tmp_path)

        assert history.unreadable == ["hub.log:3"]
        assert len(judge.check(history)) == 1
        log.write_text(whole)


def test_a_restarted_server_writes_behind_half_a_line(tmp_path: Path) -> None:
    broken().save(tmp_path)
    log = tmp_path / "w2.log"
    log.write_text(log.read_text()[:300] + log.read_text())

    history = judge.read(tmp_path)

    assert history.unreadable == []
    assert len(judge.check(history)) == 1


def test_an_empty_log_is_not_a_clean_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hub.log").touch()

    with pytest.raises(NoAuditLogs):
        judge.read(tmp_path)
    assert main([str(tmp_path)]) == 2
    assert "no write of any API server in 1 audit logs" in capsys.readouterr().err


def test_the_command_says_what_it_found(tmp_path: Path) -> None:
    broken().create(1, "control", thing("BindingPolicy", "wave"), user=CONTROLLER).save(tmp_path)

    done = subprocess.run(
        [sys.executable, "-m", "tests.judge", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=HERE.parents[1],
        check=False,
    )

    assert done.returncode == 3, done.stderr
    assert "VIOLATION 2026-11-22T10:00:07.002+00:00 I1 Workload wl: " in done.stdout
    assert "left over: control bindingpolicies.control.kubestellar.io wave, created by" in done.stdout
    assert done.stdout.endswith("1 violations\n")


def test_the_command_is_silent_on_a_clean_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running().save(tmp_path)

    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("ours\n0 violations\n")


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "RequestReceived"},
        {"verb": "get"},
        {"responseStatus": {"code": 409}},
        {"responseStatus": None},
        {"requestURI": "/api/v1/pods?dryRun=All"},
        {"requestObject": {"kind": "DeleteOptions", "dryRun": ["All"]}},
        {"objectRef": None},
    ],
    ids=str,
)
def test_what_changed_nothing_is_no_write(change: Json) -> None:
    space, event = running().events[0]

    assert list(parse(space, event)) != []
    assert list(parse(space, event | change)) == []


def test_a_deleted_collection_takes_each_item() -> None:
    log = running().create(6, "w1", pod("b")).create(6, "w1", pod("held", finalizers=["x"]))
    items = [pod("a", node="n1", phase="Running"), pod("b"), pod("held", finalizers=["x"])]
    log.add(8, "w1", "deletecollection", thing("Pod", "", namespace="team"))
    log.events[-1][1]["responseObject"] = {"kind": "PodList", "items": items}

    alive = {life.name for life in log.history().pods if life.ended is None}

    assert alive == {"a", "held"}  # a runs and gets its grace period; b was bound to no node


@pytest.mark.parametrize(
    ("query", "left"), [("", []), ("?labelSelector=a%3Db", ["one", "two"])], ids=["all", "some"]
)
def test_a_deleted_collection_without_answer(query: str, left: list[str]) -> None:
    log = Log()
    for name in ("one", "two"):
        log.create(0, "hub", thing("ConfigMap", name, namespace="team"), user=CONTROLLER, level="Metadata")
    log.add(1, "hub", "deletecollection", thing("ConfigMap", "", namespace="team"), level="Metadata")
    log.events[-1][1]["requestURI"] += query
    log.create(0, "hub", thing("ConfigMap", "elsewhere", namespace="other"), user=CONTROLLER)

    assert [one.name for one in judge.leftovers(log.history())] == [*left, "elsewhere"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1500m", "3/2"),
        ("64Gi", "68719476736"),
        ("1e3", "1000"),
        ("0.1", "1/10"),
        ("2k", "2000"),
        ("1E", "1e18"),
        ("3n", "3e-9"),
    ],
)
def test_quantities_are_exact(text: str, value: str) -> None:
    assert exact(text) == exact(value)


def container(cpu: str, **more: str) -> Json:
    return {"resources": {"requests": {"cpu": cpu}}, **more}


SIDECAR = {"restartPolicy": "Always"}
BIG_START = [container("1", **SIDECAR), container("5"), container("2", **SIDECAR)]
MAIN = [container("500m"), container("1")]


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": MAIN}, "1.5"),
        ({"containers": MAIN, "overhead": {"cpu": "100m"}}, "1.6"),
        ({"containers": MAIN, "initContainers": [container("1"), container("2")]}, "2"),
        ({"containers": MAIN, "initContainers": BIG_START}, "6"),  # the second one beside the first
        (
            {"containers": MAIN, "initContainers": [*BIG_START, container("2", **SIDECAR)]},
            "6.5",
        ),  # all that stays
        ({"containers": MAIN, "resources": {"requests": {"cpu": "8"}}}, "8"),
    ],
    ids=["containers", "overhead", "init", "init beside sidecar", "sidecars", "pod level"],
)
def test_pod_requests_follow_the_scheduler(spec: Json, cpu: str) -> None:
    requests = pod_requests(spec)

    assert (show(requests["cpu"]), requests["pods"]) == (cpu, NANO)


def test_amounts_are_rounded_to_the_safe_side() -> None:
    assert asked({"cpu": "1.5n"}) == {"cpu": 2}
    assert available({"cpu": "1.5n"}) == {"cpu": 1}


def test_the_time_grows_with_the_log(tmp_path: Path) -> None:
    """A linear judge: ten times the lives take about ten times as long, not a hundred times."""
    few, many = (measured(tmp_path / str(lives), lives) for lives in (500, 5_000))

    assert many < 30 * max(few, 0.05)


def measured(folder: Path, lives: int) -> float:
    folder.mkdir()
    padding = "x" * 2_000  # a pod in a real log has about 5 KB
    with (folder / "w1.log").open("w") as worker, (folder / "hub.log").open("w") as hub:
        for number in range(lives):
            at, name = number * 0.01, f"p{number}"
            one = (
                Log()
                .create(at, "hub", workload(f"wl{number}", reserved=True), user=KUEUE)
                .create(at + 0.002, "w1", pod(name, f"wl{number}", owner=f"job{number}", padding=padding))
                .status(
                    at + 0.003,
                    "w1",
                    pod(name, f"wl{number}", owner=f"job{number}", node="n1", phase="Succeeded"),
                )
                .status(
                    at + 0.006,
                    "hub",
                    workload(f"wl{number}", reserved=True, finished="Succeeded"),
                    user=KUEUE,
                )
            )
            for space, event in one.events:
                (hub if space == "hub" else worker).write(json.dumps(event) + "\n")
    start = time.process_time()
    assert judge.check(judge.read(folder)) == []
    return time.process_time() - start


def test_a_json_patch_is_read_though_it_is_a_list() -> None:
    space, event = running().events[-1]

    [write] = parse(space, event | {"requestObject": [{"op": "replace", "path": "/status/phase"}]})

    assert write.fields is None


def test_an_answer_with_metadata_only_says_nothing_of_the_quota() -> None:
    """The garbage collector gets PartialObjectMetadata when it takes an owner away (delete with orphans)."""
    log = running()
    answer = workload(reserved=True) | {"kind": "PartialObjectMetadata"}
    del answer["status"]
    space, event = log.patch(7, "hub", workload(reserved=True), user="kube-controller-manager").events[-1]
    log.events[-1] = (space, event | {"responseObject": answer})

    assert log.history().workloads["wl"].holding
