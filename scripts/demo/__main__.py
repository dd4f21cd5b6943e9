"""``make demo``: play the story, end what was started, and say with the exit code whether all went well.

The environment chooses: ``KEEP=1`` leaves everything running until Ctrl-C, ``USE_KUBECONFIG=1`` takes the cluster of
``KUBECONFIG``, ``DEMO_DIRECTORY`` is where data and logs lie, ``.demo`` otherwise.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.demo.parts import MANIFESTS, Parts, start
from scripts.demo.screen import Screen
from scripts.demo.story import Story
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from tests.support.git_repository import GitRepository

LOG_TAIL_LINES = 15
INTERRUPTED = 130
LOGS = ("kas/kas.log", "agents/agentk-my-agent.log")


def main() -> int:
    """Run the demo; return the exit code."""
    screen = Screen()
    directory = Path(os.environ.get("DEMO_DIRECTORY") or ROOT / ".demo").absolute()
    keep = os.environ.get("KEEP", "0") not in {"", "0"}
    # `kill` is to end the demo as Ctrl-C does, with everything it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = 0
    with ExitStack() as stack:
        try:
            _play(directory, screen, stack, keep=keep)
        except KeyboardInterrupt:
            screen.heading("Interrupted; ending what was started …")
            code = INTERRUPTED
        except Exception as error:  # noqa: BLE001 - whatever it is, a person is told, and everything ends
            _show_failure(directory, screen, error)
            code = 1
        # From here on everything ends in order; a second Ctrl-C would leave parts behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    if code == 0:
        screen.line()
        screen.good(f"Everything that was started has ended. Its logs are in {directory}.")
        screen.note("`make demo KEEP=1` leaves it running for you to play with.")
    return code


def _play(directory: Path, screen: Screen, stack: ExitStack, *, keep: bool) -> None:
    screen.step("A cluster, a Git server, kas")
    parts = start(directory, screen, stack)
    story = Story(parts, screen)
    repository = story.tell()
    story.show_timeline()
    if keep:
        _keep(parts, repository, screen)


def _keep(parts: Parts, repository: GitRepository, screen: Screen) -> None:
    """Say what there is to play with, and leave it running until Ctrl-C."""
    environment = parts.write_environment()
    screen.heading("Everything goes on running. In another terminal:")
    screen.line()
    screen.command(f". {environment}", "sets KAS_ADDRESS, KAS_TOKEN_FILE and KUBECONFIG, and lets `kas` run this kas")
    screen.command("kas get syncs --watch")
    screen.command("kas tree --agent my-agent")
    screen.command(f"kubectl -n {parts.namespace} get deployments,services,configmaps")
    screen.line()
    screen.note(f"Change something ({MANIFESTS}; the webhook is sent for you):")
    screen.command(f"cd {repository.path}")
    screen.command("sed -i 's/replicas: .*/replicas: 3/' nginx/deployment.yaml")
    screen.command("git commit -am 'Three replicas' && git push origin main")
    screen.line()
    for what, where in {
        "KAS_ADDRESS": parts.kas.api,
        "KAS_TOKEN_FILE": parts.kas.environment["KAS_TOKEN_FILE"],
        "KUBECONFIG": parts.cluster.kubeconfig,
        "log of kas": parts.kas.log,
        "log of agentk": parts.agent.log,
        "metrics of kas": f"{parts.kas.observability}/metrics",
    }.items():
        screen.note(f"{what:16}{where}")
    screen.line()
    screen.note("Ctrl-C ends it all.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        screen.heading("Ending …")


def _show_failure(directory: Path, screen: Screen, error: Exception) -> None:
    screen.heading("The demo failed:")
    screen.bad(f"{type(error).__name__}: {error}")
    for name in LOGS:
        log = directory / name
        if log.is_file():
            screen.heading(f"The end of {log}:")
            for line in log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]:
                screen.line(line)


if __name__ == "__main__":
    sys.exit(main())
