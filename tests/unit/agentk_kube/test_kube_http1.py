from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentk.kube.http1 import Answer, AnswerError, AnswerReader

PLAIN = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"
    b"3;name=value\r\nhel\r\n00A\r\nlo\r\nworld!\r\n0\r\nTrailer: x\r\n\r\n"
)


def read(*pieces: bytes, limit: int = 100, error_limit: int = 10) -> Answer | None:
    reader = AnswerReader(limit, error_limit)
    answer = None
    for piece in pieces:
        assert answer is None, "the answer was complete before its end"
        answer = reader.feed(piece)
    return answer


def test_an_answer_has_its_status_and_body_and_leaves_the_connection_usable() -> None:
    assert read(PLAIN) == Answer(201, b"hello", None, keep=True, cut=False)


def test_chunks_are_put_together() -> None:
    assert read(CHUNKED) == Answer(200, b"hello\r\nworld!", None, keep=True, cut=False)


@given(data=st.data(), whole=st.sampled_from([PLAIN, CHUNKED]))
def test_it_does_not_matter_where_the_bytes_are_cut(data: st.DataObject, whole: bytes) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=8)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert read(*pieces) == read(whole)


def test_an_answer_may_have_no_body() -> None:
    assert read(b"HTTP/1.1 204 No Content\r\n\r\n") == Answer(204, b"", None, keep=True, cut=False)
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") == Answer(200, b"", None, keep=True, cut=False)


def test_what_comes_before_the_answer_is_skipped() -> None:
    assert read(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + PLAIN) == read(PLAIN)


def test_an_answer_of_unknown_length_ends_with_the_connection() -> None:
    reader = AnswerReader(100, 10)
    assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\nall of") is None
    assert reader.feed(b" it") is None
    assert reader.end() == Answer(200, b"all of it", None, keep=False, cut=False)


@pytest.mark.parametrize("length", range(1, len(PLAIN)))
def test_an_answer_that_breaks_off_is_an_error(length: int) -> None:
    reader = AnswerReader(100, 10)
    assert reader.feed(PLAIN[:length]) is None
    with pytest.raises(AnswerError):
        reader.end()


@pytest.mark.parametrize(
    "whole",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more than was said",
    ],
)
def test_a_connection_that_cannot_be_used_again_is_not(whole: bytes) -> None:
    assert read(whole) == Answer(200, b"ok", None, keep=False, cut=False)


def test_a_body_above_its_limit_is_cut() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"
    assert read(head + b"hello world", limit=11) == Answer(200, b"hello world", None, keep=True, cut=False)
    assert read(head + b"hello world", limit=10) == Answer(200, b"hello worl", None, keep=False, cut=True)
    assert read(CHUNKED, limit=5) == Answer(200, b"hello", None, keep=False, cut=True)


def test_an_error_has_a_limit_of_its_own_and_says_when_to_come_back() -> None:
    whole = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 12\r\n\r\nmore than ten"
    assert read(whole) == Answer(429, b"more than ", "3", keep=False, cut=True)


@pytest.mark.parametrize(
    "whole",
    [
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 099 No\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 10_000,
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000,
    ],
)
def test_what_is_no_answer_is_an_error(whole: bytes) -> None:
    with pytest.raises(AnswerError):
        read(whole)
