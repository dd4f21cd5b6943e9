from __future__ import annotations

from pathlib import Path

import pytest

from kas.client import ApiToken, Client, ClientError

NOWHERE = Path("no-such-folder") / "admin-token"


def _never() -> Path:
    raise AssertionError("the default file is not needed")


def test_the_environments_token_comes_first() -> None:
    found = ApiToken.find({"KAS_TOKEN": " kasapi-x ", "KAS_TOKEN_FILE": "ignored"}, _never)

    assert found is not None
    assert (found.secret, found.source) == ("kasapi-x", "the environment variable KAS_TOKEN")


def test_a_token_file_that_is_named_must_be_there() -> None:
    with pytest.raises(ClientError, match="cannot read the token file"):
        ApiToken.find({"KAS_TOKEN_FILE": str(NOWHERE)}, _never)


def test_a_default_file_that_is_not_there_means_no_token() -> None:
    assert ApiToken.find({}, lambda: NOWHERE) is None


def test_a_token_is_not_in_its_repr() -> None:
    assert "kasapi-x" not in repr(ApiToken("kasapi-x", "a test"))


@pytest.mark.parametrize(
    "address", ["", "ftp://host", "http://", "http://host:port", "http://user:pw@host", "https://host/?x=1", "/path"]
)
def test_an_address_that_is_none_is_refused_without_its_credentials(address: str) -> None:
    with pytest.raises(ClientError, match="is not the address of a kas") as refused:
        Client(address, None)

    assert "pw" not in str(refused.value)
    assert "KAS_ADDRESS" in refused.value.hint


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8153", "127.0.0.1:8153", "https://kas.example.com/kas/", "http://[::1]:1"]
)
def test_an_address_may_be_written_in_several_ways(address: str) -> None:
    Client(address, None)
