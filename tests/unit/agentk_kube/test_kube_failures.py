from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentk.kube.errors import KubeError
from agentk.kube.failures import is_document, read_document, read_metadata, read_object

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECT = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","uid":"u","resourceVersion":"1"}}\n'


@pytest.mark.parametrize(
    ("body", "whole"),
    [
        (OBJECT, True),
        (OBJECT.rstrip(), True),
        (OBJECT.rstrip() + b"\r\n", True),
        (OBJECT[:40], False),
        (b"", False),
        (b"<html>Please log in</html>", False),
        (b'{"message":"Please log in"}', False),
        (b'["kind"]', False),
    ],
)
def test_what_looks_like_an_answer_of_an_api_server(body: bytes, whole: bool) -> None:  # noqa: FBT001 - a case
    assert is_document(body) is whole


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (read_document, b'{"apiVersion": 1'),
        (read_document, b"[]"),
        (read_metadata, b"{}"),
        (read_metadata, b'{"metadata":"none"}'),
        (read_object, b'{"metadata":{"name":"a"}}'),
        (read_object, b"{"),
    ],
)
def test_what_is_none_is_an_error_that_may_pass_and_is_not_quoted(read: Callable[[bytes], object], body: bytes) -> None:
    with pytest.raises(KubeError) as refused:
        read(body)
    assert (refused.value.status, refused.value.retryable) == (0, True)
    assert body.decode() not in str(refused.value)


def test_an_object_is_read_whole_or_its_metadata() -> None:
    assert read_object(OBJECT)["kind"] == "ConfigMap"
    assert read_metadata(OBJECT)["name"] == "a"
