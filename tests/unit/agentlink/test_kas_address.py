from __future__ import annotations

import pytest

from agentlink.address import AddressError, KasAddress, Scheme, parse_kas_address


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("wss://kas.example.com", KasAddress(Scheme.WSS, "kas.example.com", 443), "wss://kas.example.com:443"),
        ("ws://localhost:8150", KasAddress(Scheme.WS, "localhost", 8150), "ws://localhost:8150"),
        ("WSS://Kas/-/a?b=c", KasAddress(Scheme.WSS, "kas", 443, "/-/a?b=c"), "wss://kas:443/-/a?b=c"),
        ("grpc://kas", KasAddress(Scheme.GRPC, "kas", 8152), "grpc://kas:8152"),
        ("grpcs://[::1]:443/", KasAddress(Scheme.GRPCS, "::1", 443), "grpcs://[::1]:443"),
        (" ws://kas\n", KasAddress(Scheme.WS, "kas", 80), "ws://kas:80"),
    ],
)
def test_an_address_is_understood(text: str, address: KasAddress, shown: str) -> None:
    assert parse_kas_address(text) == address
    assert str(address) == shown


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("kas.example.com", "write wss://kas.example.com"),
        ("", "write wss://kas.example.com"),
        ("https://kas.example.com/x", "use wss://kas.example.com/x"),
        ("http://kas", "use ws://kas"),
        ("ftp://kas", "unknown scheme 'ftp'"),
        ("wss://", "names no host"),
        ("wss://:8150", "names no host"),
        ("wss://kas:99999", "is not an address"),
        ("wss://kas:x", "is not an address"),
        ("wss://[::1", "is not an address"),
        ("ws://kas:0", "port 0"),
        ("ws://kas:8153", "8153, kas' API port.*connect to 8150 by ws"),
        ("grpc://kas:8151", "8151, kas' observability port.*connect to 8152 by grpc"),
        ("grpc://kas/path", "use ws://"),
        ("grpcs://kas/path", "use wss://"),
        ("wss://kas#x", "fragment"),
    ],
)
def test_a_wrong_address_names_the_likely_fix(text: str, hint: str) -> None:
    with pytest.raises(AddressError, match=hint):
        parse_kas_address(text)


@pytest.mark.parametrize("text", ["wss://user:hunter2@kas", "https://x:hunter2@kas", "wss://x:hunter2@kas:99999"])
def test_credentials_in_an_address_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(AddressError) as refused:
        parse_kas_address(text)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("text", ["wss://kas.example\n.com", "wss://kas.example.com/a b", "wss://kas\x00.example.com"])
def test_an_address_with_whitespace_or_control_characters_is_refused(text: str) -> None:
    with pytest.raises(AddressError, match="pasted wrongly"):
        parse_kas_address(text)
