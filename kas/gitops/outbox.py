"""What one agent is still to be sent, newest first come: the only buffer between Git and a slow agent.

An agent that reads slowly holds up nobody: for each project only the newest offer waits, and projects take turns
message by message, so that a huge one does not keep a small one waiting. What people order has its turn like a project.
Sans-I/O: whoever sends takes message after message, and is told when there may be one again. Not thread-safe.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kas.desired.model import Snapshot
    from kas.gitops.delta import Offer
    from kas.gitops.transfers import Transfers


class Outbox:
    """Turns offers into the agent's stream.

    ``held`` are complete snapshots that the agent has, by project id. ``ready`` is called when there is something to
    take; it must not block. ``transfers`` are shared with other agents' outboxes.
    """

    __slots__ = (
        "_active",
        "_configuration",
        "_first",
        "_held",
        "_ordered",
        "_ordering",
        "_ready",
        "_transfers",
        "_turns",
        "_waiting",
    )

    def __init__(self, held: dict[int, Snapshot], ready: Callable[[], None], transfers: Transfers) -> None:
        self._held = held
        self._transfers = transfers
        self._ready = ready
        self._first: wire.KasMessage | None = None
        self._configuration: wire.KasMessage | None = None
        self._waiting: dict[int, Offer] = {}
        self._active: dict[int, tuple[Offer, Iterator[wire.KasMessage]]] = {}
        # With the snapshot that goes with a command, None where none does.
        self._ordered: dict[str, tuple[wire.Command, Offer | None]] = {}
        self._ordering: dict[str, Iterator[wire.KasMessage]] = {}
        # Project ids, and the ids of commands.
        self._turns: list[int | str] = []

    def greet(self, installation: str) -> None:
        """Say first of all which installation of kas this is."""
        self._first = wire.KasMessage(welcome=wire.Welcome(installation_id=installation))
        self._ready()

    def configure(self, message: wire.KasMessage) -> None:
        """Send a configuration before any snapshot; one that still waits is replaced."""
        self._configuration = message
        self._ready()

    def offer(self, offer: Offer) -> None:
        """Send this snapshot; a transfer of an older one for the same project is given up."""
        project_id = offer.project_id
        self._active.pop(project_id, None)
        self._waiting[project_id] = offer
        if project_id not in self._turns:
            self._turns.append(project_id)
        self._ready()

    def order(self, command: wire.Command, offer: Offer | None) -> None:
        """Send a command, and the snapshot that goes with it, as a difference to what the agent holds by then."""
        self._ordered[command.id] = (command, offer)
        self._turns.insert(0, command.id)
        self._ready()

    def withdraw(self, command_id: str) -> None:
        """Send no more of a command."""
        self._ordered.pop(command_id, None)
        self._ordering.pop(command_id, None)
        if command_id in self._turns:
            self._turns.remove(command_id)

    def forget(self, project_id: int) -> None:
        """Drop what waits for a project that left the configuration, and what the agent held of it."""
        self._waiting.pop(project_id, None)
        self._active.pop(project_id, None)
        self._held.pop(project_id, None)
        if project_id in self._turns:
            self._turns.remove(project_id)

    def take(self) -> wire.KasMessage | None:
        """Return the stream's next message, None while there is none. A transfer's base was sent whole before."""
        if self._first is not None:
            message, self._first = self._first, None
            return message
        if self._configuration is not None:
            message, self._configuration = self._configuration, None
            return message
        if not self._turns:
            return None
        turn = self._turns[0]
        return self._next_ordered(turn) if isinstance(turn, str) else self._next_offered(turn)

    def _next_ordered(self, command_id: str) -> wire.KasMessage:
        ordered = self._ordered.pop(command_id, None)
        if ordered is not None:
            command, offer = ordered
            snapshot = iter(()) if offer is None else self._transfers.of(offer, self._held.get(offer.project_id))
            self._ordering[command_id] = chain([wire.KasMessage(command=command)], snapshot)
        message = next(self._ordering[command_id])
        ends = "snapshot_complete" if ordered is None or ordered[1] is not None else "command"
        if message.WhichOneof("message") == ends:
            del self._ordering[command_id]
            self._turns.pop(0)
        else:
            self._turns.append(self._turns.pop(0))
        return message

    def _next_offered(self, project_id: int) -> wire.KasMessage:
        offer = self._waiting.pop(project_id, None)
        if offer is not None:
            self._active[project_id] = (offer, self._transfers.of(offer, self._held.get(project_id)))
        offer, messages = self._active[project_id]
        message = next(messages)
        if message.WhichOneof("message") == "snapshot_complete":
            self._held[project_id] = offer.snapshot
            del self._active[project_id]
            self._turns.pop(0)
        else:
            self._turns.append(self._turns.pop(0))
        return message
