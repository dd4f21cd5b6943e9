"""The names of gRPC metadata that the link uses."""

from __future__ import annotations

AUTHORIZATION = "authorization"
"""With every call of an agent: ``Bearer <agent token>``."""

CONNECTION_ID = "agentlink-connection-id"
"""In kas' initial metadata of Connect: the agent is let in. The same word is in both programs' logs."""

RETRY_AFTER = "agentlink-retry-after-ms"
"""In kas' trailing metadata of a call that it has no room for now: how many milliseconds later it will have."""

REMOVED = "agentlink-agent-removed"
"""In kas' trailing metadata of Connect, whatever the value: the stream has ended because there is no such agent now."""
