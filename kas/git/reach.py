"""Whether a project can be reached, asked when somebody registers an agent in it: a mistyped path is found at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kas.git.errors import GitError
from kas.git.refs import DEFAULT_BRANCH

if TYPE_CHECKING:
    from kas.git.mirrors import Mirrors

PATIENCE = 5.0
"""Seconds. Somebody waits for the answer; a server that is slow to give it may still be right."""

_SAYS_NOTHING = frozenset({"RefNotFound", "Timeout", "TooLarge", "Interrupted"})
"""Of these the first is a repository without a commit yet, and the others are no reason to doubt its path."""


async def doubt_about(mirrors: Mirrors, project: str) -> str:
    """Return for people why a project cannot be read; empty where it can, or where nobody can say in time."""
    try:
        async with asyncio.timeout(PATIENCE):
            await mirrors.mirror(project).fetch(DEFAULT_BRANCH)
    except TimeoutError:
        return ""
    except GitError as error:
        return "" if error.reason in _SAYS_NOTHING else str(error)
    return ""
