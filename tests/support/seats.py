"""A seat that takes commands for as long as a block runs, as an agent's stream has one while it is open."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kas.gitops.commands import LocalCommands, Seat


@contextmanager
def attached(commands: LocalCommands, agent_id: int, seat: Seat) -> Iterator[None]:
    """Attach a seat; leaving the block detaches it."""
    commands.attach(agent_id, seat)
    try:
        yield
    finally:
        commands.detach(agent_id, seat)
