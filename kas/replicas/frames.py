"""What one replica says to others, sealed: authenticated, encrypted, and good for a few seconds. Pure: bytes and times.

A frame is ``version, sender, number`` in the clear, and sealed with AES-256-GCM ``echo, topic, body``. Sender,
recipient and number are what the seal is over, too. The key is the sender's and the channel's, and the number is the
nonce: it only ever grows, and a sender is a process that nobody was before, so no nonce comes twice.

A number that is not greater than the last one of its sender and channel is a replay. What was recorded and is said to
somebody who was not there, or later, is refused by its age, without any clock that two would have to agree on: every
beat echoes the newest beat that its sender has heard of each other. Who is echoed knows by its own clock when it said
that, so whatever comes after was said later still. A frame for one replica carries such an echo itself.
``docs/decisions/0024`` has the reasons.
"""

from __future__ import annotations

import math
import struct
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kas.replicas.derived import derive
from kas.replicas.port import MESSAGE_BYTES

FRESH_SECONDS: Final = 10.0
"""How old what is heard may be. Longer than a replica takes to notice that it is cut off, and to come back."""

BEAT: Final = "beat"

_VERSION: Final = 1
_HEAD: Final = struct.Struct("!B16sQ")
_INNER: Final = struct.Struct("!QB")
_ECHO: Final = struct.Struct("!16sQ")
_TAG_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_LEAST: Final = _HEAD.size + _INNER.size + _TAG_BYTES
_MOST: Final = _LEAST + 255 + MESSAGE_BYTES

_PEERS: Final = 256
"""Senders that are remembered though nothing shows that they are there now; those that are there always are."""

_CIPHERS: Final = 1024
_EVERYBODY: Final = ""


class Refused(StrEnum):
    """Why a frame is not listened to."""

    MALFORMED = "malformed"
    """It is no frame of this version."""
    FORGED = "forged"
    """It is not sealed by its sender for who gets it, or was changed."""
    REPLAYED = "replayed"
    """It, or one after it, was here before."""
    STALE = "stale"
    """Nothing shows that it was said a moment ago. So it is with the first word of a new replica, too."""


@dataclass(frozen=True, slots=True)
class Said:
    """What another replica says, and is there to say now. With ``missed`` something before it did not come."""

    sender: str
    topic: str
    body: bytes
    missed: bool


@dataclass(frozen=True, slots=True)
class Beat:
    """Another replica is there. With ``met`` that was not known, and what it said before was not listened to."""

    sender: str
    missed: bool
    met: bool


@dataclass(frozen=True, slots=True)
class Stranger:
    """Perhaps another replica: it is believed when it has heard one of our beats."""

    sender: str


@dataclass(frozen=True, slots=True)
class Own:
    """What was said here came back."""

    beat: bool


Heard = Said | Beat | Stranger | Own


@dataclass(slots=True)
class _Peer:
    """What is known of a sender. ``numbers`` are the newest, by channel; times are on the caller's clock."""

    numbers: dict[str, int] = field(default_factory=dict)
    beat: int = 0
    heard_at: float = -math.inf
    fresh_until: float = -math.inf
    kept_until: float = -math.inf
    """Before then a frame of it may be fresh: forgotten, it could be heard twice."""


