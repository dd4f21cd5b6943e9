"""The agent's token: read from its file at every connection, so that a rotated one is used without a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentlink.agent_token import TokenError, check_token

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_FILE = 4096


def read_token(path: Path) -> str:
    """Return the token in a file.

    Raises:
        TokenError: the file cannot be read or holds something else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise TokenError(f"the token file {path} cannot be read: {error.strerror}") from error
    if len(data) > _LONGEST_FILE:
        raise TokenError(f"the token file {path} is too large for a token")
    return check_token(data.decode("latin-1"), source=f"the token file {path}")
