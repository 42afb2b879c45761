"""Free ports, chosen so that two fleets side by side and a restarted program keep out of each other's way.

Not the kernel's choice (port 0): it comes from the range that outgoing connections use as well. A program
that is restarted on such a port may find it taken by somebody's connection, and a client that dials a dead
local port of that range can even be connected to itself. So ports are picked at random below that range,
and each is bound once to see that it is free.

A free port is not bound by its program before seconds later, and not while that is restarted. So a fleet
claims its ports for as long as it runs: it binds an abstract Unix socket that is named after the port. Such
a name has one owner in the network namespace, as the port has, and ends with its process.
"""

import errno
import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
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


@contextmanager
def claimed(
    names: Sequence[str], *, highest: int | None = None, chance: random.Random | None = None
) -> Iterator[dict[str, int]]:
    """A free port for each name, which no other fleet is given before the end."""
    top = (highest or outgoing_range_begins()) - 1
    if top - LOWEST < 20 * len(names):  # a machine that uses nearly everything for outgoing connections
        top = 65_535
    rng = chance or random.SystemRandom()
    with ExitStack() as claims:
        yield {name: _claim_one(rng, top, claims) for name in names}


def _claim_one(rng: random.Random, top: int, claims: ExitStack) -> int:
    for _ in range(_TRIES_PER_PORT):
        port = rng.randint(LOWEST, top)
        with ExitStack() as claim:
            if _claim(port, claim) and _is_free(port):
                claims.push(claim.pop_all())
                return port
    msg = (
        f"No free port was found between {LOWEST} and {top} on {LOOPBACK}. Stop other fleets: "
        "`kueue-ks fleet status`."
    )
    raise FleetError(msg)


def _claim(port: int, claim: ExitStack) -> bool:
    sock = claim.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        sock.bind(f"\0kueue-kubestellar/port/{port}")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True


def _is_free(port: int) -> bool:
    """Stricter than ``in_use``: a port with connections that have just ended is not chosen."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def in_use(port: int) -> bool:
    """Whether somebody listens on or holds the loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            return True
    return False
