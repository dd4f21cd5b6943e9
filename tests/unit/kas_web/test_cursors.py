"""Cursors of trees: what kas gave is read as it was, and nothing else is read."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from agentlink.refs import ObjectRef
from kas.store.objects import Place
from kas.store.records import ObjectRecord
from kas.web.cursors import cursor_after, read_cursor
from kas.web.errors import ApiError

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "ref", [ObjectRef("", "ConfigMap", "n", "x"), ObjectRef("g" * 253, "é" * 253, "\U0001f600" * 253, '"\\' * 126)]
)
def test_a_cursor_is_read_as_it_was_given(ref: ObjectRef) -> None:
    record = ObjectRecord(1, 2**62, ref, "", "", "", "", "", "", AT)
    assert read_cursor(cursor_after(record)) == Place(2**62, ref)


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "é", "a" * 9000, "====", "[1]"),
        *map(encoded, ("{}", "1", "[]", '[1,"","k","n"]', '["1","","k","n","x"]', '[true,"","k","n","x"]')),
        *map(
            encoded,
            (
                '[1,"","k","n",2]',
                f'[{2**64},"","k","n","x"]',
                '[1.5,"","k","n","x"]',
                "[" * 3000,
                '[1,"","k","n","\\u0000"]',
            ),
        ),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        read_cursor(text)
    assert refused.value.status == 400
