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
    StrictInt,
    StrictStr,
    model_validator,
)

from agentlink.durations import parse_duration
from agentlink.expressions import Expression, ExpressionError
from kas.desired.references import RefSpec, RefSpecKind, checked_branch_or_tag, checked_commit, checked_project

LogLevel = Literal["debug", "info", "warn", "error"]
DryRunStrategy = Literal["none", "client", "server"]
PropagationPolicy = Literal["orphan", "foreground", "background"]
InventoryPolicy = Literal["must_match", "adopt_if_no_inventory", "adopt_all"]
DriftPolicy = Literal["correct", "report", "ignore"]
PruneConfirmation = Literal["when_large", "always", "never"]
MutationFromSecrets = Literal["secrets_only", "any"]

MAX_RULES = 200
"""Ignore rules, health rules and namespaces that one project may have, of each."""
MAX_FIELDS = 50
MAX_EXCLUDED = 100
"""Globs that one of ``paths`` may exclude."""

_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_NAME_LENGTH = 253

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")
_POINTER = re.compile(r"(?:/(?:[^/~\x00-\x1f]|~[01])+)+")
_POINTER_LENGTH = 512


def _digits(value: object) -> object:
    # A number is understood as the text that it is, so that the error says what is wrong with it.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _duration(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError("expected a duration such as 3600s or 1h30m")  # noqa: TRY004 - pydantic collects ValueErrors
    return parse_duration(value)


def _namespace(text: str) -> str:
    if not _NAMESPACE.fullmatch(text):
        raise ValueError("expected a namespace: at most 63 lower-case letters, digits and '-', not at the ends")
    return text


def _some(namespaces: list[str]) -> list[str]:
    if not namespaces:
        raise ValueError("names no namespace; name at least one, or leave the key out for every namespace")
    return namespaces


def _expression(text: str) -> str:
    try:
        Expression(text)
    except ExpressionError as error:
        raise ValueError(f"expected a CEL expression over self: {error}") from None
    return text


def _service_account(text: str) -> str:
    namespace, _, name = text.partition("/")
    if not _NAMESPACE.fullmatch(namespace) or len(name) > _NAME_LENGTH or not _SUBDOMAIN.fullmatch(name):
        raise ValueError("expected a service account as namespace/name")
    return text


def _kind(text: str) -> str:
    if not _KIND.fullmatch(text):
        raise ValueError("expected a kind such as Deployment")
    return text


def _group(text: str) -> str:
    if text and (len(text) > _NAME_LENGTH or not _SUBDOMAIN.fullmatch(text)):
        raise ValueError("expected an API group such as apps, without a version; the core group is empty")
    return text


def _pointer(text: str) -> str:
    if len(text) > _POINTER_LENGTH or not _POINTER.fullmatch(text):
        raise ValueError("expected a JSON pointer such as /spec/replicas")
    if text.split("/")[1] in {"apiVersion", "kind", "status"} or text in {"/metadata", "/metadata/name"}:
        raise ValueError("expected a field that a manifest may leave to others, such as /spec/replicas")
    return text


_Duration = Annotated[float, BeforeValidator(_duration)]
_Name = Annotated[StrictStr, AfterValidator(checked_branch_or_tag)]
_Commit = Annotated[StrictStr, AfterValidator(checked_commit)]
_Project = Annotated[StrictStr, BeforeValidator(_digits), AfterValidator(checked_project)]
_Namespace = Annotated[StrictStr, AfterValidator(_namespace)]
_Kind = Annotated[StrictStr, AfterValidator(_kind)]
_Group = Annotated[StrictStr, AfterValidator(_group)]
_Pointer = Annotated[StrictStr, AfterValidator(_pointer)]
_Expression = Annotated[StrictStr, AfterValidator(_expression)]
_SOME = Field(max_length=MAX_RULES, json_schema_extra={"minItems": 1})
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


def _list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class GlobPath(_Section):
    """One of ``paths``: files that match ``glob`` and none of ``exclude``, which may be one text."""

    glob: StrictStr
    exclude: Annotated[list[StrictStr], BeforeValidator(_list), Field(max_length=MAX_EXCLUDED)] = []


class Impersonate(_Section):
    """``impersonate``: on whose behalf a project's objects are read and written, as Kubernetes' impersonation."""

    service_account: _ServiceAccount


class Ignore(_Section):
    """One of ``ignore``: fields that are left to others. Without a selector it is about every object of the project."""

    kind: _Kind | None = None
    group: _Group | None = None
    namespace: _Namespace | None = None
    name: Annotated[StrictStr, Field(max_length=_NAME_LENGTH)] | None = None
    fields: Annotated[list[_Pointer], Field(min_length=1, max_length=MAX_FIELDS)]


class Health(_Section):
    """One of ``health``: when objects of a kind are current or failed, as CEL expressions over ``self``."""

    group: _Group = ""
    kind: _Kind
    current: _Expression | None = None
    failed: _Expression | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.current and not self.failed:
            raise ValueError("expected an expression as current, failed or both")
        return self


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
    drift: DriftPolicy = "correct"
    ignore: Annotated[list[Ignore], Field(max_length=MAX_RULES)] = []
    force_conflicts: StrictBool = False
    recreate: StrictBool = False
    suspend: StrictBool = False
    health: Annotated[list[Health], Field(max_length=MAX_RULES)] = []
    prune_confirmation: PruneConfirmation = "when_large"
    prune_large_percent: Annotated[StrictInt, Field(ge=1, le=100)] = 50
    allowed_namespaces: Annotated[list[_Namespace], AfterValidator(_some), _SOME] = []
    mutation_from_secrets: MutationFromSecrets = "secrets_only"
    inventory_namespace: _Namespace | None = None


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
