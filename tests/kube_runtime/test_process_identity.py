import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kube_runtime.process_identity import process_identity, process_is_gone

SLEEPER = """
import sys
from kube_runtime.process_identity import process_identity
print(process_identity(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other() -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Another process of this machine, and its identity."""
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield process, process.stdout.readline().strip()
        process.kill()


def test_it_stays_the_same_and_names_this_process() -> None:
    assert process_identity() == process_identity()
    assert process_identity().rsplit("_", 2)[1] == str(os.getpid())
    assert not process_is_gone(process_identity())


def test_another_process_is_there_until_it_has_ended(other: tuple["subprocess.Popen[str]", str]) -> None:
    process, identity = other
    assert not process_is_gone(identity)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie: ended, but nobody has asked
    assert process_is_gone(identity)
    process.wait()
    assert process_is_gone(identity)


def test_a_pid_that_was_given_anew_is_told_apart() -> None:
    rest, start_time = process_identity().rsplit("_", 1)
    assert process_is_gone(f"{rest}_{int(start_time) - 1}")


def test_nothing_is_known_of_other_machines_and_namespaces() -> None:
    host, machine, pid, start = process_identity().rsplit("_", 3)
    boot, namespace = machine.split("-")
    never = 2**22 + 1  # above the highest pid that Linux gives
    assert process_is_gone(f"{host}_{machine}_{never}_{start}")
    assert not process_is_gone(f"{host}_00000000-{namespace}_{never}_{start}")
    assert not process_is_gone(f"{host}_{boot}-1_{never}_{start}")
    assert not process_is_gone(f"{host}_{boot}-{namespace}_{int(pid)}_{start}")


@pytest.mark.parametrize("text", ["", "host", "host_1b671a64-40d5-491e-99b0-da01ff1f3341", "a_b_c_d_e"])
def test_an_identity_of_another_form_is_never_gone(text: str) -> None:
    assert not process_is_gone(text)


@pytest.mark.parametrize("pid", ["", "0", "-1", "x", "\u0661", "9" * 30])
def test_a_pid_that_is_none_is_never_gone(pid: str) -> None:
    host, machine, _, start = process_identity().rsplit("_", 3)
    assert not process_is_gone(f"{host}_{machine}_{pid}_{start}")
