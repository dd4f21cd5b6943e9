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
        "fd20:ce::254",
        "224.0.0.1",
        "ff02::1",
        "0.1.2.3",
        "::127.0.0.1",
        "::ffff:100.100.100.200",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",
        "64:ff9b:1:7f00:0:100::",  # after 48 bits
        "64:ff9b:1:a9:fe:a9fe::",  # after 56
        "64:ff9b:1:0:7f:0:100::",  # after 64
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::",
        "2001:0:7f00:1:0:0:3fff:fdd2",  # Teredo, the server
        "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo, the client
        "2001:db8::5efe:7f00:1",
        "fe80::200:5efe:a9fe:a9fe",
    ],
)
def test_no_git_server_is_at_loopback_or_where_clouds_keep_credentials(address: str) -> None:
    assert forbidden(["192.0.2.1", address]) == address


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.5.4",
        "192.168.1.1",
        "100.64.0.1",
        "fd12::1",
        "203.0.113.9",
        "2001:db8::1",
        "64:ff9b::203.0.113.9",
        "64:ff9b:1::203.0.113.9",
        "64:ff9b:1:cb00:71:900::",
        "2002:cb00:7109::1",
    ],
)
def test_a_git_server_may_be_in_any_other_network(address: str) -> None:
    assert not forbidden([address])