class Frames:
    """The frames of one replica, and what it has heard of the others.

    Args:
        key: what all replicas know, and nobody else.
        replica: this one's id, 32 hexadecimal digits; no other process has it, nor had it before.
    """

    def __init__(self, key: bytes, replica: str) -> None:
        self._key = key
        self._replica = replica
        self._sender = bytes.fromhex(replica)
        self._numbers: dict[str, int] = {}
        self._beats: OrderedDict[int, float] = OrderedDict()
        self._peers: OrderedDict[bytes, _Peer] = OrderedDict()
        self._ciphers: OrderedDict[tuple[bytes, str], AESGCM] = OrderedDict()

    def skip(self, to: str = _EVERYBODY) -> None:
        """Count something that is not said: who is there finds out that it has missed something."""
        self._numbers[to] = self._numbers.get(to, 0) + 1

    def seal(self, topic: str, body: bytes, now: float, *, to: str = _EVERYBODY) -> bytes:
        """Return the frame that says something to all others, or to one."""
        echo = 0
        if to:
            peer = self._peers.get(bytes.fromhex(to))
            echo = peer.beat if peer is not None and now < peer.heard_at + FRESH_SECONDS else 0
        return self._seal(topic, body, echo, to)

    def beat(self, now: float) -> bytes:
        """Return the frame that says that this replica is there, and whom it has heard."""
        heard = [(sender, peer) for sender, peer in self._peers.items() if now < peer.heard_at + FRESH_SECONDS]
        newest = sorted(heard, key=lambda one: one[1].heard_at)[-_PEERS * 2 :]
        frame = self._seal(BEAT, b"".join(_ECHO.pack(sender, peer.beat) for sender, peer in newest), 0, _EVERYBODY)
        self._beats[self._numbers[_EVERYBODY]] = now
        while now >= next(iter(self._beats.values())) + FRESH_SECONDS:
            self._beats.popitem(last=False)
        return frame

    def hears(self, replica: str, now: float) -> bool:
        """Tell whether another replica is known to be there."""
        peer = self._peers.get(bytes.fromhex(replica))
        return peer is not None and now < peer.fresh_until

    def open(self, frame: bytes, now: float, *, to: str = _EVERYBODY) -> Heard | Refused:
        """Return what came on the channel of all, or on that ``to`` this replica."""
        if not _LEAST <= len(frame) <= _MOST or frame[0] != _VERSION:
            return Refused.MALFORMED
        _, sender, number = _HEAD.unpack_from(frame)
        head = frame[: _HEAD.size]
        try:
            inner = self._cipher(sender, to).decrypt(_nonce(number), frame[_HEAD.size :], head + to.encode())
        except InvalidTag:
            return Refused.FORGED
        peer = self._peer(sender, now)
        before = peer.numbers.get(to, 0)
        if number <= before:
            return Refused.REPLAYED
        peer.numbers[to] = number
        try:
            return self._heard(peer, sender, inner, now, to=to, missed=number != before + 1)
        except (struct.error, UnicodeDecodeError):  # another replica errs; whoever hears it goes on
            return Refused.MALFORMED

    def _heard(self, peer: _Peer, sender: bytes, inner: bytes, now: float, *, to: str, missed: bool) -> Heard | Refused:
        """Judge what one of us has sealed, so it is whole.

        Raises:
            struct.error: A beat has no whole number of echoes.
            UnicodeDecodeError: The topic is no text.
        """
        echo, length = _INNER.unpack_from(inner)
        topic, body = inner[_INNER.size : _INNER.size + length].decode(), inner[_INNER.size + length :]
        if sender == self._sender:
            return Own(topic == BEAT)
        if topic == BEAT and not to:
            return self._heard_beat(sender, peer, body, now, missed=missed)
        fresh_until = self._fresh_after(echo) if to else peer.fresh_until
        if now >= fresh_until:
            return Refused.STALE
        peer.kept_until = max(peer.kept_until, fresh_until)
        return Said(sender.hex(), topic, body, missed)

    def _fresh_after(self, echoed: int) -> float:
        """Return until when what was said after one of our beats had been heard is fresh."""
        return self._beats.get(echoed, -math.inf) + FRESH_SECONDS

    def _heard_beat(self, sender: bytes, peer: _Peer, body: bytes, now: float, *, missed: bool) -> Beat | Stranger:
        peer.beat, peer.heard_at = peer.numbers[_EVERYBODY], now
        self._peers.move_to_end(sender)
        was_fresh = now < peer.fresh_until
        echoed = next((number for one, number in _ECHO.iter_unpack(body) if one == self._sender), 0)
        peer.fresh_until = max(peer.fresh_until, self._fresh_after(echoed))
        peer.kept_until = max(peer.kept_until, peer.fresh_until)
        if now >= peer.fresh_until:
            return Stranger(sender.hex())
        return Beat(sender.hex(), missed and was_fresh, not was_fresh)

    def _peer(self, sender: bytes, now: float) -> _Peer:
        peer = self._peers.get(sender)
        if peer is None:
            if len(self._peers) >= _PEERS:
                for other in [one for one, known in self._peers.items() if now >= known.kept_until]:
                    if len(self._peers) < _PEERS:
                        break
                    if other != self._sender:
                        del self._peers[other]
            peer = self._peers[sender] = _Peer()
        return peer

    def _seal(self, topic: str, body: bytes, echo: int, to: str) -> bytes:
        self.skip(to)
        number, name = self._numbers[to], topic.encode()
        head = _HEAD.pack(_VERSION, self._sender, number)
        inner = _INNER.pack(echo, len(name)) + name + body
        return head + self._cipher(self._sender, to).encrypt(_nonce(number), inner, head + to.encode())

    def _cipher(self, sender: bytes, to: str) -> AESGCM:
        cipher = self._ciphers.get((sender, to))
        if cipher is None:
            cipher = self._ciphers[sender, to] = AESGCM(derive(self._key, "frames", sender, to.encode()))
            if len(self._ciphers) > _CIPHERS:
                self._ciphers.popitem(last=False)
        return cipher


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE_BYTES, "big")
