import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LogLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_LEVEL_UNSPECIFIED: _ClassVar[LogLevel]
    LOG_LEVEL_DEBUG: _ClassVar[LogLevel]
    LOG_LEVEL_INFO: _ClassVar[LogLevel]
    LOG_LEVEL_WARN: _ClassVar[LogLevel]
    LOG_LEVEL_ERROR: _ClassVar[LogLevel]

class MutationFromSecrets(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MUTATION_FROM_SECRETS_UNSPECIFIED: _ClassVar[MutationFromSecrets]
    MUTATION_FROM_SECRETS_SECRETS_ONLY: _ClassVar[MutationFromSecrets]
    MUTATION_FROM_SECRETS_ANY: _ClassVar[MutationFromSecrets]

class DriftPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DRIFT_POLICY_UNSPECIFIED: _ClassVar[DriftPolicy]
    DRIFT_POLICY_CORRECT: _ClassVar[DriftPolicy]
    DRIFT_POLICY_REPORT: _ClassVar[DriftPolicy]
    DRIFT_POLICY_IGNORE: _ClassVar[DriftPolicy]

class PruneConfirmation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRUNE_CONFIRMATION_UNSPECIFIED: _ClassVar[PruneConfirmation]
    PRUNE_CONFIRMATION_WHEN_LARGE: _ClassVar[PruneConfirmation]
    PRUNE_CONFIRMATION_ALWAYS: _ClassVar[PruneConfirmation]
    PRUNE_CONFIRMATION_NEVER: _ClassVar[PruneConfirmation]

class DryRunStrategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DRY_RUN_STRATEGY_UNSPECIFIED: _ClassVar[DryRunStrategy]
    DRY_RUN_STRATEGY_NONE: _ClassVar[DryRunStrategy]
    DRY_RUN_STRATEGY_CLIENT: _ClassVar[DryRunStrategy]
    DRY_RUN_STRATEGY_SERVER: _ClassVar[DryRunStrategy]

class PropagationPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROPAGATION_POLICY_UNSPECIFIED: _ClassVar[PropagationPolicy]
    PROPAGATION_POLICY_FOREGROUND: _ClassVar[PropagationPolicy]
    PROPAGATION_POLICY_BACKGROUND: _ClassVar[PropagationPolicy]
    PROPAGATION_POLICY_ORPHAN: _ClassVar[PropagationPolicy]

class InventoryPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INVENTORY_POLICY_UNSPECIFIED: _ClassVar[InventoryPolicy]
    INVENTORY_POLICY_MUST_MATCH: _ClassVar[InventoryPolicy]
    INVENTORY_POLICY_ADOPT_IF_NO_INVENTORY: _ClassVar[InventoryPolicy]
    INVENTORY_POLICY_ADOPT_ALL: _ClassVar[InventoryPolicy]

class SyncState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SYNC_STATE_UNSPECIFIED: _ClassVar[SyncState]
    SYNC_STATE_RECEIVED: _ClassVar[SyncState]
    SYNC_STATE_APPLYING: _ClassVar[SyncState]
    SYNC_STATE_APPLIED: _ClassVar[SyncState]
    SYNC_STATE_HEALTHY: _ClassVar[SyncState]
    SYNC_STATE_FAILED: _ClassVar[SyncState]
    SYNC_STATE_STALLED: _ClassVar[SyncState]
    SYNC_STATE_SUPERSEDED: _ClassVar[SyncState]

class Result(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESULT_UNSPECIFIED: _ClassVar[Result]
    RESULT_CREATED: _ClassVar[Result]
    RESULT_CONFIGURED: _ClassVar[Result]
    RESULT_UNCHANGED: _ClassVar[Result]
    RESULT_PRUNED: _ClassVar[Result]
    RESULT_SKIPPED: _ClassVar[Result]
    RESULT_FAILED: _ClassVar[Result]

class Health(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HEALTH_UNSPECIFIED: _ClassVar[Health]
    HEALTH_CURRENT: _ClassVar[Health]
    HEALTH_IN_PROGRESS: _ClassVar[Health]
    HEALTH_FAILED: _ClassVar[Health]
    HEALTH_TERMINATING: _ClassVar[Health]
    HEALTH_NOT_FOUND: _ClassVar[Health]
    HEALTH_UNKNOWN: _ClassVar[Health]
LOG_LEVEL_UNSPECIFIED: LogLevel
LOG_LEVEL_DEBUG: LogLevel
LOG_LEVEL_INFO: LogLevel
LOG_LEVEL_WARN: LogLevel
LOG_LEVEL_ERROR: LogLevel
MUTATION_FROM_SECRETS_UNSPECIFIED: MutationFromSecrets
MUTATION_FROM_SECRETS_SECRETS_ONLY: MutationFromSecrets
MUTATION_FROM_SECRETS_ANY: MutationFromSecrets
DRIFT_POLICY_UNSPECIFIED: DriftPolicy
DRIFT_POLICY_CORRECT: DriftPolicy
DRIFT_POLICY_REPORT: DriftPolicy
DRIFT_POLICY_IGNORE: DriftPolicy
PRUNE_CONFIRMATION_UNSPECIFIED: PruneConfirmation
PRUNE_CONFIRMATION_WHEN_LARGE: PruneConfirmation
PRUNE_CONFIRMATION_ALWAYS: PruneConfirmation
PRUNE_CONFIRMATION_NEVER: PruneConfirmation
DRY_RUN_STRATEGY_UNSPECIFIED: DryRunStrategy
DRY_RUN_STRATEGY_NONE: DryRunStrategy
DRY_RUN_STRATEGY_CLIENT: DryRunStrategy
DRY_RUN_STRATEGY_SERVER: DryRunStrategy
PROPAGATION_POLICY_UNSPECIFIED: PropagationPolicy
PROPAGATION_POLICY_FOREGROUND: PropagationPolicy
PROPAGATION_POLICY_BACKGROUND: PropagationPolicy
PROPAGATION_POLICY_ORPHAN: PropagationPolicy
INVENTORY_POLICY_UNSPECIFIED: InventoryPolicy
INVENTORY_POLICY_MUST_MATCH: InventoryPolicy
INVENTORY_POLICY_ADOPT_IF_NO_INVENTORY: InventoryPolicy
INVENTORY_POLICY_ADOPT_ALL: InventoryPolicy
SYNC_STATE_UNSPECIFIED: SyncState
SYNC_STATE_RECEIVED: SyncState
SYNC_STATE_APPLYING: SyncState
SYNC_STATE_APPLIED: SyncState
SYNC_STATE_HEALTHY: SyncState
SYNC_STATE_FAILED: SyncState
SYNC_STATE_STALLED: SyncState
SYNC_STATE_SUPERSEDED: SyncState
RESULT_UNSPECIFIED: Result
RESULT_CREATED: Result
RESULT_CONFIGURED: Result
RESULT_UNCHANGED: Result
RESULT_PRUNED: Result
RESULT_SKIPPED: Result
RESULT_FAILED: Result
HEALTH_UNSPECIFIED: Health
HEALTH_CURRENT: Health
HEALTH_IN_PROGRESS: Health
HEALTH_FAILED: Health
HEALTH_TERMINATING: Health
HEALTH_NOT_FOUND: Health
HEALTH_UNKNOWN: Health

class AgentMessage(_message.Message):
    __slots__ = ("hello",)
    HELLO_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("meta", "holding", "capabilities", "installation_id")
    META_FIELD_NUMBER: _ClassVar[int]
    HOLDING_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    INSTALLATION_ID_FIELD_NUMBER: _ClassVar[int]
    meta: AgentMeta
    holding: _containers.RepeatedCompositeFieldContainer[Holding]
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    installation_id: str
    def __init__(self, meta: _Optional[_Union[AgentMeta, _Mapping]] = ..., holding: _Optional[_Iterable[_Union[Holding, _Mapping]]] = ..., capabilities: _Optional[_Iterable[str]] = ..., installation_id: _Optional[str] = ...) -> None: ...

class AgentMeta(_message.Message):
    __slots__ = ("version", "commit", "pod_namespace", "pod_name", "kubernetes_version", "instance_id")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    POD_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    POD_NAME_FIELD_NUMBER: _ClassVar[int]
    KUBERNETES_VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    version: str
    commit: str
    pod_namespace: str
    pod_name: str
    kubernetes_version: str
    instance_id: str
    def __init__(self, version: _Optional[str] = ..., commit: _Optional[str] = ..., pod_namespace: _Optional[str] = ..., pod_name: _Optional[str] = ..., kubernetes_version: _Optional[str] = ..., instance_id: _Optional[str] = ...) -> None: ...

class Holding(_message.Message):
    __slots__ = ("project_id", "commit", "digest")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    project_id: int
    commit: str
    digest: bytes
    def __init__(self, project_id: _Optional[int] = ..., commit: _Optional[str] = ..., digest: _Optional[bytes] = ...) -> None: ...

class KasMessage(_message.Message):
    __slots__ = ("configuration", "snapshot_header", "snapshot_files", "snapshot_complete", "command", "moving", "welcome")
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_HEADER_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FILES_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    MOVING_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    configuration: Configuration
    snapshot_header: SnapshotHeader
    snapshot_files: SnapshotFiles
    snapshot_complete: SnapshotComplete
    command: Command
    moving: Moving
    welcome: Welcome
    def __init__(self, configuration: _Optional[_Union[Configuration, _Mapping]] = ..., snapshot_header: _Optional[_Union[SnapshotHeader, _Mapping]] = ..., snapshot_files: _Optional[_Union[SnapshotFiles, _Mapping]] = ..., snapshot_complete: _Optional[_Union[SnapshotComplete, _Mapping]] = ..., command: _Optional[_Union[Command, _Mapping]] = ..., moving: _Optional[_Union[Moving, _Mapping]] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("installation_id",)
    INSTALLATION_ID_FIELD_NUMBER: _ClassVar[int]
    installation_id: str
    def __init__(self, installation_id: _Optional[str] = ...) -> None: ...

class Moving(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Configuration(_message.Message):
    __slots__ = ("agent_id", "agent_name", "commit", "log_level", "projects", "project")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    LOG_LEVEL_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    agent_id: int
    agent_name: str
    commit: str
    log_level: LogLevel
    projects: _containers.RepeatedCompositeFieldContainer[ManifestProject]
    project: str
    def __init__(self, agent_id: _Optional[int] = ..., agent_name: _Optional[str] = ..., commit: _Optional[str] = ..., log_level: _Optional[_Union[LogLevel, str]] = ..., projects: _Optional[_Iterable[_Union[ManifestProject, _Mapping]]] = ..., project: _Optional[str] = ...) -> None: ...

class ManifestProject(_message.Message):
    __slots__ = ("id", "path", "default_namespace", "reconcile_timeout", "dry_run_strategy", "prune", "prune_timeout", "prune_propagation_policy", "inventory_policy", "impersonate_user", "drift_policy", "ignore", "force_conflicts", "recreate", "suspension", "health", "prune_confirmation", "prune_large_percent", "allowed_namespaces", "inventory_namespace", "confined", "mutation_from_secrets", "former_paths")
    ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    RECONCILE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_STRATEGY_FIELD_NUMBER: _ClassVar[int]
    PRUNE_FIELD_NUMBER: _ClassVar[int]
    PRUNE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    PRUNE_PROPAGATION_POLICY_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_POLICY_FIELD_NUMBER: _ClassVar[int]
    IMPERSONATE_USER_FIELD_NUMBER: _ClassVar[int]
    DRIFT_POLICY_FIELD_NUMBER: _ClassVar[int]
    IGNORE_FIELD_NUMBER: _ClassVar[int]
    FORCE_CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    RECREATE_FIELD_NUMBER: _ClassVar[int]
    SUSPENSION_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    PRUNE_CONFIRMATION_FIELD_NUMBER: _ClassVar[int]
    PRUNE_LARGE_PERCENT_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_NAMESPACES_FIELD_NUMBER: _ClassVar[int]
    INVENTORY_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONFINED_FIELD_NUMBER: _ClassVar[int]
    MUTATION_FROM_SECRETS_FIELD_NUMBER: _ClassVar[int]
    FORMER_PATHS_FIELD_NUMBER: _ClassVar[int]
    id: int
    path: str
    default_namespace: str
    reconcile_timeout: _duration_pb2.Duration
    dry_run_strategy: DryRunStrategy
    prune: bool
    prune_timeout: _duration_pb2.Duration
    prune_propagation_policy: PropagationPolicy
    inventory_policy: InventoryPolicy
    impersonate_user: str
    drift_policy: DriftPolicy
    ignore: _containers.RepeatedCompositeFieldContainer[IgnoreRule]
    force_conflicts: bool
    recreate: bool
    suspension: Suspension
    health: _containers.RepeatedCompositeFieldContainer[HealthRule]
    prune_confirmation: PruneConfirmation
    prune_large_percent: int
    allowed_namespaces: _containers.RepeatedScalarFieldContainer[str]
    inventory_namespace: str
    confined: bool
    mutation_from_secrets: MutationFromSecrets
    former_paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[int] = ..., path: _Optional[str] = ..., default_namespace: _Optional[str] = ..., reconcile_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., dry_run_strategy: _Optional[_Union[DryRunStrategy, str]] = ..., prune: _Optional[bool] = ..., prune_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., prune_propagation_policy: _Optional[_Union[PropagationPolicy, str]] = ..., inventory_policy: _Optional[_Union[InventoryPolicy, str]] = ..., impersonate_user: _Optional[str] = ..., drift_policy: _Optional[_Union[DriftPolicy, str]] = ..., ignore: _Optional[_Iterable[_Union[IgnoreRule, _Mapping]]] = ..., force_conflicts: _Optional[bool] = ..., recreate: _Optional[bool] = ..., suspension: _Optional[_Union[Suspension, _Mapping]] = ..., health: _Optional[_Iterable[_Union[HealthRule, _Mapping]]] = ..., prune_confirmation: _Optional[_Union[PruneConfirmation, str]] = ..., prune_large_percent: _Optional[int] = ..., allowed_namespaces: _Optional[_Iterable[str]] = ..., inventory_namespace: _Optional[str] = ..., confined: _Optional[bool] = ..., mutation_from_secrets: _Optional[_Union[MutationFromSecrets, str]] = ..., former_paths: _Optional[_Iterable[str]] = ...) -> None: ...

class IgnoreRule(_message.Message):
    __slots__ = ("group", "kind", "namespace", "name", "fields")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    group: str
    kind: str
    namespace: str
    name: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, group: _Optional[str] = ..., kind: _Optional[str] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ...) -> None: ...

class Suspension(_message.Message):
    __slots__ = ("by", "reason", "until")
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    by: str
    reason: str
    until: _timestamp_pb2.Timestamp
    def __init__(self, by: _Optional[str] = ..., reason: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class HealthRule(_message.Message):
    __slots__ = ("group", "kind", "current", "failed")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    group: str
    kind: str
    current: str
    failed: str
    def __init__(self, group: _Optional[str] = ..., kind: _Optional[str] = ..., current: _Optional[str] = ..., failed: _Optional[str] = ...) -> None: ...

class SnapshotHeader(_message.Message):
    __slots__ = ("project_id", "commit", "sync_id", "digest", "base_digest", "removed_paths", "total_files", "total_objects", "received_at", "command_id", "project", "selected_by")
    class SelectedByEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    BASE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REMOVED_PATHS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FILES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_OBJECTS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SELECTED_BY_FIELD_NUMBER: _ClassVar[int]
    project_id: int
    commit: str
    sync_id: str
    digest: bytes
    base_digest: bytes
    removed_paths: _containers.RepeatedScalarFieldContainer[str]
    total_files: int
    total_objects: int
    received_at: _timestamp_pb2.Timestamp
    command_id: str
    project: str
    selected_by: _containers.ScalarMap[str, str]
    def __init__(self, project_id: _Optional[int] = ..., commit: _Optional[str] = ..., sync_id: _Optional[str] = ..., digest: _Optional[bytes] = ..., base_digest: _Optional[bytes] = ..., removed_paths: _Optional[_Iterable[str]] = ..., total_files: _Optional[int] = ..., total_objects: _Optional[int] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., command_id: _Optional[str] = ..., project: _Optional[str] = ..., selected_by: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SnapshotFiles(_message.Message):
    __slots__ = ("project_id", "files", "command_id")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    project_id: int
    files: _containers.RepeatedCompositeFieldContainer[ManifestFile]
    command_id: str
    def __init__(self, project_id: _Optional[int] = ..., files: _Optional[_Iterable[_Union[ManifestFile, _Mapping]]] = ..., command_id: _Optional[str] = ...) -> None: ...

class ManifestFile(_message.Message):
    __slots__ = ("path", "objects", "continuation")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    CONTINUATION_FIELD_NUMBER: _ClassVar[int]
    path: str
    objects: _containers.RepeatedScalarFieldContainer[bytes]
    continuation: bool
    def __init__(self, path: _Optional[str] = ..., objects: _Optional[_Iterable[bytes]] = ..., continuation: _Optional[bool] = ...) -> None: ...

class SnapshotComplete(_message.Message):
    __slots__ = ("project_id", "digest", "command_id")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    project_id: int
    digest: bytes
    command_id: str
    def __init__(self, project_id: _Optional[int] = ..., digest: _Optional[bytes] = ..., command_id: _Optional[str] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("id", "project_id", "timeout", "reconcile", "confirm_prune", "diff")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    RECONCILE_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_PRUNE_FIELD_NUMBER: _ClassVar[int]
    DIFF_FIELD_NUMBER: _ClassVar[int]
    id: str
    project_id: int
    timeout: _duration_pb2.Duration
    reconcile: Reconcile
    confirm_prune: ConfirmPrune
    diff: Diff
    def __init__(self, id: _Optional[str] = ..., project_id: _Optional[int] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reconcile: _Optional[_Union[Reconcile, _Mapping]] = ..., confirm_prune: _Optional[_Union[ConfirmPrune, _Mapping]] = ..., diff: _Optional[_Union[Diff, _Mapping]] = ...) -> None: ...

class Reconcile(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ConfirmPrune(_message.Message):
    __slots__ = ("objects_digest",)
    OBJECTS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    objects_digest: bytes
    def __init__(self, objects_digest: _Optional[bytes] = ...) -> None: ...

class Diff(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AnswerRequest(_message.Message):
    __slots__ = ("command_id", "objects", "done", "reason", "message", "counts")
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    command_id: str
    objects: _containers.RepeatedCompositeFieldContainer[ObjectDiff]
    done: bool
    reason: str
    message: str
    counts: SyncCounts
    def __init__(self, command_id: _Optional[str] = ..., objects: _Optional[_Iterable[_Union[ObjectDiff, _Mapping]]] = ..., done: _Optional[bool] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., counts: _Optional[_Union[SyncCounts, _Mapping]] = ...) -> None: ...

class AnswerResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ObjectDiff(_message.Message):
    __slots__ = ("object", "result", "reason", "message", "path", "fields")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    object: ObjectRef
    result: Result
    reason: str
    message: str
    path: str
    fields: _containers.RepeatedCompositeFieldContainer[FieldDiff]
    def __init__(self, object: _Optional[_Union[ObjectRef, _Mapping]] = ..., result: _Optional[_Union[Result, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., path: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[FieldDiff, _Mapping]]] = ...) -> None: ...

class FieldDiff(_message.Message):
    __slots__ = ("path", "before", "after")
    PATH_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    path: str
    before: str
    after: str
    def __init__(self, path: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class ReportRequest(_message.Message):
    __slots__ = ("reports",)
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    reports: _containers.RepeatedCompositeFieldContainer[Report]
    def __init__(self, reports: _Optional[_Iterable[_Union[Report, _Mapping]]] = ...) -> None: ...

class ReportResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Report(_message.Message):
    __slots__ = ("id", "at", "sync", "outcomes", "event")
    ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    SYNC_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    at: _timestamp_pb2.Timestamp
    sync: SyncReport
    outcomes: OutcomesReport
    event: EventReport
    def __init__(self, id: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sync: _Optional[_Union[SyncReport, _Mapping]] = ..., outcomes: _Optional[_Union[OutcomesReport, _Mapping]] = ..., event: _Optional[_Union[EventReport, _Mapping]] = ...) -> None: ...

class SyncReport(_message.Message):
    __slots__ = ("sync_id", "project_id", "commit", "state", "reason", "message", "counts")
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    sync_id: str
    project_id: int
    commit: str
    state: SyncState
    reason: str
    message: str
    counts: SyncCounts
    def __init__(self, sync_id: _Optional[str] = ..., project_id: _Optional[int] = ..., commit: _Optional[str] = ..., state: _Optional[_Union[SyncState, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., counts: _Optional[_Union[SyncCounts, _Mapping]] = ...) -> None: ...

class SyncCounts(_message.Message):
    __slots__ = ("total", "created", "configured", "unchanged", "pruned", "skipped", "failed")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    CONFIGURED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    PRUNED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    total: int
    created: int
    configured: int
    unchanged: int
    pruned: int
    skipped: int
    failed: int
    def __init__(self, total: _Optional[int] = ..., created: _Optional[int] = ..., configured: _Optional[int] = ..., unchanged: _Optional[int] = ..., pruned: _Optional[int] = ..., skipped: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class OutcomesReport(_message.Message):
    __slots__ = ("sync_id", "project_id", "outcomes")
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    sync_id: str
    project_id: int
    outcomes: _containers.RepeatedCompositeFieldContainer[ObjectOutcome]
    def __init__(self, sync_id: _Optional[str] = ..., project_id: _Optional[int] = ..., outcomes: _Optional[_Iterable[_Union[ObjectOutcome, _Mapping]]] = ...) -> None: ...

class ObjectRef(_message.Message):
    __slots__ = ("group", "kind", "namespace", "name")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    group: str
    kind: str
    namespace: str
    name: str
    def __init__(self, group: _Optional[str] = ..., kind: _Optional[str] = ..., namespace: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class ObjectOutcome(_message.Message):
    __slots__ = ("object", "result", "health", "reason", "message", "path")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    object: ObjectRef
    result: Result
    health: Health
    reason: str
    message: str
    path: str
    def __init__(self, object: _Optional[_Union[ObjectRef, _Mapping]] = ..., result: _Optional[_Union[Result, str]] = ..., health: _Optional[_Union[Health, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...

class EventReport(_message.Message):
    __slots__ = ("project_id", "sync_id", "type", "reason", "message", "object")
    PROJECT_ID_FIELD_NUMBER: _ClassVar[int]
    SYNC_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    project_id: int
    sync_id: str
    type: str
    reason: str
    message: str
    object: ObjectRef
    def __init__(self, project_id: _Optional[int] = ..., sync_id: _Optional[str] = ..., type: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., object: _Optional[_Union[ObjectRef, _Mapping]] = ...) -> None: ...

class IdentifyRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class IdentifyResponse(_message.Message):
    __slots__ = ("agent_id", "agent_name", "project", "configuration")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    agent_id: int
    agent_name: str
    project: str
    configuration: ConfigurationState
    def __init__(self, agent_id: _Optional[int] = ..., agent_name: _Optional[str] = ..., project: _Optional[str] = ..., configuration: _Optional[_Union[ConfigurationState, _Mapping]] = ...) -> None: ...

class ConfigurationState(_message.Message):
    __slots__ = ("commit", "reason", "message", "projects")
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    commit: str
    reason: str
    message: str
    projects: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, commit: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., projects: _Optional[_Iterable[str]] = ...) -> None: ...
