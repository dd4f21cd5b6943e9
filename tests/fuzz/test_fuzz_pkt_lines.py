"""Whatever a Git server answers: refs with object ids, a pack's bytes, or ``ProtocolError``."""

from __future__ import annotations

import re

from kas.git.protocol import PackAnswer, ProtocolError, gives_packs, parse_refs, tells_refs
from kas.git.refs import is_commit_id
from tests.fuzz.inputs import fuzz

NAMES = ("HEAD", "refs/heads/main", "refs/heads/\udcff")
TOKENS = (
    b"0000", b"0001", b"0002", b"0003", b"0004", b"0005\x01", b"ffff", b"FFF0", b"0x10", b"+010", b" 010", b"00_8",
    b"1" * 40, b" ", b"refs/heads/main\n", b"000dpackfile\n", b"0011shallow-info\n", b"\x01", b"\x02", b"\x03",
    b"version 2\n", b"fetch=shallow",
)  # fmt: skip
_LENGTH = re.compile(rb"[0-9a-fA-F]{4}")


@fuzz("pkt_lines", tokens=TOKENS)
def test_refs_have_object_ids_and_were_asked_for(data: bytes) -> None:
    try:
        refs = parse_refs(data, NAMES)
    except ProtocolError:
        return
    assert set(refs) <= set(NAMES)
    assert all(map(is_commit_id, refs.values()))
    assert _LENGTH.match(data)


@fuzz("pkt_lines", tokens=TOKENS)
def test_what_a_server_can_is_read_or_nothing(data: bytes) -> None:
    assert tells_refs(data) in {True, False}
    assert gives_packs(data) in {True, False}


def unpacked(data: bytes, piece: int) -> tuple[bytes, list[str], bool, bool]:
    answer, pack = PackAnswer(), b""
    try:
        for start in range(0, len(data), piece):
            pack += answer.feed(data[start : start + piece])
    except ProtocolError:
        return pack, answer.shallow, answer.whole, True
    return pack, answer.shallow, answer.whole, False


@fuzz("pkt_lines", tokens=TOKENS)
def test_a_pack_is_what_the_lines_hold_however_they_are_cut(data: bytes) -> None:
    pack, shallow, whole, refused = unpacked(data, 1 << 16)
    assert len(pack) <= len(data)
    assert all(map(is_commit_id, shallow))
    cut = unpacked(data, 3)
    assert cut[3] == refused
    if not refused:
        assert cut[:3] == (pack, shallow, whole)
        # Nothing but whole lines was taken for one: walk them as the format has it.
        at = 0
        while at + 4 <= len(data):
            assert _LENGTH.fullmatch(data[at : at + 4])
            at += max(4, int(data[at : at + 4], 16))
