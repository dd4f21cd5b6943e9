"""The values that pass from snapshot to plan to outcomes. All frozen; none knows how anything is done.

Data moves one way: ``Snapshot`` (what Git says) and ``Live`` (what the cluster says) go into the planner, a ``Plan`` of
ordered actions comes out, the executor turns it into ``Outcome`` values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from agentk.apply.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentk.apply.bounds import Bounds
    from agentk.apply.identity import Identity
    from agentlink.refs import ObjectRef


class InventoryPolicy(StrEnum):
    """Which live objects a project may take, with cli-utils' meaning."""

    MUST_MATCH = "must_match"
    ADOPT_IF_NO_INVENTORY = "adopt_if_no_inventory"
    ADOPT_ALL = "adopt_all"


class DryRun(StrEnum):
    """How much of a plan is carried out."""

    NONE = "none"
    CLIENT = "client"
    SERVER = "server"


class Propagation(StrEnum):
    """What a delete does to dependants; the value is Kubernetes' own word."""

    FOREGROUND = "Foreground"
    BACKGROUND = "Background"
    ORPHAN = "Orphan"


class DriftPolicy(StrEnum):
    """What is done about changes that others make to our objects."""

    CORRECT = "correct"
    REPORT = "report"
    IGNORE = "ignore"


class SecretTargets(StrEnum):
    """Which objects may be filled from Secrets."""

    SECRETS_ONLY = "secrets_only"
    ANY = "any"


class PruneConfirmation(StrEnum):
    """Which prunes wait until somebody confirms them."""

    WHEN_LARGE = "when_large"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class IgnoreRule:
    """Fields, as JSON pointers, that the project leaves to others. An empty selector matches every object."""

    fields: tuple[str, ...]
    kind: str = ""
    group: str = ""
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class HealthRule:
    """When objects of a kind are current or failed: CEL expressions over ``self``, each empty where there is none."""

    group: str
    kind: str
    current: str = ""
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Suspension:
    """Why nothing is done for a project. ``by`` is empty when config.yaml says so; ``until`` is for people."""

    by: str = ""
    reason: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What config.yaml says about one manifest project. Timeouts in seconds.

    ``impersonate_user`` is the Kubernetes user on whose behalf its objects are read and written, empty for the agent
    itself. ``force_conflicts`` takes fields from other appliers too; ``recreate`` deletes and creates again what cannot
    be changed in place. ``allowed_namespaces``, where not empty, are all that the project may have objects in, and then
    no cluster-scoped ones. ``mutation_from_secrets`` are the objects that may be filled from Secrets.
    ``inventory_namespace`` is empty for the default one. ``identity`` is who the project is, None where kas does not
    tell the configuration project, and then ``inventory_id`` alone says which inventory is its own. ``number_id`` is
    the inventory id that the numbers make which kas gives now, empty where that is ``inventory_id``.
    """

    project_id: int
    path: str
    inventory_id: str
    default_namespace: str = "default"
    dry_run: DryRun = DryRun.NONE
    prune: bool = True
    propagation: Propagation = Propagation.FOREGROUND
    inventory_policy: InventoryPolicy = InventoryPolicy.MUST_MATCH
    reconcile_timeout: float = 3600.0
    prune_timeout: float = 3600.0
    impersonate_user: str = ""
    drift: DriftPolicy = DriftPolicy.CORRECT
    ignore: tuple[IgnoreRule, ...] = ()
    force_conflicts: bool = False
    recreate: bool = False
    suspension: Suspension | None = None
    health_rules: tuple[HealthRule, ...] = ()
    prune_confirmation: PruneConfirmation = PruneConfirmation.WHEN_LARGE
    prune_large_percent: int = 50
    allowed_namespaces: tuple[str, ...] = ()
    mutation_from_secrets: SecretTargets = SecretTargets.SECRETS_ONLY
    inventory_namespace: str = ""
    identity: Identity | None = None
    number_id: str = ""

    @property
    def inventory_home(self) -> str:
        """Return the namespace of the inventory."""
        return self.inventory_namespace or self.default_namespace


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One complete revision as kas sent it: for each file, its objects as JSON bytes with sorted keys.

    ``project`` is the project's path, empty where kas does not tell it.
    ``selected_by`` are keys of ``config.yaml`` that selected the files, each with a text that differs where it does.
    """

    project_id: int
    commit: str
    sync_id: str
    digest: bytes
    files: Mapping[str, tuple[bytes, ...]] = field(repr=False)
    project: str = ""
    selected_by: tuple[tuple[str, str], ...] = ()

    @property
    def objects(self) -> int:
        """Return how many objects it holds."""
        return Files.of(self.files).objects


@dataclass(frozen=True, slots=True)
class Kind:
    """How the API server serves one kind: ``plural`` is the path segment, ``version`` the one to talk in."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """Return what stands in a manifest's ``apiVersion``."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True)
