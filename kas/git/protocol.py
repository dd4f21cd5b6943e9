"""The little of Git's wire protocol, version 2, that asks where refs are. Pure: bytes out, bytes in.

The format is Git's own (gitprotocol-v2, gitprotocol-common): each line has its length in front, as four hexadecimal
digits that count themselves; 0000 ends a message, 0001 a part of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kas.git.refs import is_commit_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

FLUSH: Final = b"0000"
_DELIMITER: Final = b"0001"
_LONGEST: Final = 65_520
_SPECIAL: Final = {0: FLUSH, 1: _DELIMITER, 2: b"0002"}


class ProtocolError(ValueError):
    """An answer is none of the protocol."""


def refs_request(names: Collection[str]) -> bytes:
    """Return the request for where these refs are: full names, or ``HEAD``."""
    prefixes = [_line(f"ref-prefix {name}\n") for name in names]
    return b"".join([_line("command=ls-refs\n"), _line("object-format=sha1"), _DELIMITER, *prefixes, FLUSH])


def parse_refs(answer: bytes, names: Collection[str]) -> dict[str, str]:
    """Return the object ids of those refs that there are. A tag's is that of the tag, not of its commit.

    Raises:
        ProtocolError: it is no answer, or not a whole one.
    """
    wanted, refs = frozenset(names), {}
    lines = list(_lines(answer))
    if not lines or lines[-1] != FLUSH:
        raise ProtocolError("the answer does not end where it should")
    for line in lines[:-1]:
        object_id, _, rest = line.rstrip(b"\n").partition(b" ")
        value = object_id.decode("ascii", "replace")
        if not is_commit_id(value):
            raise ProtocolError("a ref without an object id")
        name = rest.partition(b" ")[0].decode("utf-8", "surrogateescape")
        if name in wanted:  # a prefix finds main2 beside main
            refs[name] = value
    return refs


def tells_refs(advertisement: bytes) -> bool:
    """Tell whether a server, by what it says of itself, answers ``refs_request``."""
    try:
        lines = {line.rstrip(b"\n") for line in _lines(advertisement)}
    except ProtocolError:
        return False
    formats = {line for line in lines if line.startswith(b"object-format=")}
    return (
        b"version 2" in lines
        and any(line == b"ls-refs" or line.startswith(b"ls-refs=") for line in lines)
        and formats <= {b"object-format=sha1"}
    )


def _line(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return b"%04x%b" % (len(data) + 4, data)


def _lines(data: bytes) -> Iterator[bytes]:
    """Yield the lines; the special ones as they are written."""
    at = 0
    while at < len(data):
        digits = data[at : at + 4]
        try:
            length = int(digits, 16) if len(digits) == 4 and digits.isalnum() else -1  # noqa: PLR2004 - as the format has it
        except ValueError:
            length = -1
        if length in _SPECIAL:
            yield _SPECIAL[length]
            at += 4
        elif 4 < length <= _LONGEST and at + length <= len(data):  # noqa: PLR2004 - as the format has it
            yield data[at + 4 : at + length]
            at += length
        else:
            raise ProtocolError("a line whose length is none")
