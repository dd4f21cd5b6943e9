"""Whatever HTTP/2 a stranger sends: counted alike however it is cut, and never for nothing where it costs."""

from __future__ import annotations

from agentlink.http2_frames import PREFACE, Frames
from tests.fuzz.inputs import fuzz

HEAD_BYTES = 9
TOKENS = (
    PREFACE, b"\0\0\0\4\0\0\0\0\0", b"\0\0\0\1\5\0\0\0\1", b"\0\0\0\x09\0\0\0\0\1", b"\0\0\4\3\0\0\0\0\1\0\0\0\x08",
    b"\xff\xff\xff\0\0\0\0\0\1", b"\0\1\0\0\0\0\0\0\1", b"\0\0\x08\6\0\0\0\0\0",
)  # fmt: skip


def counted(data: bytes, piece: int) -> int:
    frames = Frames()
    return sum(frames.points(data[start : start + piece]) for start in range(0, len(data), piece))


@fuzz("http2", tokens=TOKENS)
def test_it_costs_the_same_however_it_is_cut(data: bytes) -> None:
    points = counted(data, 1 << 20)
    assert points == counted(data, 1) == counted(data, 7)
    assert points <= 10 * (len(data) // HEAD_BYTES)


@fuzz("http2", tokens=TOKENS)
def test_every_frame_that_is_no_large_data_costs(data: bytes) -> None:
    at, cheap, calls = len(PREFACE), 0, 0
    while at + HEAD_BYTES <= len(data):
        size, kind = int.from_bytes(data[at : at + 3], "big"), data[at + 3]
        cheap += kind != 0 or size < 256
        calls += kind in {1, 9}
        at += HEAD_BYTES + size
    assert counted(data, 64) == cheap + 9 * calls
