"""From the messages of kas to whole snapshots: sans-I/O, messages in, events out.

A snapshot becomes visible only when all of it has arrived and its counts are right; until then the one before stays.
What was received survives reconnects, so that only differences travel.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agentk.apply.files import NO_FILES, Files
from agentk.apply.identity import Identity
from agentk.apply.model import (
    DriftPolicy,
    DryRun,
    HealthRule,
    IgnoreRule,
    InventoryPolicy,
    ProjectSettings,
    Propagation,
    PruneConfirmation,
    Refusal,
    SecretTargets,
    Snapshot,
    Suspension,
)
from agentlink.v1 import agentlink_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Mapping


class TransferError(Exception):
    """kas sent something that does not fit what this agent holds; a new connection with nothing held puts it right."""


@dataclass(frozen=True, slots=True)
class Configured:
    """A configuration in force: the agent's identity and every project it should drive."""

    agent_id: int
    agent_name: str
    commit: str
    log_level: str
    projects: tuple[ProjectSettings, ...]


@dataclass(frozen=True, slots=True)
class Received:
    """A snapshot has arrived whole; of its files only ``sent`` had to travel, the others were held here already."""

    snapshot: Snapshot
    sent: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Ordered:
    """Somebody wants something of this agent now."""

    command: wire.Command


@dataclass(frozen=True, slots=True)
class Accompanied:
    """The snapshot that goes with a command has arrived whole; it is not to be synced."""

    command_id: str
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Refused:
    """A snapshot does not fit the configuration and is not taken; ``snapshot`` has none of its files.

    ``command_id`` is that of the command that it goes with, empty for one that was to be synced.
    """

    snapshot: Snapshot
    refusal: Refusal
    command_id: str = ""


_COMMANDS_AT_ONCE = 8
"""Transfers for commands that may be arriving; kas gives no more, and one it gave up is never completed."""


class _Transfer:
    """A snapshot that is arriving."""

    def __init__(self, header: wire.SnapshotHeader, before: Files) -> None:
        self.header = header
        self.sent: dict[str, None] = {}
        self._files = before.changing()
        for path in header.removed_paths:
            self._files.remove(path)

    def add(self, file: wire.ManifestFile) -> None:
        path = file.path  # once: each time it is a text of its own
        self.sent[path] = None
        self._files.put(path, tuple(file.objects), more=file.continuation)

    def finish(self, digest: bytes) -> Snapshot:
        header, files = self.header, self._files.finish()
        if digest != header.digest or (len(files), files.objects) != (header.total_files, header.total_objects):
            raise TransferError(
                f"project {header.project_id} at {header.commit}: expected {header.total_files} files with "
                f"{header.total_objects} objects, got {len(files)} with {files.objects}"
            )
        selected_by = tuple(sorted(header.selected_by.items()))
        return replace(_named(header), digest=digest, files=files, selected_by=selected_by)


