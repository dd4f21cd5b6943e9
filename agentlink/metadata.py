"""The names of gRPC metadata that the link uses."""

from __future__ import annotations

AUTHORIZATION = "authorization"
"""With every call of an agent: ``Bearer <agent token>``."""

CONNECTION_ID = "agentlink-connection-id"
"""In kas' initial metadata of Connect: the agent is let in. The same word is in both programs' logs."""
