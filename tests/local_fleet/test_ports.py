"""Ports: free, distinct, outside the range of outgoing connections."""

import random
import socket
from pathlib import Path

import pytest

from local_fleet import ports
from local_fleet.layout import Layout, listeners


def test_chosen_ports_are_free_distinct_and_not_of_the_outgoing_range() -> None:
    names = [f"n{number}" for number in range(50)]
    chosen = ports.choose(names)
    assert set(chosen) == set(names)
    assert len(set(chosen.values())) == 50
    assert all(ports.LOWEST <= port < ports.outgoing_range_begins() for port in chosen.values())
    assert not any(ports.in_use(port) for port in chosen.values())


def test_a_taken_port_is_passed_over() -> None:
    first = ports.choose(["a"], chance=random.Random(7))["a"]
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, first))
        taken.listen()
        assert ports.in_use(first)
        assert ports.choose(["a"], chance=random.Random(7))["a"] != first


def test_two_fleets_choose_different_ports() -> None:
    names = listeners(("w1", "w2"), etcd_per_space=False, proxied=False)
    one, other = ports.choose(names), ports.choose(names)
    assert len(set(one.values()) & set(other.values())) <= 1  # by chance, and then said clearly at the start


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
