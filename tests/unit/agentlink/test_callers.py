from __future__ import annotations

import pytest

from agentlink.callers import household, with_port


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("10.0.0.1", "10.0.0.1:1"),
        ("::1", "[::1]:1"),
        ("[::1]", "[::1]:1"),
        ("2001:DB8:0:0::1", "[2001:db8::1]:1"),
        ("::ffff:10.0.0.1", "10.0.0.1:1"),
        ("[::ffff:10.0.0.1]", "10.0.0.1:1"),
        ("fe80::1%eth0", "[fe80::1]:1"),
        ("fe80::1%2", "[fe80::1]:1"),
        ("unknown", "unknown:1"),
    ],
)
def test_an_address_is_written_in_one_way_whoever_names_it(host: str, written: str) -> None:
    assert with_port(host, 1) == written


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_whom_an_address_stands_for(address: str, counted: str) -> None:
    assert household(address) == counted