class Receiver:
    """Holds the newest whole snapshot of each project and puts arriving ones together."""

    def __init__(self) -> None:
        self._held: dict[int, Snapshot] = {}
        self._arriving: dict[int | str, _Transfer] = {}
        # The path of each project of the configuration, by its id; None before there is one.
        self._paths: Mapping[int, str] | None = None
        self._installation: str | None = None
        self._met = False

    @property
    def installation(self) -> str:
        """Return the installation of kas that what is held came from, empty where none was told."""
        return self._installation or ""

    @property
    def held(self) -> Mapping[int, Snapshot]:
        """Return the newest whole snapshot of each project, by its id."""
        return self._held

    def connected(self) -> list[wire.Holding]:
        """Forget half-arrived transfers and return what to tell kas that this agent holds."""
        self._arriving.clear()
        self._met = False
        return [
            wire.Holding(project_id=held.project_id, commit=held.commit, digest=held.digest)
            for held in self._held.values()
        ]

    def reset(self) -> None:
        """Hold nothing, so that the next connection gets everything anew."""
        self._held.clear()
        self._arriving.clear()

    def meet(self, message: wire.KasMessage) -> bool:
        """Learn from the first message of a connection which installation of kas speaks; for each, before ``feed``.

        Returns:
            Whether it is another one than what is held came from: all that was held is gone then, since numbers of
            projects mean something within one installation only.
        """
        if self._met:
            return False
        self._met = True
        # An older kas tells none: it may be any.
        told = message.welcome.installation_id
        another = self._installation not in {None, told}
        self._installation = told
        if another:
            self.reset()
            self._paths = None
        return another

    def feed(self, message: wire.KasMessage) -> Configured | Received | Ordered | Accompanied | Refused | None:
        """Take one message; return what it completes. Unknown messages, of a newer kas, are ignored.

        Raises:
            TransferError: The message does not fit; call ``reset`` and connect anew.
        """
        match message.WhichOneof("message"):
            case "configuration":
                return self._configure(message.configuration)
            case "snapshot_header":
                return self._begin(message.snapshot_header)
            case "snapshot_files":
                if transfer := self._arriving.get(_key(message.snapshot_files)):
                    for file in message.snapshot_files.files:
                        transfer.add(file)
            case "snapshot_complete":
                return self._complete(message.snapshot_complete)
            case "command":
                return Ordered(message.command)
            case _:
                pass
        return None

    def _configure(self, configuration: wire.Configuration) -> Configured:
        configured = configured_of(configuration)
        before, self._paths = self._paths or {}, {one.project_id: one.path for one in configured.projects}
        for project_id, held in list(self._held.items()):
            path = self._paths.get(project_id)
            if path is None or path != (held.project or before.get(project_id, path)):
                del self._held[project_id]
        return configured

    def _begin(self, header: wire.SnapshotHeader) -> Refused | None:
        refusal = self._refuse(header)
        if refusal is not None:
            self._arriving.pop(_key(header), None)
            return Refused(_named(header), refusal, header.command_id)
        before = NO_FILES
        if header.base_digest:
            held = self._held.get(header.project_id)
            if held is None or held.digest != header.base_digest:
                raise TransferError(f"project {header.project_id}: kas sent a difference to a snapshot not held here")
            before = Files.of(held.files)
        if header.command_id:
            given_up = [key for key in self._arriving if isinstance(key, str)][: 1 - _COMMANDS_AT_ONCE]
            for key in given_up:
                del self._arriving[key]
        self._arriving[_key(header)] = _Transfer(header, before)
        return None

    def _refuse(self, header: wire.SnapshotHeader) -> Refusal | None:
        """Return why a snapshot is not taken; of a kas that does not say whose it is, the number is believed."""
        path = self._paths.get(header.project_id) if self._paths is not None else None
        if not header.project or path is None or path == header.project:
            return None
        return Refusal(
            "SnapshotOfAnotherProject",
            f"kas sent a revision of project {header.project} under the id {header.project_id}, which its configuration"
            f" gives to {path}; nothing of it is applied. Restart kas, and where that changes nothing, report it",
        )

    def _complete(self, complete: wire.SnapshotComplete) -> Received | Accompanied | None:
        transfer = self._arriving.pop(_key(complete), None)
        if transfer is None:
            return None
        snapshot = transfer.finish(complete.digest)
        if complete.command_id:
            return Accompanied(complete.command_id, snapshot)
        self._held[complete.project_id] = snapshot
        return Received(snapshot, tuple(transfer.sent))


def _named(header: wire.SnapshotHeader) -> Snapshot:
    """Return the snapshot that a header names, without its files."""
    return Snapshot(header.project_id, header.commit, header.sync_id, header.digest, NO_FILES, header.project)


def _key(message: wire.SnapshotHeader | wire.SnapshotFiles | wire.SnapshotComplete) -> int | str:
    """Return what tells transfers apart: the project, whose newest alone counts, or the command it goes with."""
    return message.command_id or message.project_id


_LOG_LEVELS: Mapping[int, str] = {
    wire.LOG_LEVEL_DEBUG: "debug",
    wire.LOG_LEVEL_INFO: "info",
    wire.LOG_LEVEL_WARN: "warn",
    wire.LOG_LEVEL_ERROR: "error",
}
_DRY_RUN: Mapping[int, DryRun] = {
    wire.DRY_RUN_STRATEGY_UNSPECIFIED: DryRun.NONE,
    wire.DRY_RUN_STRATEGY_NONE: DryRun.NONE,
    wire.DRY_RUN_STRATEGY_CLIENT: DryRun.CLIENT,
    wire.DRY_RUN_STRATEGY_SERVER: DryRun.SERVER,
}
_PROPAGATION: Mapping[int, Propagation] = {
    wire.PROPAGATION_POLICY_UNSPECIFIED: Propagation.FOREGROUND,
    wire.PROPAGATION_POLICY_FOREGROUND: Propagation.FOREGROUND,
    wire.PROPAGATION_POLICY_BACKGROUND: Propagation.BACKGROUND,
}
_INVENTORY: Mapping[int, InventoryPolicy] = {
    wire.INVENTORY_POLICY_ADOPT_IF_NO_INVENTORY: InventoryPolicy.ADOPT_IF_NO_INVENTORY,
    wire.INVENTORY_POLICY_ADOPT_ALL: InventoryPolicy.ADOPT_ALL,
}

