"""The agents' configurations: whether each can be used, and names only projects that it may read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentlink.findings import Finding, ok, warning
from kas.desired.agent_config import ConfigError
from kas.git.errors import GitError
from kas.gitops.identify import read_configuration
from kas.rpc.sessions import AgentIdentity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentlink.manifests.model import Limits
    from kas.desired.project_access import ProjectAccess
    from kas.git.mirrors import Mirrors

_AREA = "configurations"
_ACCESS = "project_access"


class Configurations:
    """Looks at the configuration of every agent, as kas itself reads it.

    Args:
        agents: their names, with their configuration projects.
        limits: what a file may hold.
        access: which projects it may name.
    """

    def __init__(self, agents: Sequence[tuple[str, str]], limits: Limits, access: ProjectAccess) -> None:
        self._agents = agents
        self._limits = limits
        self._access = access
        self._read = 0
        self._refused = 0

    async def look(self, mirrors: Mirrors, project: str, commit: str) -> list[Finding]:
        """Return what is wrong with the configurations in one project, at a commit that has been fetched."""
        findings = []
        for agent in (name for name, of in self._agents if of == project):
            identity = AgentIdentity(0, agent, project, 0)
            whose = f"agent {agent} of {project}"
            try:
                read = await read_configuration(mirrors, identity, commit, self._limits, access=self._access)
            except ConfigError as error:
                findings.append(warning(_AREA, "configuration", f"{whose}: {error}", "correct it there"))
                continue
            except GitError as error:
                findings.append(warning(_AREA, "configuration", f"{whose}: {error.reason}: {error}"))
                continue
            self._read += 1
            refused = () if read is None else read.refused
            self._refused += len(refused)
            findings += [warning(_AREA, _ACCESS, f"{whose}: {one.message}", one.remedy) for one in refused]
        return findings

    def summary(self) -> list[Finding]:
        """Return what to say of all of them together, when all projects have been looked at."""
        findings = []
        if self._read and not self._refused:
            findings.append(ok(_AREA, _ACCESS, f"{self._read} of them name only projects that they may read"))
        if missing := len(self._agents) - self._read:
            message = f"{missing} of {len(self._agents)} could not be read, so nothing is known of what they name"
            findings.append(warning(_AREA, _ACCESS, message, "see what is said of each, or of its project"))
        return findings
