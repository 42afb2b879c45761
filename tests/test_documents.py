"""Documents lead where they say: every relative link and anchor exists, and the site has every page."""

import re
from pathlib import Path
from typing import Final

import pytest
import yaml

from kueue_ks.main import COMMANDS

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LINK: Final = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE: Final = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """As GitHub and the site make them of headings."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


LINKS: Final = [
    pytest.param(page, target, id=f"{page.relative_to(ROOT)}: {target}")
    for page in PAGES
    for target in LINK.findall(prose(page))
    if not re.match(r"https?://|mailto:", target)
]


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_a_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    leads_to = (page.parent / path).resolve() if path else page
    assert leads_to.exists()
    if anchor:
        assert anchor in anchors(leads_to)


def test_the_site_has_every_page_once() -> None:
    listed = re.findall(r"[\w-]+\.md", str(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert sorted(listed) == sorted(page.name for page in ROOT.glob("docs/*.md"))


@pytest.mark.parametrize("page", [p for p in PAGES if p.parent.name == "docs"], ids=lambda p: p.name)
def test_a_page_of_the_site_leads_to_no_file_outside_of_it(page: Path) -> None:
    """The site has docs/ only: what lies beside it is named, or linked by its address."""
    outside = [target for target in LINK.findall(prose(page)) if target.startswith("../")]
    assert outside == []


def commands(page: Path) -> set[str]:
    return set(re.findall(r"`kueue-ks ([a-z]+)\b", page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_in_documents_exist(page: Path) -> None:
    assert commands(page) <= {*COMMANDS, "version"}


PINS: Final = {
    "controlplane": ("k8s.io/kubernetes", "sigs.k8s.io/kueue"),
    "kubestellar": ("github.com/kubestellar/kubestellar", "github.com/kubestellar/kubeflex"),
    "work-agent": ("open-cluster-management.io/ocm",),
}


@pytest.mark.parametrize(("stack", "module"), [(s, module) for s, found in PINS.items() for module in found])
def test_what_is_called_tested_is_what_the_fleet_runs(stack: str, module: str) -> None:
    pins = (ROOT / "local_fleet" / "stack" / stack / "go.mod").read_text()
    found = re.search(rf"^\s*{re.escape(module)} v(\S+)", pins, re.MULTILINE)
    assert found is not None
    rows = (ROOT / "docs" / "versions.md").read_text().splitlines()
    assert any(found[1] in row and row.startswith("|") for row in rows), f"{module} {found[1]}"
