"""``kueue-ks config``: values, origins, the settings file, and the document that is made of the models."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from kube_runtime.program import ProgramSettings, start
from kube_runtime.settings_file import BadSettingsFile, options_of
from kueue_ks.config.document import markdown
from kueue_ks.config.effective import SETTINGS, Origin, effective, unknown_variables
from quota_manager.settings import Settings as QuotaSettings
from tests.kueue_ks.test_main import call
from vocabulary.programs import PROGRAMS

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"
ALL_FOUR = "quota-manager: {stale-after: 100, shrink-after: 7, log-level: debug}"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*unknown_variables(), "KUEUE_KS_CONFIG"]:
        monkeypatch.delenv(name, raising=False)


class Case(NamedTuple):
    reason: str
    option: str
    value: str
    origin: Origin


CASES = [
    Case("a flag wins over all", "stale-after", "60", Origin.FLAG),
    Case("the environment wins over the file", "shrink-after", "8", Origin.ENVIRONMENT),
    Case("the file wins over the default", "log-level", "debug", Origin.FILE),
    Case("else the default", "namespace", "kueue-kubestellar-system", Origin.DEFAULT),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_where_a_value_comes_from(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f.yaml").write_text(ALL_FOUR)
    monkeypatch.setenv("KUEUE_KS_SHRINK_AFTER", "8")
    monkeypatch.setenv("KUEUE_KS_STALE_AFTER", "9")
    found = effective("quota-manager", ["--config", str(tmp_path / "f.yaml"), "--stale-after", "60"])
    options = {option.name: (option.value, option.origin) for option in found.options}
    assert options[case.option] == (case.value, case.origin)
    assert found.problems == ()


def test_a_program_takes_what_config_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f.yaml").write_text(ALL_FOUR)
    monkeypatch.setenv("KUEUE_KS_CONFIG", str(tmp_path / "f.yaml"))
    monkeypatch.setenv("KUEUE_KS_SHRINK_AFTER", "8")
    started = QuotaSettings()
    assert (started.stale_after, started.shrink_after, started.log_level) == (100, 8, "debug")


BAD = [
    ("an option that nobody knows", "quota-manager: {stale-aftr: 1}", "did you mean stale-after?"),
    ("an option of another program", "quota-manager: {never-grace: 1}", "option 'never-grace'"),
    ("a section that nobody knows", "quota-manger: {}", "did you mean quota-manager?"),
    ("no sections", "[1]", "holds no sections"),
    ("no options", "quota-manager: 5", "holds no options"),
    ("no YAML", "a: [", "is no YAML"),
]


@pytest.mark.parametrize(("content", "words"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_file_that_cannot_be_meant(
    content: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(content)
    with pytest.raises(BadSettingsFile, match=r".") as bad:
        options_of(file, "quota-manager", QuotaSettings.model_fields, PROGRAMS)
    assert words in str(bad.value)
    assert call(monkeypatch, "config", "--config", str(file)) == 2
    assert words in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["quota_manager", "--config", str(file)])
    assert start(QuotaSettings, never, name="quota-manager") == 2
    assert words in capsys.readouterr().err


async def never(_: ProgramSettings) -> None:
    raise AssertionError("a program must not start with such a file")


def test_no_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "config", "--config", "/nonexistent") == 2
    assert "/nonexistent cannot be read: No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["quota-manager", "--", "--stale-after", "-1"], 2, "--stale-after: Input should be greater than 0"),
        (["quota-manager", "--", "--stale", "1"], 2, "--stale"),
        (["metrics-agent"], 2, "--metrics-name: Field required"),
        (["nobody"], 2, "'nobody' is no program"),
        ([], 0, ""),
    ],
    ids=["a value out of range", "no such flag", "one that must be given", "no such program", "all of them"],
)
def test_exit_codes(
    arguments: list[str],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, "config", *arguments) == code
    assert words in capsys.readouterr().err


def test_a_misspelt_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUEUE_KS_STALE_AFTR", "1")
    assert call(monkeypatch, "config") == 1
    assert "nothing reads the variable KUEUE_KS_STALE_AFTR" in capsys.readouterr().err


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "config", "-o", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["program"] for each in told["programs"]] == list(PROGRAMS) == list(SETTINGS)
    assert {"name": "lease", "value": "600", "origin": "default"}.items() <= next(
        o for o in told["programs"][0]["options"] if o["name"] == "lease"
    ).items()


def test_the_document_is_made_of_the_models() -> None:
    assert DOCUMENT.read_text() == markdown(), "python -m kueue_ks.config.document > docs/settings.md"


UNITS = ("seconds", "port", "number", "at the same time", "requeuings", "jobs")


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        (f"{program} {name}", field.description or "")
        for program, settings in SETTINGS.items()
        for name, field in settings.model_fields.items()
        if field.annotation in {int, float}
    ],
)
def test_each_number_has_a_unit(name: str, meaning: str) -> None:
    assert any(unit in meaning for unit in UNITS), f"{name}: {meaning}"
