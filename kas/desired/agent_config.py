"""GitLab's configuration of an agent, ``.gitlab/agents/<name>/config.yaml``, to values.

A file written for GitLab's agent 15 or 16 is read unchanged. Everything that is wrong in it is reported at once, each
with its key and line; what is unknown is a warning, because a configuration may be newer than this program, unless it
may be a protective key (``protective``). What the file may hold is in ``agent_schema``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from agentlink.manifests.documents import read_documents
from agentlink.manifests.model import ManifestError, printable_path
from agentlink.manifests.positions import key_order, lines_at
from kas.desired.agent_schema import (
    MAX_EXCLUDED,
    DriftPolicy,
    DryRunStrategy,
    File,
    Impersonate,
    InventoryPolicy,
    ManifestProject,
    MutationFromSecrets,
    PropagationPolicy,
    PruneConfirmation,
)
from kas.desired.globs import GlobError, check_glob, excluding
from kas.desired.protective import ENTRIES, is_looked_at, lost_protection, meant
from kas.desired.references import DEFAULT_BRANCH, RefSpec, bare_path
from kas.desired.select import DEFAULT_GLOBS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic_core import ErrorDetails

    from agentlink.manifests.documents import Document
    from agentlink.manifests.model import Limits
    from agentlink.manifests.positions import Path

MAX_CONFIG_BYTES = 128 * 1024
"""GitLab's own limit of this file."""
_MAX_NODES = 50_000
"""Values in it: more than 128 KiB of what has a meaning here. Checking each costs a hundred times its text."""
MAX_PROJECTS = 500
MAX_ALTERNATIVES = 5000
_MAX_SHOWN = 50
_MAX_FINDINGS = 1000
_UNQUOTED: Final = re.compile(rb"(?:glob|exclude): *\[?[*!]")
"""A glob that YAML takes for an alias or a tag."""

_EXPECTED = {
    "missing": "is missing",
    "string_type": "expected a string",
    "bool_type": "expected true or false",
    "list_type": "expected a list",
    "dict_type": "expected a mapping",
    "int_type": "expected a whole number",
    "model_type": "expected a mapping",
}


@dataclass(frozen=True, slots=True)
class IgnoreRule:
    """Fields, as JSON pointers, that are left to others. An empty selector matches every object."""

    fields: tuple[str, ...]
    kind: str = ""
    group: str = ""
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class HealthRule:
    """When objects of a kind are current or failed: CEL expressions, each empty where there is none."""

    group: str
    kind: str
    current: str = ""
    failed: str = ""


@dataclass(frozen=True, slots=True)
class ManifestProjectConfig:
    """One entry of ``gitops.manifest_projects``. Timeouts in seconds; 0 is not to wait.

    ``impersonate_user`` is a Kubernetes user name, empty for the agent itself; ``inventory_namespace`` is empty for the
    default one. ``line`` is where the entry names its project, from 1; an entry that has only moved is the same.
    """

    project: str
    ref: RefSpec = DEFAULT_BRANCH
    default_namespace: str = "default"
    globs: tuple[str, ...] = DEFAULT_GLOBS
    reconcile_timeout: float = 3600.0
    dry_run_strategy: DryRunStrategy = "none"
    prune: bool = True
    prune_timeout: float = 3600.0
    prune_propagation_policy: PropagationPolicy = "foreground"
    inventory_policy: InventoryPolicy = "must_match"
    impersonate_user: str = ""
    drift: DriftPolicy = "correct"
    ignore: tuple[IgnoreRule, ...] = ()
    force_conflicts: bool = False
    recreate: bool = False
    suspend: bool = False
    health: tuple[HealthRule, ...] = ()
    prune_confirmation: PruneConfirmation = "when_large"
    prune_large_percent: int = 50
    allowed_namespaces: tuple[str, ...] = ()
    mutation_from_secrets: MutationFromSecrets = "secrets_only"
    inventory_namespace: str = ""
    line: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """The whole configuration. ``ci_access`` and ``user_access`` are as the file has them."""

    projects: tuple[ManifestProjectConfig, ...] = ()
    log_level: str = "info"
    grpc_log_level: str = "error"
    ci_access: Mapping[str, object] = field(default_factory=dict)
    user_access: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConfigFinding:
    """Something to tell the author. ``key`` is like ``gitops.manifest_projects[0].ref``; lines count from 1."""

    key: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.key}: {self.message}" if self.key else f"line {self.line}: {self.message}"


