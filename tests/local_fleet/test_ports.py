"""Ports: free, distinct, outside the range of outgoing connections."""

import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local_fleet import ports
from local_fleet.layout import Layout, listeners

ROOT = Path(__file__).parents[2]
SEED = os.getpid()  # so that a second run of these tests beside this one draws other ports


def test_claimed_ports_are_free_distinct_and_not_of_the_outgoing_range() -> None:
    names = [f"n{number}" for number in range(50)]
    with ports.claimed(names) as chosen:
        assert set(chosen) == set(names)
        assert len(set(chosen.values())) == 50
        assert all(ports.LOWEST <= port < ports.outgoing_range_begins() for port in chosen.values())
        assert not any(ports.in_use(port) for port in chosen.values())


def test_a_taken_port_is_passed_over() -> None:
    with ports.claimed(["a"], chance=random.Random(SEED)) as chosen:
        first = chosen["a"]
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, first))
        taken.listen()
        assert ports.in_use(first)
        with ports.claimed(["a"], chance=random.Random(SEED)) as chosen:
            assert chosen["a"] != first


def test_two_fleets_that_start_at_once_get_different_ports() -> None:
    """The same chance for both, and no program listens yet."""
    names = listeners(("w1", "w2"), etcd_per_space=False, proxied=False)
    with (
        ports.claimed(names, chance=random.Random(SEED)) as one,
        ports.claimed(names, chance=random.Random(SEED)) as other,
    ):
        assert not set(one.values()) & set(other.values())
    with ports.claimed(names, chance=random.Random(SEED)) as later:
        assert later == one, "claimed for longer than its fleet runs"


def test_a_claim_ends_with_its_process() -> None:
    names = ["a"]
    claim = "import random, sys\nfrom local_fleet import ports\n"
    claim += f"with ports.claimed(['a'], chance=random.Random({SEED})) as chosen:\n"
    claim += "    print(chosen['a'], flush=True)\n    sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", claim], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        with ports.claimed(names, chance=random.Random(SEED)) as chosen:
            assert chosen["a"] != theirs
        other.kill()
        other.wait()
        with ports.claimed(names, chance=random.Random(SEED)) as chosen:
            assert chosen["a"] == theirs


@pytest.mark.parametrize("etcd_per_space", [False, True])
@pytest.mark.parametrize("proxied", [False, True])
def test_every_listener_has_one_port(etcd_per_space: bool, proxied: bool) -> None:
    names = listeners(("w1", "w2", "w3"), etcd_per_space=etcd_per_space, proxied=proxied)
    assert len(names) == len(set(names))
    layout = Layout(
        Path(), ("w1", "w2", "w3"), dict(zip(names, range(len(names)), strict=True)), etcd_per_space, proxied
    )
    assert len(layout.etcds) == (5 if etcd_per_space else 1)
    for link in ("hub", "wds", "its", "w3"):
        assert layout.url_by_link(link).startswith("https://127.0.0.1:")
    assert (layout.url_by_link("w1") == layout.url("control")) is not proxied
    assert (layout.url_by_link("hub") == layout.url("hub")) is not proxied
