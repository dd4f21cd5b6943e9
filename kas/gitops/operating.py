"""What people order of agents, put together from configuration, Git and commands; who may is decided in kas.web."""

from __future__ import annotations

from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentlink.v1 import agentlink_pb2 as wire
from kas.desired.agent_config import ConfigError
from kas.desired.project_access import NOT_ALLOWED
from kas.git.errors import GitError
from kas.git.refs import GitRef, RefKind, is_commit_id
from kas.gitops.answers import Answered, answered
from kas.gitops.commands import Delivery, NotAnsweredError, Revision, new_command
from kas.gitops.following import ref_of, wanted_of
from kas.gitops.identify import config_path, read_configuration
from kas.rpc.sessions import AgentIdentity
from kas.store.records import SyncKind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from kas.desired.agent_config import ManifestProjectConfig
    from kas.git.history import CommitInfo
    from kas.gitops.commands import Commands
    from kas.gitops.identify import ReadConfiguration
    from kas.gitops.publisher import Publisher
    from kas.store.records import AgentRecord

COMMAND_SECONDS: Final = 20.0
"""How long an agent may take to answer what it can answer at once; people wait, and requests end at 30 s."""

_SHORTEST_ABBREVIATION: Final = 4
_KNOWN_SYNCS: Final = 1000
_SENT: Final = "a revision of this agent"


class OperationError(Exception):
    """Something cannot be done as it was asked for. ``reason`` is for programs, ``hint`` says what to do next."""

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.hint = hint


NOT_FOLLOWED: Final = "CommitNotFollowed"
"""The reason with which a commit is refused that is in no ref which the project could follow."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A revision that somebody wants to look at. ``name`` is what it was called, ``found`` where it was found."""

    name: str
    commit: str
    found: str


@dataclass(frozen=True, slots=True)
class DiffStarted:
    """A diff of one project is on its way. ``ref`` is what was asked for, in words; ``notes`` are for people."""

    project: str
    ref: str
    commit: str
    notes: tuple[str, ...]


