"""GitLab's own agentk, which calls services that kas does not have: it is told so in words that it logs.

Its calls are those of the packages ``gitlab.agent.*``. Who shows no good token is refused as anybody is; to others the
answer says what to install instead, and an event of the agent does.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import grpc

from kas.rpc.streams import abort

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any, NoReturn

    from kas.rpc.calls import Entrance
    from kas.rpc.sessions import AgentIdentity

    Context = grpc.aio.ServicerContext[Any, Any]

_METHODS: Final = "/gitlab.agent."

_PROGRAM: Final = re.compile(r"(?:gitlab-agent|agentk)/(v?[0-9][0-9A-Za-z.+-]{0,40})/")
"""How it names itself in ``user-agent``: ``gitlab-agent/v16.5.0/8daa08cc grpc-go/1.58.3``."""

_AGAIN_SECONDS: Final = 24 * 3600.0
"""It calls every few minutes, for ever: how often that is an event."""

_REMEMBERED: Final = 10_000


class GitlabAgents(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic for type checkers only
    """Answers every call of GitLab's agentk."""

    def __init__(
        self,
        entrance: Entrance,
        told: Callable[[AgentIdentity, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin.

        Args:
            entrance: Who knows the tokens.
            told: Is called with an agent and its version, empty if it did not tell, once a day for each.
            clock: Monotonic, in seconds.
        """
        self._entrance = entrance
        self._told = told
        self._clock = clock
        self._seen: OrderedDict[tuple[int, str], float] = OrderedDict()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return what answers a call, None of one that is not GitLab's."""
        if not handler_call_details.method.startswith(_METHODS):
            return None
        return grpc.stream_stream_rpc_method_handler(self._refuse)

    async def _refuse(self, messages: AsyncIterator[bytes], context: Context) -> NoReturn:
        del messages  # nothing that it says is needed
        identity = await self._entrance.enter(context)
        version = version_of(str(dict(context.invocation_metadata() or ()).get("user-agent", "")))
        self._note(identity, version)
        await abort(context, grpc.StatusCode.FAILED_PRECONDITION, advice(version))

    def _note(self, identity: AgentIdentity, version: str) -> None:
        key, now = (identity.agent_id, version), self._clock()
        if now < self._seen.get(key, 0.0):
            return
        self._seen[key] = now + _AGAIN_SECONDS
        self._seen.move_to_end(key)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        self._told(identity, version)


def version_of(user_agent: str) -> str:
    """Return the version that GitLab's agentk names in ``user-agent``, empty if there is none."""
    found = _PROGRAM.search(user_agent[:200])
    return found[1] if found else ""


def advice(version: str) -> str:
    """Return what whoever runs GitLab's agentk has to do."""
    return (
        f"this kas does not serve GitLab's agentk{f' {version}' if version else ''}: delete its Deployment, or let it"
        " connect to GitLab's kas, and install the agentk of this kas with what `kas generate --agent-token - `"
        " prints; docs/coming-from-gitlab.md has the steps"
    )
