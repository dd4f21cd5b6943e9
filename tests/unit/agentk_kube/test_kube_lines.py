from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentk.kube.errors import KubeError
from agentk.kube.lines import LineSplitter


@given(
    lines=st.lists(st.binary(min_size=1).map(lambda b: b"x" + b.replace(b"\n", b"")), max_size=8),
    cuts=st.lists(st.integers(min_value=0, max_value=200), max_size=8),
)
def test_lines_come_out_whole_wherever_the_stream_is_cut(lines: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    splitter = LineSplitter(10_000)
    found = [line for begin, end in pairwise(places) for line in splitter.push(stream[begin:end])]
    assert found == lines


def test_empty_lines_are_left_out() -> None:
    assert LineSplitter(10).push(b"\n\r\na\n \n") == [b"a"]


def test_a_line_that_never_ends_is_refused_before_it_fills_the_memory() -> None:
    splitter = LineSplitter(100)
    splitter.push(b"short\n" + b"x" * 100)
    with pytest.raises(KubeError, match="larger than 100 bytes") as caught:
        splitter.push(b"x")
    assert caught.value.reason == "TooLarge"
