"""What a user of the fleet can meet."""

from pathlib import Path


class FleetError(Exception):
    """The fleet cannot be built or run. The text is complete: what is wrong and what helps."""


class FleetRuns(FleetError):
    """The folder belongs to a fleet that is running."""

    def __init__(self, root: Path) -> None:
        super().__init__(
            f"A fleet already runs in {root}. Stop it with `kueue-ks fleet down --dir {root}`, "
            "or name another folder by --dir."
        )


class BuildFailed(FleetError):
    """The programs could not be compiled, or their modules not be fetched."""


class ComponentFailed(FleetError):
    """A program of the fleet ended or never became ready; the text ends with the tail of its log."""
