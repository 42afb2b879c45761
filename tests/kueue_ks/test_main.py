"""The command line as a whole: exit codes, and failures as sentences on stderr."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from kueue_ks import main


class Case(NamedTuple):
    reason: str
    arguments: list[str]
    code: int
    err: str  # a part of it


LONG = ("demo", "run", "install", "uninstall", "fleet")
"""They start programs or write manifests: what they load at once is small beside what they do."""

VIEWS = ("clusters", "queue", "quota", "top")
CASES = [
    Case("another kind is a usage error", ["explain", "pod/x"], 2, "error: 'pod/x' is no batch Job\n  fix: "),
    Case("no kubeconfig", ["explain", "job/x"], 1, "error: no kubeconfig is given"),
    Case(
        "a kubeconfig that is not there",
        ["explain", "job/x", "--hub-kubeconfig", "/nonexistent"],
        1,
        "error: kubeconfig /nonexistent does not exist",
    ),
    *(Case(f"no kubeconfig: {view}", [view], 1, "error: no kubeconfig is given") for view in VIEWS),
    Case("an output that does not exist", ["clusters", "-o", "yaml"], 2, "table, wide, json"),
    Case("one namespace and all", ["queue", "-A", "-n", "x"], 2, "error: -n and -A exclude each other"),
    Case("a flag that does not exist", ["demo", "--fast"], 2, "No such option"),
    Case("no workers", ["demo", "--workers", "0"], 2, "--workers"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_failures(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(variable, raising=False)
    assert call(monkeypatch, *case.arguments) == case.code
    out, err = capsys.readouterr()
    assert case.err in err
    assert "Traceback" not in err
    assert out == ""


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "version") == 0
    assert capsys.readouterr().out.startswith("kueue-kubestellar 0.")


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["kueue-ks", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("name", main.COMMANDS)
def test_each_listed_command_explains_itself(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, name, "--help") == 0
    own = capsys.readouterr().out
    assert f"kueue-ks {name}" in own
    assert call(monkeypatch, "--help") == 0
    assert main.COMMANDS[name].help[:30] in capsys.readouterr().out


HEAVY = (
    "kubernetes",
    "aiohttp",
    "structlog",
    "prometheus_client",
    "yaml",
    "asyncio",
    "local_fleet.fleet",
)
UNUSED = ("requests", "oauthlib", "jsonschema", "kubernetes_validate", "kopf", "local_fleet.fleet")

LOADED = """
import atexit, sys
import kueue_ks.main
sys.argv = ["kueue-ks", *{arguments!r}]
atexit.register(lambda: print("LOADED", sorted(set({modules!r}) & set(sys.modules))))
kueue_ks.main.main()
"""


def loaded(modules: Sequence[str], *arguments: str, home: Path) -> str:
    """Which of the modules a command has loaded when it ends."""
    code = LOADED.format(arguments=arguments, modules=modules)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60, env=env
    )
    return done.stdout.rpartition("LOADED ")[2].strip()


@pytest.mark.parametrize("name", [name for name in main.COMMANDS if name not in LONG])
def test_help_of_a_command_waits_for_nothing_that_reads_or_renders(name: str, tmp_path: Path) -> None:
    assert loaded(HEAVY, name, "--help", home=tmp_path) == "[]"


READS = [
    ["queue"],
    ["clusters"],
    ["top", "--once"],
    ["explain", "job/x"],
    ["audit"],
    ["whatif", "drain", "w1"],
]


@pytest.mark.parametrize("arguments", READS, ids=lambda arguments: arguments[0])
def test_a_command_that_reads_does_not_load_what_it_never_uses(arguments: list[str], tmp_path: Path) -> None:
    """It ends for want of a kubeconfig, when all that it needs to read and render has been loaded."""
    assert (
        loaded((*UNUSED, "kubernetes.aio.client"), *arguments, home=tmp_path) == "['kubernetes.aio.client']"
    )


def test_help_imports_neither_client_nor_fleet() -> None:
    """ux: --help within 200 ms. What takes longer is the Kubernetes client and the fleet."""
    code = "import sys; sys.argv = ['kueue-ks', '--help']; import kueue_ks.main as m; import atexit; "
    code += (
        "atexit.register(lambda: print('HEAVY', {'kubernetes', 'local_fleet'} & set(sys.modules))); m.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0
    assert "demo" in done.stdout
    assert "HEAVY set()" in done.stdout
