"""Whatever an API server or a proxy answers: an answer, or ``AnswerError``; never more kept than is allowed."""

from __future__ import annotations

from agentk.kube.http1 import Answer, AnswerError, AnswerReader
from tests.fuzz.inputs import fuzz

LIMIT, ERROR_LIMIT = 100, 10
TOKENS = (
    b"HTTP/1.1 200 OK\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: " + b"9" * 5000 + b"\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffff",
    b"-1",
    b";",
    b":",
    b"\xc2\xb2",
)


def read(data: bytes, piece: int) -> Answer | str:
    """Read an answer that comes in pieces; after the last one the server closes."""
    reader = AnswerReader(LIMIT, ERROR_LIMIT)
    try:
        for start in range(0, len(data), piece):
            answer = reader.feed(data[start : start + piece])
            if answer is not None:
                return answer
        return reader.end()
    except AnswerError as error:
        return str(error)


@fuzz("http1", tokens=TOKENS)
def test_it_is_an_answer_within_its_limits_or_an_error(data: bytes) -> None:
    answer = read(data, 1 << 16)
    if isinstance(answer, Answer):
        assert 200 <= answer.status <= 999
        assert len(answer.body) <= (LIMIT if answer.status < 300 else ERROR_LIMIT)
        assert not (answer.cut and answer.keep)
    else:
        assert len(answer) < 200


@fuzz("http1", tokens=TOKENS)
def test_it_does_not_matter_how_it_is_cut(data: bytes) -> None:
    whole, pieces = read(data, 1 << 16), read(data, 1 + len(data) // 500)
    if isinstance(whole, Answer):
        assert isinstance(pieces, Answer)
        assert (pieces.status, pieces.body, pieces.cut) == (whole.status, whole.body, whole.cut)
    else:
        assert isinstance(pieces, str)
