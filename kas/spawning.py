"""Starting work for somebody who may be leaving. Agents' streams have tasks only while there is something to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine
    from typing import Any

T = TypeVar("T")


def spawn(tasks: asyncio.TaskGroup, work: Coroutine[Any, Any, T]) -> asyncio.Task[T] | None:
    """Start work in a group and return its task; None where the group is ending, which takes in no more."""
    try:
        return tasks.create_task(work)
    except RuntimeError:
        work.close()
        return None
