"""Following syncs until they have come to their end: what ``kas wait`` and ``kas reconcile --wait`` have in common."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from kas.cli.text import inert
from kas.cli.views import objects_summary
from kas.cli.views_orders import COMMIT_DIGITS
from kas.client import WATCH_ENDED, ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kas.client import Client
    from kas.web.payloads import Sync

NOT_IN_TIME: Final = 4
"""The exit code where a wait is over before what it waits for has come."""

_AGAIN_SECONDS: Final = 1.0


def follow(client: Client, query: Mapping[str, str | int | None]) -> Iterator[Sync | None]:
    """Yield syncs as they are and as they change, for ever; None every few seconds, for a look at the clock.

    A kas that restarts, or a balancer that cuts what lasts long, is connected to again once there was a connection.

    Raises:
        ClientError: there is no kas, or it refuses.
    """
    been_there = False
    while True:
        try:
            for line in client.watch_closely("syncs", **query):
                been_there = True
                yield cast("Sync", line["object"]) if line["type"] in {"ADDED", "MODIFIED"} else None
        except ClientError as error:
            if not been_there or not _may_pass(error):
                raise
        yield None
        time.sleep(_AGAIN_SECONDS)


def _may_pass(error: ClientError) -> bool:
    return error.status == 0 or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.reason == WATCH_ENDED


def ended_words(sync: Sync) -> str:
    """Say in a line how a sync has ended."""
    said = f": {sync['message'] or sync['reason']}" if sync["message"] or sync["reason"] else ""
    commit = sync["commit"][:COMMIT_DIGITS]
    return inert(f"project {sync['project']} @ {commit} {sync['state']}, {objects_summary(sync['counts'])}{said}")
