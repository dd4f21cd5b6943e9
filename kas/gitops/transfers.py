"""What is sent to many agents alike, made once: after a push to what they share all need the same difference."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from agentlink.v1 import agentlink_pb2 as wire
from kas.gitops.bounded import Bounded
from kas.gitops.delta import transfer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kas.desired.model import Snapshot
    from kas.gitops.delta import Offer

KEPT_BYTES: Final = 16 * 1024 * 1024
"""How much of what was made is kept, all transfers together."""

LARGEST_BYTES: Final = KEPT_BYTES // 8
"""A transfer that is larger is made anew, message by message, for each agent: memory stays what one message needs."""

_Messages = tuple[wire.KasMessage, ...]


class Transfers:
    """Makes transfers, see ``kas.gitops.delta.transfer``. Messages may be shared: nobody may change them."""

    def __init__(self) -> None:
        self._kept: Bounded[tuple[int, bytes, bytes], _Messages] = Bounded(KEPT_BYTES, _size)

    def of(self, offer: Offer, base: Snapshot | None) -> Iterator[wire.KasMessage]:
        """Yield the messages that turn ``base`` into the offered snapshot."""
        if offer.command_id:
            return transfer(offer, base)
        # Digests say what files a snapshot has; where it comes from and whose it is stands in the header alone.
        key = (offer.project_id, base.digest if base is not None else b"", offer.snapshot.digest)
        kept = self._kept.get(key)
        if kept is not None:
            return chain((_header_for(offer, kept[0]),), kept[1:])
        made: list[wire.KasMessage] = []
        size = 0
        making = transfer(offer, base)
        for message in making:
            made.append(message)
            size += message.ByteSize()
            if size > LARGEST_BYTES:
                return chain(made, making)
        self._kept.put(key, tuple(made))
        return iter(made)


def _header_for(offer: Offer, alike: wire.KasMessage) -> wire.KasMessage:
    message = wire.KasMessage()
    message.CopyFrom(alike)
    header = message.snapshot_header
    header.commit = offer.snapshot.commit
    header.sync_id = offer.sync_id
    header.project = offer.project
    header.received_at.FromDatetime(offer.received_at)
    header.selected_by.clear()
    header.selected_by.update(offer.selected_by)
    return message


def _size(messages: _Messages) -> int:
    return sum(message.ByteSize() for message in messages)
