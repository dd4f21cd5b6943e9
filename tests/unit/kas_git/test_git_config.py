from __future__ import annotations

import base64
from pathlib import Path

import pytest

from kas.git.config import render
from kas.git.remotes import Credential, Remote, SshKey


def test_only_the_given_schemes_may_be_spoken_and_no_redirect_followed() -> None:
    text = render(("https", "http"))
    assert "[protocol]\n\tversion = 2\n\tallow = never\n" in text
    assert '[protocol "https"]\n\tallow = always\n[protocol "http"]\n\tallow = always\n' in text
    assert "followRedirects = false" in text
    assert "extraHeader" not in text


def test_a_credential_goes_to_its_own_url_only() -> None:
    text = render(("https",), Remote('https://h/a"b\\c.git', Credential("me", "p:ü"), None))
    header = base64.b64encode("me:p:ü".encode()).decode()
    assert f'[http "https://h/a\\"b\\\\c.git"]\n\textraHeader = "Authorization: Basic {header}"\n' in text


def test_an_authority_is_named() -> None:
    assert '[http]\n\tsslCAInfo = "ca/own.pem"\n' in render(("https",), Remote("https://h/p", None, Path("ca/own.pem")))


def test_what_could_start_another_line_is_never_written() -> None:
    with pytest.raises(ValueError, match="control character"):
        render(("https",), Remote("https://h/p\n[core]", Credential("a", "b"), None))


def test_ssh_uses_one_key_and_trusts_only_servers_that_are_known() -> None:
    key = SshKey("text of the key", Path("/etc/kas/known hosts"))
    text = render(("ssh",), Remote("ssh://git@h/p", None, None, key=key), Path("/private/a.key"))
    assert '[core]\n\tsshCommand = "ssh -F /dev/null -i /private/a.key' in text
    for option in (
        "StrictHostKeyChecking=yes",
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "GlobalKnownHostsFile=/dev/null",
    ):
        assert f" -o {option} " in text
    assert r"""'UserKnownHostsFile=\"/etc/kas/known hosts\"'""" in text
    assert "text of the key" not in text