class Operator:
    """Carries out what people order.

    Args:
        publisher: has mirrors, snapshots, store and holds.
        commands: reaches agents, wherever they are connected.
    """

    def __init__(self, publisher: Publisher, commands: Commands) -> None:
        self._publisher = publisher
        self._commands = commands

    async def _read(self, agent: AgentRecord) -> ReadConfiguration:
        """Return the configuration in force of an agent.

        Raises:
            OperationError: it has none that can be read.
        """
        publisher = self._publisher
        commit = await publisher.store.agents.config_commit(agent.id)
        read = None
        if commit:
            with suppress(ConfigError, GitError):
                read = await read_configuration(
                    publisher.mirrors,
                    _identity(agent),
                    commit,
                    publisher.limits,
                    access=publisher.access,
                    known=publisher.configurations,
                )
        if read is None:
            path = config_path(agent.name)
            raise OperationError(
                "NotConfigured",
                f"agent {agent.name} has no configuration that could be used yet",
                f"{path} in {agent.project} is read when the agent connects; `kas get syncs` says what is wrong",
            )
        return read

    async def projects(self, agent: AgentRecord) -> tuple[ManifestProjectConfig, ...]:
        """Return the manifest projects of an agent, without those that its configuration may not read.

        Raises:
            OperationError: it has no configuration in force.
        """
        return (await self._read(agent)).config.projects

    async def project(self, agent: AgentRecord, path: str) -> ManifestProjectConfig:
        """Return one manifest project of an agent.

        Raises:
            OperationError: it has none of that path, may not read it, or has no configuration in force.
        """
        read = await self._read(agent)
        projects = read.config.projects
        for project in projects:
            if project.project == path:
                return project
        for refused in read.refused:
            if refused.config.project == path:
                raise OperationError(NOT_ALLOWED, refused.message, refused.remedy)
        names = ", ".join(project.project for project in projects[:10]) or "none"
        raise OperationError(
            "NotFound", f"agent {agent.name} has no manifest project {path!r}", f"its configuration names: {names}"
        )

    async def holds_changed(self, agent: AgentRecord) -> None:
        """Tell the agent's streams what holds now."""
        await self._publisher.holds.refresh(agent.id)

    async def commits(self, project: str, ids: Sequence[str]) -> dict[str, CommitInfo]:
        """Return what commits say of themselves, as far as that costs nothing: of those that the mirror holds."""
        try:
            return await self._publisher.mirrors.mirror(project).commits(ids)
        except GitError:
            return {}

    async def overtaking(self, agent: AgentRecord, path: str, commit: str) -> str:
        """Return the revision that an agent was sent instead of a commit which is in its history; empty for none.

        Only the mirror is asked, which has what was pushed since a ref was first met. ``commit`` may be abbreviated.
        """
        store = self._publisher.store
        project_id = await store.projects.id_of(path)
        synced = await store.syncs.list(agent.id, project_id, newest_only=False, limit=_KNOWN_SYNCS)
        revisions = [sync for sync in synced if sync.kind is SyncKind.REVISION]
        if not revisions or any(sync.commit.startswith(commit) for sync in synced):
            return ""
        newest = max(revisions, key=lambda sync: sync.received_at).commit
        try:
            is_before = await self._publisher.mirrors.mirror(path).is_before(commit, newest)
        except GitError:
            return ""
        return newest if is_before else ""

    async def earlier(self, agent: AgentRecord, project: ManifestProjectConfig, text: str) -> str:
        """Return the commit to go back to, which can be used.

        It is one that this agent had, also abbreviated, or another one in the history of the project's ref.

        Raises:
            OperationError: there is none, or several begin so.
            GitError: the repository cannot be asked.
            ManifestError: nothing could be applied from it.
        """
        commit = await self._known(agent, project.project, text)
        if commit is None:
            commit = await self._from_history(agent, project, text)
        await self._publisher.mirrors.mirror(project.project).keep(commit)
        await self._publisher.snapshots.make(wanted_of(project), commit)
        return commit

    async def _from_history(self, agent: AgentRecord, project: ManifestProjectConfig, text: str) -> str:
        ref = ref_of(project)
        if not is_commit_id(text):
            raise OperationError(
                "NotFound",
                f"no revision of {project.project} on agent {agent.name} begins with {text[:64]!r}",
                "`kas history` lists those that were synced; write all 40 digits for another commit",
            )
        if not await self._publisher.mirrors.mirror(project.project).leads_to(ref, text):
            raise OperationError(
                "NotFound",
                f"commit {text} is not in the history of {ref} of {project.project}",
                "go back to a commit of that ref; `kas history` lists those that were synced",
            )
        return text

    async def reconcile(self, agent: AgentRecord, project_id: int, *, within: float = COMMAND_SECONDS) -> Answered:
        """Have an agent sync a project anew; it has so many seconds to answer.

        Raises:
            CommandError: it did not answer.
        """
        command = new_command(project_id, within=within)
        command.reconcile.SetInParent()
        return await self._ask(agent, command, within)

    async def confirm_prune(self, agent: AgentRecord, project_id: int, digest: bytes) -> Answered:
        """Have an agent carry out the prune that waits, if ``digest`` is still that of its objects.

        Raises:
            CommandError: it did not answer.
        """
        command = new_command(project_id, within=COMMAND_SECONDS)
        command.confirm_prune.objects_digest = digest
        return await self._ask(agent, command, COMMAND_SECONDS)

    async def diff(
        self, agent: AgentRecord, project: ManifestProjectConfig, chosen: Chosen, *, within: float
    ) -> AsyncGenerator[DiffStarted | Answered, None]:
        """Yield what a revision would change, as the agent finds it out; the last part is ``done``.

        What is selected, and how it would be applied, is as the configuration in force has it, whatever the revision.

        Args:
            agent: the agent.
            project: one of its projects.
            chosen: the revision.
            within: seconds that the agent may take.

        Raises:
            GitError: the repository cannot be read.
            ManifestError: the revision cannot be used.
            CommandError: the agent did not answer.
        """
        commit = chosen.commit
        revision = Revision(wanted_of(project), commit)
        await self._publisher.snapshots.make(revision.wanted, commit)
        yield DiffStarted(project.project, chosen.name, commit, await self._notes(agent, project, commit))
        project_id = await self._publisher.store.projects.id_of(project.project)
        command = new_command(project_id, within=within)
        command.diff.SetInParent()
        async with aclosing(self._commands.give(agent.id, Delivery(command, revision), within=within)) as parts:
            async for part in parts:
                yield answered(part)

    async def choose(
        self, agent: AgentRecord, project: ManifestProjectConfig, text: str | None, *, anywhere: bool = False
    ) -> Chosen:
        """Return the revision that somebody means, fetched.

        Whoever may open a merge request puts commits of their own on a server, where each can be fetched by its id. So
        one that is named by its id is one that the agent was sent, that a branch or tag of the project is at, or that
        is in the history of what the project follows.

        Args:
            agent: the agent.
            project: one of its projects.
            text: a branch, tag or commit; None for what the configuration names.
            anywhere: any other commit that the server has will do.

        Raises:
            OperationError: there is no such ref, or (``NOT_FOLLOWED``) none that may be looked at.
            GitError: the repository cannot be read.
        """
        mirror = self._publisher.mirrors.mirror(project.project)
        if text is None:
            configured = ref_of(project)
            return Chosen(str(configured), await mirror.fetch(configured), str(configured))
        if is_commit_id(text):
            found = await self._found_in(agent, project, text)
            if not found and not anywhere:
                raise OperationError(
                    NOT_FOLLOWED,
                    f"commit {text} is at the tip of no branch or tag of {project.project}, is not in the history of "
                    f"{ref_of(project)}, and is none that agent {agent.name} was sent",
                    "push it to a branch of the project and ask for that branch; only an administrator's token is "
                    "shown commits that the server has elsewhere, such as those of a fork's merge request",
                )
            await mirror.keep(text)
            return Chosen(f"commit {text}", text, found or "in no branch or tag")
        for kind in (RefKind.BRANCH, RefKind.TAG):
            ref = GitRef(kind, text)
            try:
                return Chosen(str(ref), await mirror.fetch(ref), str(ref))
            except GitError as error:
                if error.reason != "RefNotFound":
                    raise
        known = await self._known(agent, project.project, text)
        if known is None:
            raise OperationError(
                "RefNotFound",
                f"{project.project} has no branch or tag {text[:255]!r}, and no revision here begins so",
                "push it first, or write all 40 digits of a commit",
            )
        await mirror.keep(known)
        return Chosen(f"commit {known}", known, _SENT)

    async def _found_in(self, agent: AgentRecord, project: ManifestProjectConfig, commit: str) -> str:
        """Return in words where a commit is that may be looked at; empty for nowhere."""
        if await self._known(agent, project.project, commit) is not None:
            return _SENT
        mirror = self._publisher.mirrors.mirror(project.project)
        tip = await mirror.at_tip(commit)
        if tip is not None:
            return str(tip)
        ref = ref_of(project)
        return f"in the history of {ref}" if await mirror.leads_to(ref, commit) else ""

    async def _known(self, agent: AgentRecord, path: str, text: str) -> str | None:
        """Return the one commit of a project that this agent was sent, or that was refused for it, and that begins so.

        What was only reported, and kas has no note of, was reported to a kas before this one, which believed anything.
        """
        if len(text) < _SHORTEST_ABBREVIATION:
            return None
        store = self._publisher.store
        project_id = await store.projects.id_of(path)
        synced = await store.syncs.list(agent.id, project_id, newest_only=False, limit=_KNOWN_SYNCS)
        noted = [sync.commit for sync in synced if sync.ref]
        found = {commit for commit in noted if commit.startswith(text) and is_commit_id(commit)}
        if len(found) > 1:
            raise OperationError(
                "Ambiguous", f"{len(found)} revisions of {path} begin with {text[:40]!r}", "write more of its digits"
            )
        return next(iter(found), None)

    async def _notes(self, agent: AgentRecord, project: ManifestProjectConfig, commit: str) -> tuple[str, ...]:
        """Return what people should know before they read a diff."""
        if project.project != agent.project:
            return ()
        in_force = await self._publisher.store.agents.config_commit(agent.id)
        path = config_path(agent.name)
        if not in_force or await self._blob(agent.project, in_force, path) == await self._blob(
            agent.project, commit, path
        ):
            return ()
        return (f"{path} differs at this revision; the diff uses the configuration in force",)

    async def _blob(self, project: str, commit: str, path: str) -> str:
        file = await self._publisher.mirrors.mirror(project).blob_at(commit, path)
        return "" if file is None else file.object_id

    async def _ask(self, agent: AgentRecord, command: wire.Command, within: float) -> Answered:
        async with aclosing(self._commands.give(agent.id, Delivery(command), within=within)) as parts:
            objects: list[wire.ObjectDiff] = []
            async for part in parts:
                objects.extend(part.objects)
                if part.done:
                    whole = wire.AnswerRequest(reason=part.reason, message=part.message, done=True, objects=objects)
                    return answered(whole)
        raise NotAnsweredError("the agent's answer has no end")


def _identity(agent: AgentRecord) -> AgentIdentity:
    return AgentIdentity(agent.id, agent.name, agent.project, 0)
