"""Objects are plain JSON: their copies and merge patches."""

import marshal
from typing import Any


def duplicate(obj: Any) -> Any:
    """A deep copy; objects are plain JSON."""
    return marshal.loads(marshal.dumps(obj))


def merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return duplicate(patch)
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merged(new.get(key), value)
    return new