class Mutation:
    """One field that is filled from another object just before applying.

    Paths as ``agentk.apply.jsonpath`` reads them. With a ``token`` only its occurrences in the target are replaced,
    otherwise the whole field is.
    """

    source: ObjectRef
    source_path: str
    target_path: str
    token: str = ""


@dataclass(frozen=True, slots=True)
class Ordering:
    """What an object's annotations say about when it is applied.

    ``depends_on`` must be healthy before, the sources of ``mutations`` among them; so must all objects of lower waves.
    """

    depends_on: tuple[ObjectRef, ...] = ()
    wave: int = 0
    mutations: tuple[Mutation, ...] = ()


@dataclass(frozen=True, slots=True)
class Traits:
    """What is asked for one object in its own annotations or by rules of the project, beyond what it holds.

    ``drift`` goes before the project's policy; ``force_conflicts`` and ``recreate`` add to its settings. ``left`` are
    fields, as pointers, that are left to others while the object exists: they are not in the body, and ``full`` is the
    body that has them, for creating it. ``scales`` is what this object, an autoscaler, scales; ``scaler`` is the
    autoscaler that this object's replicas are left to, ``controller`` says what else is left to a controller.
    """

    drift: DriftPolicy | None = None
    force_conflicts: bool = False
    recreate: bool = False
    left: tuple[str, ...] = ()
    full: bytes | None = field(default=None, repr=False)
    scales: ObjectRef | None = None
    scaler: str = ""
    controller: str = ""


@dataclass(frozen=True, slots=True)
class Desired:
    """One object as it is to be applied.

    ``body`` is the complete JSON to send, with namespace, our label and our annotation; None for nearly every object,
    which is object ``number`` of its file and made from that when it is sent (``bodies``). ``digest`` (8 bytes;
    an inventory has it as hex digits) is of the body, and equal digests mean that applying again would change nothing
    Git wants. ``defines`` are the kinds
    that are served once this object, a CRD, is established. ``ignore_mutation``: the manifest asks that the object be
    left as it was created. ``ordering`` is None where no annotation says anything, as for nearly every object;
    so is ``traits``.
    """

    ref: ObjectRef
    kind: Kind
    path: str
    body: bytes | None = field(repr=False)
    digest: bytes
    defines: tuple[Kind, ...] = ()
    ignore_mutation: bool = False
    ordering: Ordering | None = None
    traits: Traits | None = None
    number: int = 0


def given_body(desired: Desired) -> bytes:
    """Return the body of an object that carries it with it."""
    if desired.body is None:
        raise ValueError(f"{desired.ref} is to be made from its file")
    return desired.body


@dataclass(frozen=True, slots=True)
class Live:
    """What the planner needs to know of an object in the cluster; never the object itself.

    ``fingerprint`` (16 hex digits) is of the fields that we own (our ``managedFields`` entry), None when we own none.
    ``owner`` is the annotation ``config.k8s.io/owning-inventory``. ``appliers`` are other managers that used
    server-side apply on it. ``ordering`` is what its annotations say, by which it is deleted too. ``migrate``: others,
    whose ownership becomes ours, hold fields that we apply or would remove (see ``rules.migrate``). ``from_secrets``:
    it holds what a Secret was the source of, now or once, so that nothing of its content is told. ``inventory``: it has
    the label of an inventory.
    """

    ref: ObjectRef
    uid: str
    resource_version: str
    fingerprint: str | None = None
    owner: str | None = None
    labelled: bool = False
    keep_on_remove: bool = False
    ignore_mutation: bool = False
    deleting: bool = False
    appliers: frozenset[str] = frozenset()
    ordering: Ordering | None = None
    migrate: bool = False
    from_secrets: bool = False
    inventory: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """One object in the inventory. ``digest``, ``fingerprint`` and ``uid`` are empty until it was applied once."""

    ref: ObjectRef
    digest: str = ""
    fingerprint: str = ""
    uid: str = ""


class Why(StrEnum):
    """Why an object is applied."""

    NEW = "New"
    CHANGED = "Changed"
    DRIFTED = "Drifted"


class Drift(StrEnum):
    """What somebody else did to an object."""

    MISSING = "Missing"
    RECREATED = "Recreated"
    FIELDS_CHANGED = "FieldsChanged"
    LABEL_LOST = "LabelLost"
    OWNER_CHANGED = "OwnerChanged"


class Until(StrEnum):
    """What an object waits for in another one."""

    APPLIED = "applied"
    """That it is there: an object for its Namespace."""
    SERVED = "served"
    """That the kind it defines is served: a custom resource for its CustomResourceDefinition."""
    HEALTHY = "healthy"
    """That it is healthy as it was applied: what an annotation asks for."""


@dataclass(frozen=True, slots=True)
class Need:
    """One object that must have come so far before another is applied."""

    ref: ObjectRef
    until: Until


