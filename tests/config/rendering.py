"""What kustomize and Helm make of config/, as far as its files use them, and no more than that.

Kustomizations of config/ only list resources. Templates only name values, and have at most one condition
around them. Whatever else they come to use raises here, so that nobody trusts a rendering that is not the
tools' own. Helm is compared with this in test_chart.py where it is at hand.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from kube_runtime.objects import Obj

CONFIG = Path(__file__).parents[2] / "config"
_KEYS = {"apiVersion", "kind", "resources"}


def kustomized(folder: Path) -> Iterator[Obj]:
    """The objects of a kustomization, in its order."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if set(kustomization) != _KEYS:
        msg = f"{folder}: this renders nothing but resources"
        raise NotImplementedError(msg)
    for name in kustomization["resources"]:
        path = (folder / name).resolve(strict=True)
        if path.is_dir():
            yield from kustomized(path)
        elif path.parent == folder.resolve():
            yield from (obj for obj in yaml.safe_load_all(path.read_text()) if obj)
        else:
            msg = f"{folder}: kustomize reads files only from its own folder, not {name}"
            raise ValueError(msg)


def templated(chart: Path, values: Mapping[str, Any]) -> Iterator[Obj]:
    """The objects of a chart, CRDs first."""
    for path in sorted(chart.glob("crds/*.yaml")):
        yield from yaml.safe_load_all(path.read_text())
    settings = {**yaml.safe_load((chart / "values.yaml").read_text()), **values}
    for path in sorted(chart.glob("templates/*.yaml")):
        yield from (obj for obj in yaml.safe_load_all(_rendered(path.read_text(), settings)) if obj)


def _rendered(text: str, settings: Mapping[str, Any]) -> str:
    if guarded := re.fullmatch(r"\{\{- if \.Values\.(\w+) \}\}\n(.*)\{\{- end \}\}\n", text, re.DOTALL):
        condition, text = guarded.groups()
        if not settings[condition]:
            return ""
    escape = '{{ "{{" }}'
    text = text.replace(escape, "\0")
    text = re.sub(r"\{\{ \.Values\.(\w+) \}\}", lambda found: str(settings[found[1]]), text)
    if "{{" in text:
        msg = f"an unknown expression: {text[text.index('{{') :][:60]}"
        raise NotImplementedError(msg)
    return text.replace("\0", "{{")