class ConfigError(Exception):
    """A configuration that cannot be used: every error in it, by line. ``str()`` of it begins each with the path."""

    def __init__(self, path: str, findings: tuple[ConfigFinding, ...]) -> None:
        shown = [f"{path}: {finding}" for finding in findings[:_MAX_SHOWN]]
        if len(findings) > _MAX_SHOWN:
            shown.append(f"{path}: and {len(findings) - _MAX_SHOWN} more errors")
        super().__init__("\n".join(shown))
        self.path = path
        self.findings = findings


def parse_agent_config(
    data: bytes, *, path: str, own_project: str, limits: Limits
) -> tuple[AgentConfig, tuple[ConfigFinding, ...]]:
    """Return the configuration, and warnings about keys that mean nothing here.

    ``own_project`` is the configuration project, which an entry without ``id`` means.

    Raises:
        ConfigError: with everything that is wrong in the file.
    """
    path = printable_path(path)
    document = _read(data, path, limits)
    if document is None:
        return AgentConfig(), ()
    value = _without_nulls(document.value)
    if not isinstance(value, dict) or not isinstance(document.value, dict):
        raise ConfigError(path, (ConfigFinding("", document.line, "expected a mapping of settings"),))
    order = key_order(document.text, is_looked_at)
    errors = list(chain(lost_protection(document.value, order), _check_entries(value, own_project, limits)))
    if len(_entries(value)) > MAX_PROJECTS:
        raise ConfigError(path, _findings(document, errors))
    try:
        file = File.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        errors += [(detail["loc"], _expectation(detail)) for detail in details]
        raise ConfigError(path, _findings(document, errors)) from None
    if errors:
        raise ConfigError(path, _findings(document, errors))
    names = [(*ENTRIES, index, "id") for index in range(len(file.gitops.manifest_projects))]
    lines = lines_at(document.text, document.text_line, names, document.line)
    projects = tuple(
        _project(entry, own_project, lines[name])
        for name, entry in zip(names, file.gitops.manifest_projects, strict=True)
    )
    logging = file.observability.logging
    config = AgentConfig(projects, logging.level, logging.grpc_level, file.ci_access, file.user_access)
    return config, _findings(document, _unknown(file, ()))


