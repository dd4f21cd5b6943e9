from __future__ import annotations

import pytest

from agentlink.allowance import Allowance
from agentlink.http2_frames import PREFACE, Frames
from tests.support.http2 import frame

DATA, HEADERS, SETTINGS, PING, CONTINUATION = 0, 1, 4, 6, 9


@pytest.mark.parametrize(
    ("sent", "points"),
    [
        (b"", 0),
        (frame(SETTINGS), 1),
        (frame(PING, bytes(8)) * 3, 3),
        (frame(DATA, bytes(255), stream=1), 1),
        (frame(DATA, bytes(256), stream=1) + frame(DATA, bytes(16384), stream=1), 0),
        (frame(HEADERS, bytes(40), stream=1) + frame(CONTINUATION, b"", stream=1), 20),
        (frame(0xEE, bytes(5000)), 1),
        (frame(PING, bytes(8))[:8], 0),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_frames_are_counted_in_whatever_pieces_they_come(sent: bytes, points: int, piece: int) -> None:
    frames = Frames()
    stream = PREFACE + sent
    counted = [frames.points(stream[at : at + piece]) for at in range(0, len(stream), piece)]
    assert sum(counted) == points


def test_an_allowance_is_used_up_and_comes_again_with_time() -> None:
    now = 0.0
    allowance = Allowance(10, 2, clock=lambda: now)
    assert allowance.spend(10)
    assert not allowance.spend(1)
    now = 1.0
    assert allowance.spend(1)
    assert not allowance.spend(1)
    allowance.earn(100)
    assert allowance.spend(10)
    assert not allowance.spend(1)
