"""How an agent's configuration stands, for an agent that only asks: no session, no stream, nothing written."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentlink.v1 import agentlink_pb2 as wire
from kas.desired.agent_config import MAX_CONFIG_BYTES, AgentConfig, ConfigError, ConfigFinding, parse_agent_config
from kas.desired.project_access import NOT_ALLOWED, OWN_GROUP, NotAllowed, ProjectAccess, held_to
from kas.git.errors import GitError
from kas.git.refs import DEFAULT_BRANCH
from kas.gitops.bounded import Bounded

if TYPE_CHECKING:
    from agentlink.manifests.model import Limits
    from kas.git.mirrors import Mirrors
    from kas.git.watcher import RefState, RefWatcher
    from kas.rpc.sessions import AgentIdentity

LOOK_SECONDS = 10.0
"""How long the first look at a configuration project may take; the agent that asks waits for the answer."""

READ_BYTES = 16 * 1024 * 1024
"""Bytes of the files of configurations that are kept; what is read of one takes ten times as much."""

_LEAST_BYTES, _FINDING_BYTES = 1024, 50
"""What a file counts for at least, and what each finding in it counts for besides."""

_Read = tuple[AgentConfig, tuple[ConfigFinding, ...]]


@dataclass(frozen=True, slots=True)
class ReadConfiguration:
    """A configuration that can be used: without the projects that it may not read, which are ``refused``."""

    config: AgentConfig
    warnings: tuple[ConfigFinding, ...] = ()
    refused: tuple[NotAllowed, ...] = ()


def config_path(agent_name: str) -> str:
    """Return where an agent's configuration stands in its configuration project."""
    return f".gitlab/agents/{agent_name}/config.yaml"


class ReadConfigurations:
    """Configurations by the content of their file: of thousands of agents most say the same, and none changes often.

    One that cannot be used is kept like one that can: whoever may ask would have it read anew each time.
    """

    def __init__(self, most: int = READ_BYTES) -> None:
        self._read: Bounded[tuple[str, str], tuple[int, _Read | ConfigError]] = Bounded(most, lambda one: one[0])

    def get(self, object_id: str, own_project: str) -> _Read | ConfigError | None:
        """Return what a file of that content says in an agent's configuration project; None if it was not read yet."""
        found = self._read.get((object_id, own_project))
        return None if found is None else found[1]

    def put(self, object_id: str, own_project: str, read: _Read | ConfigError, size: int) -> None:
        """Keep what a file of so many bytes says; the one that was wanted longest ago goes."""
        findings = read.findings if isinstance(read, ConfigError) else read[1]
        weight = max(size, _LEAST_BYTES) + len(findings) * _FINDING_BYTES
        self._read.put((object_id, own_project), (weight, read))


async def read_configuration(
    mirrors: Mirrors,
    identity: AgentIdentity,
    commit: str,
    limits: Limits,
    *,
    access: ProjectAccess,
    known: ReadConfigurations | None = None,
) -> ReadConfiguration | None:
    """Read the configuration at a commit; None where the file does not exist.

    Everything that an agent's configuration leads kas to goes through here, and so through ``access``.

    Args:
        mirrors: have the configuration project.
        identity: the agent.
        commit: of the configuration project.
        limits: what the file may hold.
        access: which projects it may name.
        known: those that were read before; all with the same limits.

    Raises:
        ConfigError: it cannot be used.
        GitError: it cannot be read.
    """
    path = config_path(identity.agent_name)
    mirror = mirrors.mirror(identity.project)
    file = await mirror.blob_at(commit, path)
    if file is None:
        return None
    read = known.get(file.object_id, identity.project) if known is not None else None
    if read is None:
        if file.size > MAX_CONFIG_BYTES:
            message = f"the file has {file.size} bytes; at most {MAX_CONFIG_BYTES} are read"
            raise ConfigError(path, (ConfigFinding("", 1, message),))
        data = (await mirror.blobs([file.object_id]))[file.object_id]
        try:
            read = parse_agent_config(data, path=path, own_project=identity.project, limits=limits)
        except ConfigError as error:
            # Another one: what was raised holds on to everything that was read.
            read = ConfigError(path, error.findings)
        if known is not None:
            known.put(file.object_id, identity.project, read, file.size)
    if isinstance(read, ConfigError):
        raise ConfigError(path, read.findings)
    config, warnings = read
    # Not kept: two agents may have the same file, and what is refused is said with its path.
    config, refused = held_to(access, config, own_project=identity.project, path=path)
    return ReadConfiguration(config, warnings, refused)


class Identifier:
    """Answers for the configuration of any agent."""

    def __init__(
        self,
        *,
        watcher: RefWatcher,
        mirrors: Mirrors,
        limits: Limits,
        known: ReadConfigurations,
        access: ProjectAccess = OWN_GROUP,
    ) -> None:
        self._watcher = watcher
        self._mirrors = mirrors
        self._limits = limits
        self._known = known
        self._access = access

    async def configuration(self, identity: AgentIdentity) -> wire.ConfigurationState | None:
        """Return how the newest configuration stands; None where that is not known in time."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                state = await self._newest(identity.project)
                return None if state is None else await self._judge(identity, state)
        except TimeoutError:
            return None

    async def _newest(self, project: str) -> RefState | None:
        async with self._watcher.subscribe(project, DEFAULT_BRANCH) as states:
            async for state in states:
                return state
        return None

    async def _judge(self, identity: AgentIdentity, state: RefState) -> wire.ConfigurationState:
        commit = state.commit or ""
        if state.error is not None:
            return wire.ConfigurationState(commit=commit, reason=state.error.reason, message=str(state.error))
        try:
            read = await read_configuration(
                self._mirrors, identity, commit, self._limits, access=self._access, known=self._known
            )
        except ConfigError as error:
            return wire.ConfigurationState(commit=commit, reason="InvalidConfiguration", message=str(error))
        except GitError as error:
            return wire.ConfigurationState(commit=commit, reason=error.reason, message=str(error))
        if read is None:
            message = (
                f"{config_path(identity.agent_name)} does not exist in {identity.project} at its default branch; "
                "create it to configure this agent"
            )
            return wire.ConfigurationState(commit=commit, reason="ConfigurationMissing", message=message)
        projects = [project.project for project in read.config.projects]
        if read.refused:
            message = "\n".join(map(str, read.refused))
            return wire.ConfigurationState(commit=commit, reason=NOT_ALLOWED, message=message, projects=projects)
        return wire.ConfigurationState(commit=commit, projects=projects)
