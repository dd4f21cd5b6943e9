"""What GitLab's ``config.yaml`` may hold, as pydantic models. ``agent_config`` turns them into frozen values."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    model_validator,
)

from kas.desired.durations import parse_duration
from kas.desired.references import RefSpec, RefSpecKind, checked_branch_or_tag, checked_commit, checked_project

LogLevel = Literal["debug", "info", "warn", "error"]
DryRunStrategy = Literal["none", "client", "server"]
PropagationPolicy = Literal["orphan", "foreground", "background"]
InventoryPolicy = Literal["must_match", "adopt_if_no_inventory", "adopt_all"]

_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_NAME_LENGTH = 253


def _duration(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError("expected a duration such as 3600s or 1h30m")  # noqa: TRY004 - pydantic collects ValueErrors
    return parse_duration(value)


def _namespace(text: str) -> str:
    if not _NAMESPACE.fullmatch(text):
        raise ValueError("expected a namespace: at most 63 lower-case letters, digits and '-', not at the ends")
    return text


def _service_account(text: str) -> str:
    namespace, _, name = text.partition("/")
    if not _NAMESPACE.fullmatch(namespace) or len(name) > _NAME_LENGTH or not _SUBDOMAIN.fullmatch(name):
        raise ValueError("expected a service account as namespace/name")
    return text


_Duration = Annotated[float, BeforeValidator(_duration)]
_Name = Annotated[StrictStr, AfterValidator(checked_branch_or_tag)]
_Commit = Annotated[StrictStr, AfterValidator(checked_commit)]
_Project = Annotated[StrictStr, AfterValidator(checked_project)]
_Namespace = Annotated[StrictStr, AfterValidator(_namespace)]
_ServiceAccount = Annotated[StrictStr, AfterValidator(_service_account)]


class _Section(BaseModel):
    """A mapping of the file. Keys that it does not know are kept, to warn of them."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Ref(_Section):
    """``ref``: at most one of its keys."""

    branch: _Name | None = None
    tag: _Name | None = None
    commit: _Commit | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if len([name for name in (self.branch, self.tag, self.commit) if name is not None]) > 1:
            raise ValueError("expected only one of branch, tag and commit")
        return self

    def spec(self) -> RefSpec:
        """Return what it says."""
        for kind, name in (
            (RefSpecKind.BRANCH, self.branch),
            (RefSpecKind.TAG, self.tag),
            (RefSpecKind.COMMIT, self.commit),
        ):
            if name is not None:
                return RefSpec(kind, name)
        return RefSpec()


class GlobPath(_Section):
    """One of ``paths``."""

    glob: StrictStr


class Impersonate(_Section):
    """``impersonate``: on whose behalf a project's objects are read and written, as Kubernetes' impersonation."""

    service_account: _ServiceAccount


class ManifestProject(_Section):
    """One of ``manifest_projects``."""

    id: _Project | None = None
    ref: Ref = Ref()
    default_namespace: _Namespace = "default"
    paths: list[GlobPath] = []
    reconcile_timeout: _Duration = 3600.0
    dry_run_strategy: DryRunStrategy = "none"
    prune: StrictBool = True
    prune_timeout: _Duration = 3600.0
    prune_propagation_policy: PropagationPolicy = "foreground"
    inventory_policy: InventoryPolicy = "must_match"
    impersonate: Impersonate | None = None


class GitOps(_Section):
    """``gitops``."""

    manifest_projects: list[ManifestProject] = []


class Logging(_Section):
    """``observability.logging``."""

    level: LogLevel = "info"
    grpc_level: LogLevel = "error"


class Observability(_Section):
    """``observability``."""

    logging: Logging = Logging()


class File(_Section):
    """The whole file."""

    gitops: GitOps = GitOps()
    observability: Observability = Observability()
    ci_access: dict[str, Any] = Field(default_factory=dict)
    user_access: dict[str, Any] = Field(default_factory=dict)
