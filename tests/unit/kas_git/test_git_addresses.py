from __future__ import annotations

import pytest

from kas.git.addresses import forbidden


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",  # noqa: S104 - an address to be refused
        "::",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "224.0.0.1",
    ],
)
def test_no_git_server_is_at_loopback_or_where_clouds_keep_credentials(address: str) -> None:
    assert forbidden(["192.0.2.1", address]) == address


@pytest.mark.parametrize("address", ["10.0.0.1", "172.16.5.4", "192.168.1.1", "fd12::1", "203.0.113.9", "2001:db8::1"])
def test_a_git_server_may_be_in_any_other_network(address: str) -> None:
    assert not forbidden([address])