_DRIFT: Mapping[int, DriftPolicy] = {
    wire.DRIFT_POLICY_UNSPECIFIED: DriftPolicy.CORRECT,
    wire.DRIFT_POLICY_CORRECT: DriftPolicy.CORRECT,
    wire.DRIFT_POLICY_IGNORE: DriftPolicy.IGNORE,
}
_CONFIRMATION: Mapping[int, PruneConfirmation] = {
    wire.PRUNE_CONFIRMATION_UNSPECIFIED: PruneConfirmation.WHEN_LARGE,
    wire.PRUNE_CONFIRMATION_WHEN_LARGE: PruneConfirmation.WHEN_LARGE,
    wire.PRUNE_CONFIRMATION_NEVER: PruneConfirmation.NEVER,
}
_FROM_SECRETS: Mapping[int, SecretTargets] = {wire.MUTATION_FROM_SECRETS_ANY: SecretTargets.ANY}
_LARGE_PERCENT = 50
_WHOLE_PERCENT = 100

_NOWHERE = ("none at all",)
"""In the place of namespaces for a project that is confined to none: what no namespace can be called."""


def configured_of(configuration: wire.Configuration) -> Configured:
    """Read a configuration; a value that this version does not know counts as the careful default."""
    return Configured(
        agent_id=configuration.agent_id,
        agent_name=configuration.agent_name,
        commit=configuration.commit,
        log_level=_LOG_LEVELS.get(configuration.log_level, "info"),
        projects=tuple(_settings(configuration, project) for project in configuration.projects),
    )


def _settings(of: wire.Configuration, project: wire.ManifestProject) -> ProjectSettings:
    return ProjectSettings(
        project_id=project.id,
        path=project.path,
        inventory_id=f"{of.agent_id}-{project.id}",
        default_namespace=project.default_namespace or "default",
        dry_run=_DRY_RUN.get(project.dry_run_strategy, DryRun.CLIENT),
        prune=project.prune,
        propagation=_PROPAGATION.get(project.prune_propagation_policy, Propagation.ORPHAN),
        inventory_policy=_INVENTORY.get(project.inventory_policy, InventoryPolicy.MUST_MATCH),
        reconcile_timeout=project.reconcile_timeout.ToMilliseconds() / 1000,
        prune_timeout=project.prune_timeout.ToMilliseconds() / 1000,
        impersonate_user=project.impersonate_user,
        drift=_DRIFT.get(project.drift_policy, DriftPolicy.REPORT),
        ignore=tuple(
            IgnoreRule(tuple(rule.fields), rule.kind, rule.group, rule.namespace, rule.name) for rule in project.ignore
        ),
        force_conflicts=project.force_conflicts,
        recreate=project.recreate,
        suspension=_suspension(project.suspension) if project.HasField("suspension") else None,
        health_rules=tuple(HealthRule(rule.group, rule.kind, rule.current, rule.failed) for rule in project.health),
        prune_confirmation=_CONFIRMATION.get(project.prune_confirmation, PruneConfirmation.ALWAYS),
        prune_large_percent=_percent(project.prune_large_percent),
        allowed_namespaces=tuple(project.allowed_namespaces) or (_NOWHERE if project.confined else ()),
        mutation_from_secrets=_FROM_SECRETS.get(project.mutation_from_secrets, SecretTargets.SECRETS_ONLY),
        inventory_namespace=project.inventory_namespace,
        identity=_identity(of, project) if of.project else None,
    )


def _identity(of: wire.Configuration, project: wire.ManifestProject) -> Identity:
    ceded = (f"{of.agent_id}-{other.id}" for other in of.projects if project.path in other.former_paths)
    return Identity(project.path, of.project, of.agent_name, tuple(project.former_paths), tuple(ceded))


def _percent(said: int) -> int:
    """Return what share is large; one that cannot be counts as the smallest."""
    return said if 1 <= said <= _WHOLE_PERCENT else 1 if said else _LARGE_PERCENT


def _suspension(suspension: wire.Suspension) -> Suspension:
    until = suspension.until.ToJsonString() if suspension.HasField("until") else ""
    return Suspension(suspension.by, suspension.reason, until)
