"""Plays the part of GitLab: after each push to a repository it sends kas the webhook that GitLab would send.

A hook of the repository writes the project's name into a named pipe, which costs a push a millisecond; a thread reads
the pipe and sends the webhook. So a person's own ``git push`` is announced just as the demo's.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.support.git_server import GitServer

END = ""


class Webhooks:
    """A context manager: while it is open, pushes to the repositories named to ``announce`` reach kas at once."""

    def __init__(self, directory: Path, send: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            directory: for the pipe.
            send: tells kas of a push to a project; an ``OSError`` of it is taken for a kas that has stopped.
        """
        self._pipe = directory / "pushes"
        self._send = send
        self._descriptor = -1
        self._thread = threading.Thread(target=self._forward, name="webhooks")

    def __enter__(self) -> Self:
        os.mkfifo(self._pipe, mode=0o600)
        # Opened for both, so that neither a hook nor this end ever waits for the other to open it.
        self._descriptor = os.open(self._pipe, os.O_RDWR)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.write(self._descriptor, f"{END}\n".encode())
        self._thread.join()
        os.close(self._descriptor)
        self._pipe.unlink()

    def announce(self, git: GitServer, project: str) -> None:
        """Announce pushes to this project from now on."""
        hook = git.bare(project) / "hooks" / "post-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho '{project}' >'{self._pipe}'\n")
        hook.chmod(0o700)

    def _forward(self) -> None:
        with os.fdopen(os.dup(self._descriptor)) as pushes:
            for line in pushes:
                project = line.strip()
                if project == END:
                    return
                try:
                    self._send(project)
                except OSError:
                    continue  # kas polls as well, and the demo notices by itself when kas has ended
