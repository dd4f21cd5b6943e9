"""The git program on this machine."""

from __future__ import annotations

from typing import Final

import git

from kas.git.errors import GitError

OLDEST: Final = (2, 37)
"""The first that connects to the address that was looked at (``http.curloptResolve``), and to no other one."""


def program_version() -> tuple[int, ...]:
    """Return the version of the git program. Blocks for a few milliseconds.

    Raises:
        GitError: Internal, there is none that can be run.
    """
    try:
        return tuple(git.Git().version_info)
    except (git.CommandError, git.GitCommandNotFound, OSError, ValueError) as error:
        raise GitError("Internal", "the program git cannot be run; install it, or add it to PATH") from error


def check_program() -> None:
    """See that there is a git that keeps to what this room relies on. Blocks for a few milliseconds.

    Raises:
        GitError: Internal, it is too old, or there is none.
    """
    version = program_version()
    if version < OLDEST:
        said, oldest = (".".join(map(str, one)) for one in (version, OLDEST))
        raise GitError("Internal", f"git {said} is too old; install {oldest} or newer")
