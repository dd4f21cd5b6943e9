"""What a person sees of a project's history; pure, as ``kas.cli.views``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kas.cli.text import age
from kas.cli.views import Cell, Table, Tone, objects_summary, sync_state, sync_took
from kas.cli.views_orders import COMMIT_DIGITS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from kas.web.hold_payloads import Hold
    from kas.web.operation_payloads import HistoryEntry
    from kas.web.payloads import Sync


def history_lines(values: Sequence[HistoryEntry], now: datetime) -> Table:
    """One row a revision, a suspension or a pin, in the order given."""
    return Table(
        columns=(
            *("AGE", "COMMIT", "STATE", "OBJECTS", "AUTHOR", "SUBJECT"),
            *("TIME", "REF", "TO-APPLIED", "TO-END", "SYNC-ID", "MESSAGE"),
        ),
        rows=tuple(_row(value, now) for value in values),
        wide=frozenset({"TIME", "REF", "TO-APPLIED", "TO-END", "SYNC-ID", "MESSAGE"}),
    )


def _row(value: HistoryEntry, now: datetime) -> tuple[Cell, ...]:
    sync, hold = value["sync"], value["hold"]
    if sync is not None:
        return _sync_row(value, sync, now)
    assert hold is not None  # noqa: S101 -- one of the two is there
    return _hold_row(hold, now)


def _sync_row(value: HistoryEntry, sync: Sync, now: datetime) -> tuple[Cell, ...]:
    commit = value["commit"]
    return (
        Cell(age(value["at"], now)),
        Cell(sync["commit"][:COMMIT_DIGITS] or "-"),
        sync_state(sync, past=True),
        Cell(objects_summary(sync["counts"]) if sync["kind"] == "revision" else "-"),
        Cell(commit["author"] if commit else "-"),
        Cell(commit["subject"] if commit else sync["message"]),
        Cell(value["at"]),
        Cell(sync["ref"] or "-"),
        Cell(sync_took(sync["received_at"], sync["applied_at"])),
        Cell(sync_took(sync["received_at"], sync["finished_at"])),
        Cell(sync["id"]),
        Cell(sync["message"] or sync["reason"]),
    )


def _hold_row(hold: Hold, now: datetime) -> tuple[Cell, ...]:
    word = "pinned" if hold["kind"] == "pin" else "suspended"
    return (
        Cell(age(hold["at"], now)),
        Cell(hold["commit"][:COMMIT_DIGITS] or "-"),
        Cell(word, Tone.BUSY if hold["in_force"] else Tone.FAINT),
        Cell("-"),
        Cell(hold["by"]),
        Cell("; ".join(part for part in (hold["reason"], _end(hold), _whole(hold)) if part)),
        Cell(hold["at"]),
        *(Cell("-") for _ in range(4)),
        Cell(""),
    )


def _end(hold: Hold) -> str:
    if hold["ended_at"]:
        return f"ended by {hold['ended_by']} at {hold['ended_at']}"
    if hold["until"]:
        return f"until {hold['until']}"
    return ""


def _whole(hold: Hold) -> str:
    return "the whole agent" if hold["scope"] == "agent" else ""
