"""Global ids as GitLab writes them: ``gid://gitlab/Clusters::Agent/43``. Pure."""

from __future__ import annotations

import re
from typing import Final, NewType

ClustersAgentID = NewType("ClustersAgentID", int)
"""An agent's id; a global id on the wire."""

ClustersAgentTokenID = NewType("ClustersAgentTokenID", int)
"""An agent token's id; likewise."""

BigInt = NewType("BigInt", int)
"""A number of any size; text on the wire."""

AGENT: Final = "Clusters::Agent"
AGENT_TOKEN: Final = "Clusters::AgentToken"  # noqa: S105 -- a kind of thing
PROJECT: Final = "Project"

_NUMBER: Final = re.compile(r"[0-9]{1,18}")


def global_id(kind: str, number: int) -> str:
    """Write a global id."""
    return f"gid://gitlab/{kind}/{number}"


def read_global_id(kind: str, text: object) -> int:
    """Read a global id of that kind.

    Raises:
        ValueError: it is none; the text says what was expected.
    """
    prefix = f"gid://gitlab/{kind}/"
    if isinstance(text, str) and text.startswith(prefix) and _NUMBER.fullmatch(text, len(prefix)):
        return int(text[len(prefix) :])
    raise ValueError(f"expected an id such as {prefix}43")
