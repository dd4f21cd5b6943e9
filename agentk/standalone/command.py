"""What ``agentk apply`` does with its options: reads, applies, shows, and says by its exit code how it went."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

import click

from agentk.kube.errors import KubeError
from agentk.standalone.files import Manifests
from agentk.standalone.run import apply
from agentk.standalone.showing import show_for
from agentlink import logs
from agentlink.manifests.model import ManifestError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentk.standalone.run import Options

OK: Final = 0
FAILED: Final = 1
UNREADABLE: Final = 2
INTERRUPTED: Final = 130
"""What shells give a program that ^C ended."""


def run(sources: Sequence[Path], options: Options, *, output: str) -> int:
    """Apply manifests and return the exit code.

    Args:
        sources: Files, directories, or ``-`` for standard input.
        options: What to do with them.
        output: ``text`` or ``json``.
    """
    logs.configure(level="error", log_format=logs.LogFormat.AUTO)
    manifests = Manifests()
    try:
        manifests.read(sources, sys.stdin.buffer)
    except ManifestError as error:
        _complain(str(error))
        return UNREADABLE
    total = sum(len(objects) for objects in manifests.files.values())
    try:
        with show_for(output, total, sys.stdout) as show:
            return OK if asyncio.run(apply(options, manifests.files, show)) else FAILED
    except KubeError as error:
        _complain(f"kubernetes: {error.message}")
        return FAILED
    except KeyboardInterrupt:
        _complain("interrupted; what was applied is remembered, run it again to go on")
        return INTERRUPTED


def _complain(message: str) -> None:
    click.echo(f"Error: {logs.inert(message)}", err=True)
