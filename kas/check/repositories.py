"""git itself, and whether kas may fetch each project; in a temporary mirror, never in those of a running kas."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from agentlink.findings import Finding, failed, ok
from kas.git.errors import GitError
from kas.git.mirrors import Mirrors
from kas.git.program import OLDEST, program_version
from kas.git.refs import DEFAULT_BRANCH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from kas.git.remotes import GitSettings

    Look = Callable[[Mirrors, str, str], Awaitable[Sequence[Finding]]]

_AREA = "git"
_AT_ONCE = 8


def check_program() -> Finding:
    """Look whether there is a git program that is new enough."""
    try:
        version = program_version()
    except GitError as error:
        return failed(_AREA, "program", str(error))
    said = ".".join(map(str, version))
    if version < OLDEST:
        return failed(_AREA, "program", f"git {said} is too old", f"install {'.'.join(map(str, OLDEST))} or newer")
    return ok(_AREA, "program", f"git {said}")


async def check_projects(settings: GitSettings, projects: Sequence[str], look: Look) -> list[Finding]:
    """Fetch the default branch of each project, without its history, ``look`` into it, and forget it again."""
    turns = asyncio.Semaphore(_AT_ONCE)
    with tempfile.TemporaryDirectory(prefix="kas-check-", ignore_cleanup_errors=True) as directory:
        mirrors = Mirrors(settings, Path(directory))

        async def check(project: str) -> list[Finding]:
            async with turns:
                try:
                    commit = await mirrors.mirror(project).fetch(DEFAULT_BRANCH)
                except GitError as error:
                    return [failed(_AREA, project, f"{error.reason}: {error}")]
                found = await look(mirrors, project, commit)
            return [ok(_AREA, project, f"the default branch is at {commit[:8]}"), *found]

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(check(project)) for project in projects]
        finally:
            await mirrors.close()
    return [finding for task in tasks for finding in task.result()]