@dataclass(frozen=True, slots=True)
class Apply:
    """Apply one object server-side. ``force`` takes fields over from managers that set them by updating.

    ``live_version`` is the resourceVersion known before, so that an apply that changed nothing is recognised; None for
    an object that is not there. ``after`` is what must have been applied before, in this plan or another.
    ``settled``, for an object with fields from other objects, is the digest with which nothing need be sent.
    ``migrate``: first the ownership of others becomes ours. ``force_conflicts`` takes fields from other appliers too.
    ``drift`` is what is put back, ``explain``: find out who did it. ``rehearse``: only tell what drifted, and write
    nothing. ``recreate`` is the UID of the object that may be deleted if it cannot be changed, empty if none may; at
    that moment it must belong to the inventory ``owner``. ``from_secrets`` is that of the live object, or of what is to
    be sent.
    """

    desired: Desired
    why: Why
    force: bool
    live_version: str | None
    after: tuple[Need, ...] = ()
    settled: str = ""
    migrate: bool = False
    force_conflicts: bool = False
    drift: Drift | None = None
    explain: bool = False
    rehearse: bool = False
    recreate: str = ""
    from_secrets: bool = False
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Prune:
    """Delete one object that left Git, if it still has this UID and belongs to this owner, as in ``version``.

    ``after`` are objects of the same plan that must be gone before.
    """

    ref: ObjectRef
    kind: Kind
    uid: str
    propagation: Propagation
    owner: str
    version: str
    after: tuple[ObjectRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Release:
    """Let go of one object that left Git and stays, if it still has this UID and owner: it loses our marks."""

    ref: ObjectRef
    kind: Kind
    uid: str
    owner: str
    message: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rule says no. ``reason`` is a CamelCase word for programs, ``message`` a sentence for people."""

    reason: str
    message: str


class Result(StrEnum):
    """What became of one object."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    PRUNED = "pruned"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one object. ``reason`` is a CamelCase word for programs, ``message`` a sentence for people.

    ``digest``, ``fingerprint`` and ``uid`` are what the inventory records after a successful apply; empty where nothing
    was applied. ``live`` is the object as that apply left it, ahead of any watch.
    """

    ref: ObjectRef
    result: Result
    path: str = ""
    reason: str = ""
    message: str = ""
    digest: str = ""
    fingerprint: str = ""
    uid: str = ""
    resource_version: str = ""
    live: Live | None = None

    @property
    def told(self) -> Outcome:
        """Return what people are told of it, without the object: many are kept until a sync has ended."""
        return Outcome(self.ref, self.result, self.path, self.reason, self.message) if self.uid else self


@dataclass(frozen=True, slots=True)
class Stage:
    """Actions that may run side by side, apart from what each waits for; the next stage starts when ``applies`` ended.

    ``late`` are begun with the stage too and wait for another object's health: only the next wave waits for them.
    ``gate``, for the first stage of a wave: everything before has ended well, and these are healthy.
    """

    applies: tuple[Apply, ...]
    late: tuple[Apply, ...] = ()
    gate: tuple[ObjectRef, ...] = ()

    @property
    def actions(self) -> tuple[Apply, ...]:
        """Return everything that is applied in this stage."""
        return (*self.applies, *self.late)


@dataclass(frozen=True, slots=True)
class Plan:
    """What turning live into desired takes, decided before anything is done.

    ``stages`` in order; then, only if every apply succeeded, ``releases`` and ``prunes`` (a sequence of waves, each in
    parallel, the next when all objects of the one before are gone). ``decided`` holds the outcomes that need no action:
    unchanged, skipped, refused. Every object has exactly one outcome in the end, ``total`` of them. ``record`` is the
    inventory to write before the first action (every name that may exist from now on), None when it is already so.
    ``forget`` are recorded objects that are gone. ``proven``: the inventory is the project's. ``blocked``: nothing at
    all is done, and this is why. The timeouts are for one wait, in seconds; 0: as long as it takes. ``body_of`` tells
    what is sent for an object, ``bounds`` what one that is filled may take and become; None: nothing is filled.
    ``hidden`` hold what Secrets hold, so that nothing that the server says about them is passed on.
    """

    stages: tuple[Stage, ...] = ()
    prunes: tuple[tuple[Prune, ...], ...] = ()
    releases: tuple[Release, ...] = ()
    decided: tuple[Outcome, ...] = ()
    record: tuple[ObjectRef, ...] | None = None
    forget: tuple[ObjectRef, ...] = ()
    proven: bool = True
    total: int = 0
    blocked: Outcome | None = None
    dry_run: DryRun = DryRun.NONE
    reconcile_timeout: float = 0.0
    prune_timeout: float = 0.0
    body_of: Callable[[Desired], bytes] = field(default=given_body, repr=False, compare=False)
    bounds: Bounds | None = None
    hidden: frozenset[ObjectRef] = frozenset()
