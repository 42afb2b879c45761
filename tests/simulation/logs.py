"""The program's log in a run: silent, except for exceptions that nobody expected."""

import sys
from typing import Any

UNEXPECTED: list[str] = []


class QuietLogger:
    """structlog's wrapper class for a run."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def bind(self, **_: Any) -> "QuietLogger":
        return self

    new = unbind = try_unbind = bind

    def debug(self, *_: Any, **__: Any) -> None:
        pass

    info = warning = error = critical = debug

    def exception(self, event: str, **fields: Any) -> None:
        error = sys.exc_info()[1]
        UNEXPECTED.append(f"{event} {fields.get('key', '')}: {type(error).__name__}: {error}")
