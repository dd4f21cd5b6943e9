"""Which Redis may be reached by others, and what proves to it who asks."""

from __future__ import annotations

import pytest

from kas.settings.redis import is_elsewhere, is_open_to_others


@pytest.mark.parametrize(
    ("url", "elsewhere", "is_open"),
    [
        ("redis://localhost:6379/0", False, False),
        ("redis://127.0.0.1", False, False),
        ("redis://127.1.2.3:1", False, False),
        ("redis://[::1]:6379", False, False),
        ("redis://", False, False),
        ("redis://redis:6379/0", True, True),
        ("rediss://redis", True, True),
        ("redis://localhost.example.com", True, True),
        ("redis://127.0.0.1.example.com", True, True),
        ("redis://localhost@redis", True, True),
        ("redis://0.0.0.0", True, True),
        ("redis://10.0.0.1", True, True),
        ("redis://[2001:db8::1]", True, True),
        ("redis://kas@redis", True, True),
        ("redis://:@redis", True, True),
        ("redis://:secret@redis", True, False),
        ("redis://kas:secret@redis", True, False),
        ("redis://redis?password=secret", True, False),
        ("redis://redis?password=", True, True),
        ("rediss://redis?ssl_certfile=c.pem&ssl_keyfile=k.pem", True, False),
        ("rediss://redis?db=1", True, True),
    ],
)
def test_who_may_reach_it_and_what_they_have_to_know(url: str, elsewhere: bool, is_open: bool) -> None:  # noqa: FBT001
    assert (is_elsewhere(url), is_open_to_others(url)) == (elsewhere, is_open)
