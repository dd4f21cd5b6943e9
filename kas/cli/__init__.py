"""The command line; it talks to a running kas over HTTP and imports nothing of the server but `serve`."""

from __future__ import annotations

from kas.cli.main import main

__all__ = ["main"]
