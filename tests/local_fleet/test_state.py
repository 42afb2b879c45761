"""The folder of a fleet: claimed once, emptied only when it is ours, cleaned of what an earlier life left."""

import subprocess
from pathlib import Path

import pytest

from local_fleet import state
from local_fleet.errors import FleetError
from local_fleet.processes import ProcessId
from local_fleet.state import ComponentState, FleetState

GONE = ProcessId(2**22 + 1, 1)  # larger than any pid of Linux


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = FleetState(
        phase="ready",
        supervisor=state.myself(),
        workers=("w1",),
        ports={"hub": 20_000},
        components=[
            ComponentState("kueue", "ready", ProcessId(1, 2), restarts=1),
            ComponentState("x", "ended", None),
        ],
        programs={"kueue": "/bin/kueue"},
    )
    state.write(tmp_path, written)
    assert state.read(tmp_path) == written
    assert written.running
    assert state.read(tmp_path / "elsewhere") is None


def test_a_broken_state_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / state.MARK).write_text('{"phase": 1}')
    with pytest.raises(FleetError, match=r"cannot be read .* remove it"):
        state.read(tmp_path)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FleetError, match="not empty and was not made by a fleet"):
        state.claim(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FleetError, match=r"cannot be used: File exists\. Name another one by --dir"):
        state.claim(tmp_path / "file")


def test_only_one_fleet_has_a_folder(tmp_path: Path) -> None:
    with (
        state.claim(tmp_path / "new"),
        pytest.raises(FleetError, match=r"already runs in .*fleet down --dir"),
    ):
        state.claim(tmp_path / "new")
    state.claim(tmp_path / "new").close()


def test_a_new_fleet_begins_empty_and_ends_what_survived(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as survivor:
        process = ProcessId.of(survivor.pid)
        assert process is not None
        components = [ComponentState("etcd", "ready", process), ComponentState("kueue", "ready", GONE)]
        state.write(tmp_path, FleetState("ready", GONE, components=components))
        (tmp_path / "audit").mkdir()
        (tmp_path / "audit" / "hub.log").write_text("old")
        state.claim(tmp_path).close()
        assert survivor.wait(5) == -9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock"]


def test_down_ends_supervisor_and_survivors_and_is_idempotent(tmp_path: Path) -> None:
    assert state.end(tmp_path) is False
    with subprocess.Popen(["sleep", "60"]) as supervisor, subprocess.Popen(["sleep", "60"]) as child:
        one, other = ProcessId.of(supervisor.pid), ProcessId.of(child.pid)
        assert one
        assert other
        state.write(tmp_path, FleetState("ready", one, components=[ComponentState("etcd", "ready", other)]))
        assert state.end(tmp_path) is True
        assert (supervisor.wait(5), child.wait(5)) == (-15, -9)
    assert state.end(tmp_path) is False


def test_a_reused_pid_is_not_ours() -> None:
    with subprocess.Popen(["sleep", "60"]) as somebody:
        real = ProcessId.of(somebody.pid)
        assert real
        ProcessId(real.pid, real.started - 1).signal(9)
        assert somebody.poll() is None
        real.signal(9)
