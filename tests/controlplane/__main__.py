"""``python -m tests.controlplane up|down|run|build``: a control plane for a person to play with."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from tests.controlplane.binaries import BinariesError, find_binaries
from tests.controlplane.cluster import ExistingClusterError, existing_kubeconfig
from tests.controlplane.server import ControlPlane
from tests.support.go_build import GoBuildError
from tests.support.paths import ROOT, cache_directory
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 120.0
STOP_SECONDS = 30.0


@click.command(help=__doc__)
@click.argument("command", type=click.Choice(["up", "down", "run", "build"]))
def main(command: str) -> None:
    """Run one command; ``run`` stays in the foreground until Ctrl-C."""
    state = cache_directory() / "cluster"
    state.mkdir(parents=True, exist_ok=True)
    try:
        sys.exit({"up": up, "down": down, "run": run, "build": build}[command](state))
    except (BinariesError, ExistingClusterError, GoBuildError) as error:
        raise click.ClickException(str(error)) from error


def build(_: Path) -> int:
    """Build the programs unless they are cached or an existing cluster is asked for."""
    if existing_kubeconfig() is None:
        find_binaries()
    return 0


def up(state: Path) -> int:
    """Start it in the background, unless it runs already, and print the KUBECONFIG to use."""
    if _holder(state) is None:
        find_binaries()  # here, where its progress can be seen
        _ready_mark(state).unlink(missing_ok=True)
        with (state / "run.log").open("wb") as log:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "tests.controlplane", "run"],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(
            lambda: _ready_mark(state).exists() or daemon.poll() is not None,
            what="the control plane is up",
            within=START_SECONDS,
        )
        if not _ready_mark(state).exists():
            click.echo((state / "run.log").read_text(errors="replace"), err=True)
            return 1
        daemon.returncode = 0  # it is meant to stay; keeps Popen from warning that it was never waited for
    click.echo(f"export KUBECONFIG={_directory(state) / 'kubeconfig'}")
    return 0


def down(state: Path) -> int:
    """End it, and remove its data."""
    pid = _holder(state)
    if pid is None:
        click.echo("no control plane is running")
        return 0
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: _holder(state) is None, what=f"the control plane (pid {pid}) has ended", within=STOP_SECONDS)
    click.echo("the control plane has ended")
    return 0


def run(state: Path) -> int:
    """Run it in the foreground until SIGTERM or Ctrl-C."""
    binaries = find_binaries()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that both unwind what has been started so far
    with _held(state) as free:
        if not free:
            click.echo("a control plane is running already; `make cluster-down` ends it", err=True)
            return 1
        directory = _directory(state)
        shutil.rmtree(directory, ignore_errors=True)
        try:
            with suppress(KeyboardInterrupt), ControlPlane(binaries, directory) as control_plane:
                control_plane.start_ready_pods()
                _ready_mark(state).touch()
                click.echo(f"export KUBECONFIG={control_plane.kubeconfig}")
                signal.pause()
        finally:
            _ready_mark(state).unlink(missing_ok=True)
            shutil.rmtree(directory, ignore_errors=True)
    return 0


def _directory(state: Path) -> Path:
    return state / "data"


def _ready_mark(state: Path) -> Path:
    return state / "ready"


@contextmanager
def _held(state: Path) -> Iterator[bool]:
    """Hold the lock that says a control plane runs, with our pid in it; yield whether we got it.

    A lock and not a mere pid file: the kernel drops it however the process ends, so no stranger's pid is ever taken
    for ours.
    """
    with (state / "pid").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield True


def _holder(state: Path) -> int | None:
    """Return the pid of the running control plane's daemon, if one runs."""
    with (state / "pid").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            return int(handle.read())
    return None


if __name__ == "__main__":
    main()
