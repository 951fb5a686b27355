"""Bounds of one address, before anyone knows who it is."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.processes import up

from pharos.server.http.gate import Bounds, Gate, network


def test_requests_of_an_address_refill_with_time() -> None:
    gate = Gate(Bounds(requests=10))
    visitor, refused = gate.enter("192.0.2.1", 0.0)
    assert refused is None
    assert [visitor.refusal(0.0) is None for _ in range(21)] == [True] * 20 + [False]
    fault = visitor.refusal(0.0)
    assert fault is not None
    assert (fault.code, fault.document.retry.after_seconds) == ("ADDRESS_LIMITED", 0.1)
    assert visitor.refusal(0.1) is None
    assert visitor.refusal(0.1) is not None
    other, _ = gate.enter("192.0.2.2", 0.0)
    assert other.refusal(0.0) is None
    assert [visitor.refusal(1000.0) is None for _ in range(21)] == [True] * 20 + [False]


def test_refused_credentials_lead_to_a_pause() -> None:
    gate = Gate(Bounds(failures=3))
    visitor, _ = gate.enter("192.0.2.1", 0.0)
    for second in range(3):
        assert visitor.refusal(float(second)) is None
        visitor.failed(float(second))
    assert visitor.refusal(3.0) is not None
    assert visitor.refusal(59.9) is not None
    assert visitor.refusal(60.0) is None
    for minute in range(10):  # and few in a long time are none too many
        visitor.failed(100.0 + 61 * minute)
    assert visitor.refusal(700.0) is None


def test_nothing_is_bounded_where_nothing_is_to_be() -> None:
    gate = Gate(Bounds(0, 0, 0))
    for _ in range(10_000):
        visitor, refused = gate.enter("192.0.2.1", 0.0)
        visitor.failed(0.0)
        assert refused is visitor.refusal(0.0) is None


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=300))
def test_the_table_is_bounded_and_forgets_nobody_who_is_connected(steps: list[tuple[int, bool]]) -> None:
    gate = Gate(Bounds(connections=2), most=10)
    inside: list[tuple[int, object]] = []
    for number, leaves in steps:
        if leaves and inside:
            gate.leave(inside.pop()[1])  # type: ignore[arg-type]
            continue
        visitor, refused = gate.enter(f"192.0.2.{number}", 0.0)
        mine = sum(who == number for who, _ in inside)
        assert (refused is not None) is (mine >= 2)
        inside.append((number, visitor))
        assert len(gate) <= max(10, len({who for who, _ in inside}))


@pytest.mark.parametrize(
    ("address", "same"),
    [("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"), ("::ffff:192.0.2.1", "192.0.2.1"), ("fe80::1%eth0", "fe80::2%eth1")],
)
def test_a_network_of_one_subscriber_is_one_address(address: str, same: str) -> None:
    assert network(address) == network(same)
    assert network("2001:db8:1:3::1") != network("2001:db8:1:2::1")
    assert network("not:an:address") == "not:an:address"


async def test_a_guesser_waits_and_is_answered_nothing(tmp_path: Path) -> None:
    options = ("--address-failures", "5", "--address-connections", "3")
    async with up(tmp_path / "city", *options) as city:
        async with city.client("ph_wrong") as http:
            for _ in range(5):
                assert (await http.get("/v1/models")).status_code == 401
        async with city.client() as http:
            refused = await http.post("/api/system.version", json={})
            assert refused.status_code == 429
            assert 0 < int(refused.headers["retry-after"]) <= 60
            assert refused.json()["code"] == "ADDRESS_LIMITED"
            assert city.admin not in refused.text
        # Another address of this machine is another one.
        reader, writer = await asyncio.open_connection("127.0.0.1", city.port, local_addr=("127.0.0.2", 0))
        writer.write(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert b" 200 " in await reader.readline()
        writer.close()
        crowd = [await asyncio.open_connection("127.0.0.1", city.port, local_addr=("127.0.0.3", 0)) for _ in range(4)]
        async with asyncio.timeout(30):
            reply = await crowd[-1][0].read()
        assert reply.startswith(b"HTTP/1.1 429 ")
        assert json.loads(reply.partition(b"\r\n\r\n")[2])["facts"]["bound"] == "open connections"
        for _, writer in crowd:
            writer.close()
        city.signal(signal.SIGTERM)
        assert await city.exit_code() == 0, city.said
