"""The administrator's token that kas makes when it first starts, so that somebody can begin."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agentlink import logs
from kas.web.authentication import ADMIN_ROLE, new_api_token

if TYPE_CHECKING:
    from pathlib import Path

    from kas.store.store import Store

log = logs.get_logger("app")

ADMIN_TOKEN_FILE = "admin-token"  # noqa: S105 - a file's name
"""In the data directory: the first API token, readable by kas' own user only."""


async def first_api_token(data_dir: Path, store: Store) -> None:
    """On the first start make an administrator's token and leave it in a file that only kas' user can read."""
    path = data_dir / ADMIN_TOKEN_FILE
    if path.exists():
        return
    secret, token_hash = new_api_token()
    if await store.api_tokens.create_first("first", ADMIN_ROLE, token_hash) is None:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secret + "\n")
    log.info("The first API token has been written", file=str(path))
