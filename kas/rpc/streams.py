"""The beginning and the end of an agent's stream, as gRPC has them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import grpc

from agentlink.metadata import CONNECTION_ID
from agentlink.v1 import agentlink_pb2 as wire
from kas.store.whole import whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kas.rpc.service import ConnectContext
    from kas.rpc.sessions import Session


async def announce(session: Session, context: ConnectContext) -> None:
    """Tell the agent that it is in, before there is anything to send."""
    # Whole: gRPC takes no status, and so no reason for the end, while this is on its way.
    await whole(context.send_initial_metadata)(((CONNECTION_ID, session.connection_id),))
    # nginx passes gRPC's metadata on with the first message, which may be long in coming.
    await context.write(wire.KasMessage())


async def listen(request_iterator: AsyncIterator[wire.AgentMessage]) -> NoReturn:
    """Read what newer agents may say later, so that it does not pile up; go on when they have nothing more to say."""
    with suppress(grpc.RpcError):
        async for _ in request_iterator:
            pass
    await asyncio.get_running_loop().create_future()
    raise AssertionError("only a cancellation ends this")


def is_lost(error: BaseException) -> bool:
    """Tell whether all that went wrong is that gRPC had no connection any more to write to."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_lost(one) for one in error.exceptions)
    return isinstance(error, grpc.aio.InternalError)
