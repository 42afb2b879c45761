"""A YAML file of options, one section per program, with the names that the flags have.

    workload-controller:
      placement-timeout: 300

Read below flags and environment and above the defaults. Whatever the file says that nobody knows is an error:
a misspelt option that is silently ignored would be found when it is needed.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource


class BadSettingsFile(Exception):
    """The file cannot be used; the text names it, what is wrong and what there is instead."""


def options_of(
    path: Path, section: str, known: Mapping[str, object], sections: tuple[str, ...]
) -> dict[str, Any]:
    """The options of one program, by field name. Raises BadSettingsFile."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as unreadable:
        msg = f"{path} cannot be read: {unreadable.strerror}"
        raise BadSettingsFile(msg) from unreadable
    except (yaml.YAMLError, UnicodeDecodeError) as bad:
        msg = f"{path} is no YAML: {' '.join(str(bad).split())}"
        raise BadSettingsFile(msg) from bad
    if not isinstance(content, dict):
        msg = f"{path} holds no sections; write {', '.join(sections)} on top"
        raise BadSettingsFile(msg)
    for name in content:
        if name not in sections:
            raise BadSettingsFile(_unknown(f"{path} has section", str(name), sections))
    given = content.get(section) or {}
    if not isinstance(given, dict):
        msg = f"{path}: section {section} holds no options"
        raise BadSettingsFile(msg)
    flags = {name.replace("_", "-"): name for name in known if name != "config"}
    for flag in given:
        if flag not in flags:
            raise BadSettingsFile(_unknown(f"{path}: section {section} has option", str(flag), tuple(flags)))
    return {flags[flag]: value for flag, value in given.items()}


def _unknown(where: str, name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"{where} {name!r}, which nobody knows; " + (
        f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    )


class SettingsFile(PydanticBaseSettingsSource):
    """The file that ``--config`` or its variable names, for one settings class."""

    def __init__(self, settings_cls: type[BaseSettings], *, section: str, sections: tuple[str, ...]) -> None:
        super().__init__(settings_cls)
        self._section, self._sections = section, sections

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: the file is read as a whole."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """The options of the section, nothing without a file."""
        path = self.current_state.get("config")
        if not path:
            return {}
        known = self.settings_cls.model_fields
        return options_of(Path(path), self._section, known, self._sections)
