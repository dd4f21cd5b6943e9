"""What all fuzz tests share: seeds, inputs made from them, and how often each test tries.

A parser's seeds are the files in ``seeds/<parser>``, one input each. Every test of the parser is given each of them,
and then inputs that hypothesis makes: seeds cut, doubled, spliced and sprinkled with what means something to the
parser. A test takes bytes and fails by raising. With ``FUZZ_KEEP`` set, as ``make fuzz`` does, the smallest input that
made it fail becomes a seed.
"""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SEEDS: Final = Path(__file__).parent / "seeds"

FOUND: Final = "found"
"""How the names of kept inputs begin, until somebody gives them a better one."""

EXAMPLES: Final = int(os.environ.get("FUZZ_EXAMPLES", "150"))
_MOST_EDITS: Final = 6
_LONGEST_PIECE: Final = 64
_BYTES: Final = (b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\r\n", b"\n", b" ", b'"', b"'", b"\\")
"""What many parsers get wrong."""


def seeds_of(parser: str) -> tuple[bytes, ...]:
    """Return a parser's seeds, by the names of their files."""
    found = tuple(path.read_bytes() for path in sorted((SEEDS / parser).iterdir()))
    assert found, f"{parser} has no seeds"
    return found


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes], tokens: Sequence[bytes] = ()) -> bytes:
    """Make inputs that are nearly right: a seed with a few edits."""
    data = draw(st.sampled_from(seeds))
    words = st.one_of(st.sampled_from([*tokens, *_BYTES]), st.binary(min_size=1, max_size=4))
    for _ in range(draw(st.integers(0, _MOST_EDITS))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, _LONGEST_PIECE)))
        match draw(st.integers(0, 5)):
            case 0:
                data = data[:start] + data[end:]
            case 1:
                data = data[:start] + draw(words) + data[start:]
            case 2:
                data = data[:start] + draw(words) + data[end:]
            case 3:
                data = data[:start] + data[start:end] * draw(st.integers(2, 40)) + data[end:]
            case 4:
                other = draw(st.sampled_from(seeds))
                data = data[:start] + other[draw(st.integers(0, len(other))) :]
            case _:
                data = (
                    data[:start]
                    + bytes(byte ^ 1 << draw(st.integers(0, 7)) for byte in data[start : start + 1])
                    + (data[start + 1 :])
                )
    return data


def fuzz(
    parser: str, *, tokens: Sequence[bytes] = (), made: st.SearchStrategy[bytes] | None = None, share: float = 1
) -> Callable[[Callable[[bytes], None]], Callable[[], None]]:
    """Make a test of a function that takes one input.

    Args:
        parser: whose seeds are used.
        tokens: what means something to the parser, to be put between other things.
        made: further inputs.
        share: of the usual number of inputs; below 1 where one takes long.
    """
    seeds = seeds_of(parser)
    inputs = mutated(seeds, tokens) | st.binary(max_size=80)

    def decorate(check: Callable[[bytes], None]) -> Callable[[], None]:
        @functools.wraps(check)
        def kept(data: bytes) -> None:
            try:
                check(data)
            except Exception:
                # Hypothesis tries ever smaller inputs, and the smallest one again in the end.
                if "FUZZ_KEEP" in os.environ:
                    _keep(parser, check.__name__, data)
                raise

        test = given(data=inputs if made is None else inputs | made)(kept)
        for seed in reversed(seeds):
            test = example(data=seed)(test)
        return settings(
            max_examples=max(1, int(EXAMPLES * share)),
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
        )(test)

    return decorate


def _keep(parser: str, test: str, data: bytes) -> None:
    name = re.sub(r"[^a-z0-9]+", "-", test.removeprefix("test_"))
    (SEEDS / parser / f"{FOUND}-{name}").write_bytes(data)


def text(data: bytes) -> str:
    """Return an input as programs get text from outside: any bytes, and surrogates that JSON can spell."""
    return data.decode("utf-8", "surrogateescape")
