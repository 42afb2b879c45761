"""The flags that name API servers, the same for every command.

Imports nothing that ``--help`` would have to wait for.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


def _kubeconfig(name: str, help_: str) -> Any:  # noqa: ANN401  typer's word for what Annotated takes
    return typer.Option(f"--{name}-kubeconfig", envvar=f"KUEUE_KS_{name.upper()}_KUBECONFIG", help=help_)


def _context(name: str, help_: str) -> Any:  # noqa: ANN401  as above
    return typer.Option(f"--{name}-context", envvar=f"KUEUE_KS_{name.upper()}_CONTEXT", help=help_)


HubKubeconfig = Annotated[Path | None, _kubeconfig("hub", "Kubeconfig of the hub; kubectl's default.")]
HubContext = Annotated[str | None, _context("hub", "Context of the hub; the current one.")]
WdsKubeconfig = Annotated[Path | None, _kubeconfig("wds", "Kubeconfig of the WDS; found by KubeFlex.")]
WdsContext = Annotated[str | None, _context("wds", "Context of the WDS.")]
ItsKubeconfig = Annotated[Path | None, _kubeconfig("its", "Kubeconfig of the ITS; found by KubeFlex.")]
ItsContext = Annotated[str | None, _context("its", "Context of the ITS.")]


class Output(StrEnum):
    """What ``-o`` takes where the text is no table."""

    TEXT = "text"
    JSON = "json"
