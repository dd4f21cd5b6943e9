"""The little of Git's wire protocol, version 2, that asks where refs are and for what is there. Pure: bytes.

The format is Git's own (gitprotocol-v2, gitprotocol-pack, gitprotocol-common): each line has its length in front, as
four hexadecimal digits that count themselves; 0000 ends a message, 0001 a part of one. What is more than the plain case
(negotiation, histories that become deeper or end elsewhere) is a ``ProtocolError``, and left to git.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kas.git.refs import is_commit_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

FLUSH: Final = b"0000"
_DELIMITER: Final = b"0001"
_DIGITS: Final = re.compile(rb"[0-9a-fA-F]{4}")
_LONGEST: Final = 65_520
_SPECIAL: Final = {0: FLUSH, 1: _DELIMITER, 2: b"0002"}
_PACK, _PROGRESS = 1, 2
"""The first byte of a line of the part ``packfile`` says what follows: the pack, words for people, or an error."""


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
    lines = _lines(answer)
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
    return "ls-refs" in _abilities(advertisement)


def gives_packs(advertisement: bytes) -> bool:
    """Tell whether a server, by what it says of itself, answers ``pack_request``."""
    return "shallow" in _abilities(advertisement).get("fetch", "").split(" ")


def pack_request(wanted: Iterable[str], held: Iterable[str], shallow: Iterable[str], *, without_history: bool) -> bytes:
    """Return the request for objects by their ids, and all that these need.

    ``held`` are those that are here with all that they need, as far as the commits in ``shallow``, of which it is known
    that their parents are not here. Nothing is negotiated: the server sends what it does not know to be here.
    """
    lines = [
        *("thin-pack", "no-progress", "ofs-delta"),
        *(f"shallow {commit}" for commit in shallow),
        *(("deepen 1",) if without_history else ()),
        *(f"want {one}" for one in wanted),
        *(f"have {one}" for one in held),
        "done",
    ]
    head = [_line("command=fetch\n"), _line("object-format=sha1"), _DELIMITER]
    return b"".join([*head, *(_line(f"{line}\n") for line in lines), FLUSH])


class PackAnswer:
    """The answer to ``pack_request``, taken apart as it comes. ``shallow`` is known when the pack begins."""

    def __init__(self) -> None:
        self.shallow: list[str] = []
        self.whole = False
        self._part = ""
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return what there is of the pack in them.

        Raises:
            ProtocolError: this is no plain answer, or the server gives up.
        """
        lines, self._rest = _cut(self._rest + data)
        return b"".join(map(self._read, lines))

    def _read(self, line: bytes) -> bytes:
        """Take one line; return its piece of the pack."""
        if self.whole:
            raise ProtocolError("more than an answer")
        if self._part == "packfile":
            if line == FLUSH:
                self.whole = True
            elif line[0] == _PACK:
                return line[1:]
            elif line[0] != _PROGRESS:
                raise ProtocolError("the server gives up, or the pack has an end that is none")
            return b""
        text = line.rstrip(b"\n").decode("ascii", "replace")
        if self._part == "":
            if text not in {"shallow-info", "packfile"}:
                raise ProtocolError("an answer that begins with something else")
            self._part = text
        elif line == _DELIMITER:
            self._part = ""
        elif text.startswith("shallow ") and is_commit_id(text.removeprefix("shallow ")):
            self.shallow.append(text.removeprefix("shallow "))
        else:
            raise ProtocolError("histories that change otherwise")
        return b""


def _abilities(advertisement: bytes) -> dict[str, str]:
    """Return what a server can do and how, by name; nothing for one that does not speak as we do."""
    try:
        lines = [line.rstrip(b"\n").decode("ascii", "replace") for line in _lines(advertisement)]
    except ProtocolError:
        return {}
    if "version 2" not in lines:
        return {}
    abilities = {name: how for name, _, how in (line.partition("=") for line in lines)}
    return abilities if abilities.get("object-format", "sha1") == "sha1" else {}


def _line(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return b"%04x%b" % (len(data) + 4, data)


def _lines(data: bytes) -> list[bytes]:
    """Return the lines; the special ones as they are written."""
    lines, rest = _cut(data)
    if rest:
        raise ProtocolError("a line that does not end")
    return lines


def _cut(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the lines, the special ones as they are written, and what there is of one that has not come whole."""
    at, lines = 0, []
    while len(data) - at >= 4:  # noqa: PLR2004 - as the format has it
        digits = data[at : at + 4]
        length = int(digits, 16) if _DIGITS.fullmatch(digits) else -1
        if length in _SPECIAL:
            lines.append(_SPECIAL[length])
            at += 4
        elif not 4 < length <= _LONGEST:  # noqa: PLR2004 - as the format has it
            raise ProtocolError("a line whose length is none")
        elif at + length > len(data):
            break
        else:
            lines.append(data[at + 4 : at + length])
            at += length
    return lines, data[at:]
