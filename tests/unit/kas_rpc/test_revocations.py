"""That a token has ended is read from the store, whoever says so; told of one, it is read at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kas.rpc import revocations
from kas.rpc.revocations import Doubts, follow_revocations
from kas.rpc.sessions import Sessions
from kas.store.errors import StoreUnavailable
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Collection

    import pytest


class Tokens:
    """A store in which token 2 is revoked, and which does not answer the first time."""

    def __init__(self) -> None:
        self.asked: list[frozenset[int]] = []

    async def ended(self, token_ids: Collection[int]) -> frozenset[int]:
        self.asked.append(frozenset(token_ids))
        if len(self.asked) == 1:
            raise StoreUnavailable("away")
        return frozenset(token_ids) & {2}

    async def gone(self, token_ids: Collection[int]) -> frozenset[int]:
        return frozenset(token_ids) - {2}


async def test_only_what_the_store_calls_ended_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations, "SECONDS", 0.05)
    tokens, doubts, revoked = Tokens(), Doubts(), list[int]()
    async with asyncio.TaskGroup() as group:
        following = group.create_task(follow_revocations(tokens, Sessions(), revoked.append, doubts))
        for token_id in (1, 2, 3):
            doubts.add(token_id)
        await eventually(lambda: bool(revoked), what="it has ended")
        assert not doubts.token_ids, "and none is asked about for ever"
        following.cancel()
    assert revoked == [2]
    assert tokens.asked == [frozenset({1, 2, 3})] * 2, "asked again when the store is back"