def _read(data: bytes, path: str, limits: Limits) -> Document | None:
    """Return the one document of the file, None where it holds only comments."""
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError(path, (ConfigFinding("", 1, f"{len(data)} bytes; at most {MAX_CONFIG_BYTES} are read"),))
    try:
        bounds = replace(limits, yaml_nodes=min(limits.yaml_nodes, _MAX_NODES))
        documents = [document for document in read_documents(data, bounds) if document.value is not None]
    except ManifestError as error:
        written = data.splitlines()[error.line - 1 : error.line]
        hint = "; quote what begins with '*' or '!'" if written and _UNQUOTED.search(written[0]) else ""
        raise ConfigError(path, (ConfigFinding("", error.line, error.message + hint),)) from error.__cause__
    if len(documents) > 1:
        raise ConfigError(path, (ConfigFinding("", documents[1].line, "expected a single YAML document"),))
    return documents[0] if documents else None


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - JSON has no smaller type
    """Return the value without keys that say nothing; GitLab takes ``paths:`` for no ``paths``."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _project(entry: ManifestProject, own_project: str, line: int) -> ManifestProjectConfig:
    return ManifestProjectConfig(
        project=entry.id or own_project,
        ref=entry.ref.spec(),
        default_namespace=entry.default_namespace,
        globs=tuple(excluding(path.glob, path.exclude) for path in entry.paths) or DEFAULT_GLOBS,
        reconcile_timeout=entry.reconcile_timeout,
        dry_run_strategy=entry.dry_run_strategy,
        prune=entry.prune,
        prune_timeout=entry.prune_timeout,
        prune_propagation_policy=entry.prune_propagation_policy,
        inventory_policy=entry.inventory_policy,
        impersonate_user=_user(entry.impersonate),
        drift=entry.drift,
        ignore=tuple(
            IgnoreRule(tuple(rule.fields), rule.kind or "", rule.group or "", rule.namespace or "", rule.name or "")
            for rule in entry.ignore
        ),
        force_conflicts=entry.force_conflicts,
        recreate=entry.recreate,
        suspend=entry.suspend,
        health=tuple(HealthRule(rule.group, rule.kind, rule.current or "", rule.failed or "") for rule in entry.health),
        prune_confirmation=entry.prune_confirmation,
        prune_large_percent=entry.prune_large_percent,
        allowed_namespaces=tuple(entry.allowed_namespaces),
        inventory_namespace=entry.inventory_namespace or "",
        mutation_from_secrets=entry.mutation_from_secrets,
        line=line,
    )


def _user(impersonate: Impersonate | None) -> str:
    """Return what Kubernetes calls a service account as a user."""
    if impersonate is None:
        return ""
    namespace, _, name = impersonate.service_account.partition("/")
    return f"system:serviceaccount:{namespace}:{name}"


def _entries(value: dict[str, Any]) -> list[object]:
    gitops = value.get("gitops")
    entries = gitops.get("manifest_projects") if isinstance(gitops, dict) else None
    return entries if isinstance(entries, list) else []


def _check_entries(value: dict[str, Any], own_project: str, limits: Limits) -> Iterator[tuple[Path, str]]:
    """Yield what is wrong with the entries together; what is wrong with one alone, the schema finds."""
    where: Path = ENTRIES
    entries = _entries(value)
    if len(entries) > MAX_PROJECTS:
        yield where, f"{len(entries)} manifest projects; at most {MAX_PROJECTS} are allowed"
        return
    first: dict[str, int] = {}
    globs = _Globs()
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            continue
        project = entry.get("id", own_project)
        project = bare_path(project) if isinstance(project, str) else None
        if project is not None and first.setdefault(project, index) != index:
            yield (*where, index, "id"), f"the same project as entry {first[project] + 1}; put their paths together"
        paths = entry.get("paths")
        if isinstance(paths, list):
            if len(paths) > limits.paths:
                yield (*where, index, "paths"), f"{len(paths)} paths; at most {limits.paths} are allowed"
            for number, path in enumerate(paths[: limits.paths]):
                place = (*where, index, "paths", number)
                for key in ("glob", "exclude") if isinstance(path, dict) else ():
                    yield from globs.check(path.get(key), (*place, key))


class _Globs:
    """Checks globs, which cost time to expand and compile, and so how many there are together."""

    def __init__(self) -> None:
        self._left = MAX_ALTERNATIVES

    def check(self, glob: object, where: Path) -> Iterator[tuple[Path, str]]:
        if isinstance(glob, list):
            for number, one in enumerate(glob[:MAX_EXCLUDED]):
                yield from self.check(one, (*where, number))
            return
        if not isinstance(glob, str) or self._left < 0:
            return
        if glob.startswith("!"):
            yield where, "a glob cannot begin with '!': write what is not to match as `exclude`, beside `glob`"
            return
        try:
            self._left -= check_glob(glob)
        except GlobError as error:
            yield where, str(error)
        if self._left < 0:
            yield where, f"all globs of the file together may have {MAX_ALTERNATIVES} alternatives in braces"


def _expectation(detail: ErrorDetails) -> str:
    """Say what was expected, without the value that was found."""
    if detail["type"] == "literal_error":
        return f"expected {detail['ctx']['expected']}"
    return _EXPECTED.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")


def _unknown(model: BaseModel, where: Path) -> Iterator[tuple[Path, str]]:
    for number, key in enumerate(model.model_extra or ()):
        near = meant(key, type(model).model_fields) if number < _MAX_SHOWN else None
        yield (*where, key), f"unknown key, ignored; did you mean {near}?" if near else "unknown key, ignored"
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _unknown(value, (*where, name))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from _unknown(item, (*where, name, index))


def _findings(document: Document, found: Iterable[tuple[Path, str]]) -> tuple[ConfigFinding, ...]:
    """Return what was found, by line; of thousands the first."""
    some = list(islice(found, _MAX_FINDINGS))
    lines = lines_at(document.text, document.text_line, (where for where, _ in some), document.line)
    findings = [ConfigFinding(_key(where), lines[where], message) for where, message in some]
    return tuple(sorted(findings, key=lambda finding: finding.line))


def _key(where: Path) -> str:
    return printable_path("".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip("."))
