"""Free ports, chosen so that two fleets side by side and a restarted program keep out of each other's way.

Not the kernel's choice (port 0): it comes from the range that outgoing connections use as well. A program
that is restarted on such a port may find it taken by somebody's connection, and a client that dials a dead
local port of that range can even be connected to itself. So ports are picked at random below that range,
and each is bound once to see that it is free.
"""

import random
import socket
from collections.abc import Sequence
from pathlib import Path

from local_fleet.errors import FleetError

LOOPBACK = "127.0.0.1"
LOWEST = 10_240  # below are the well-known services of developers' machines
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES_PER_PORT = 200


def outgoing_range_begins() -> int:
    """First port that the kernel gives to outgoing connections (Linux: 32768 unless configured)."""
    try:
        return int(_RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768


def choose(
    names: Sequence[str], *, highest: int | None = None, chance: random.Random | None = None
) -> dict[str, int]:
    """A free port for each name. All are held until the last is found, so that none is given twice."""
    top = (highest or outgoing_range_begins()) - 1
    if top - LOWEST < 20 * len(names):  # a machine that uses nearly everything for outgoing connections
        top = 65_535
    rng = chance or random.SystemRandom()
    held: dict[str, socket.socket] = {}
    try:
        for name in names:
            held[name] = _bind_one(rng, top)
        return {name: int(sock.getsockname()[1]) for name, sock in held.items()}
    finally:
        for sock in held.values():
            sock.close()


def _bind_one(rng: random.Random, top: int) -> socket.socket:
    for _ in range(_TRIES_PER_PORT):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.bind((LOOPBACK, rng.randint(LOWEST, top)))
        except OSError:
            sock.close()
        else:
            return sock
    msg = (
        f"No free port was found between {LOWEST} and {top} on {LOOPBACK}. Stop other fleets: "
        "`kueue-ks fleet status`."
    )
    raise FleetError(msg)


def in_use(port: int) -> bool:
    """Whether somebody listens on or holds the loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            return True
    return False
