"""How messages spell times."""


def utc_clock(unix_seconds: float) -> str:
    """Time of day: "14:08:00Z"."""
    minutes, seconds = divmod(int(unix_seconds) % 86_400, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}Z"


def given_up_at(unix_seconds: float) -> str:
    """How every deadline of an attempt is told: "given up at 14:08:00Z"."""
    return f"given up at {utc_clock(unix_seconds)}"


def duration(seconds: float) -> str:
    """A span in its two largest units: "45s", "2m05s", "1h10m"."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m"
