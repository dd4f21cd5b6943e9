"""What the API asks of who is connected: to this kas, or to all of its replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from kas.rpc.sessions import Session


class Connected(Protocol):
    """``kas.rpc.sessions.Sessions`` is one, ``kas.replicas.everybody.Everybody`` another."""

    def list(self) -> tuple[Session, ...]:
        """Return the open sessions."""

    def of_agent(self, agent_id: int) -> tuple[Session, ...]:
        """Return those of one agent."""

    def close_token(self, token_id: int) -> int:
        """End the sessions of a token; return how many."""

    def close_agent(self, agent_id: int) -> int:
        """End the sessions of an agent; return how many."""
