"""From a snapshot to the objects as they are to be applied. Pure.

This is where a manifest meets what the cluster knows of its kind: the namespace is filled in or dropped, our label and
annotation are added, and what only a server may write is taken out. Whether an object is applied at all, and when, is
``plan``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from operator import attrgetter
from sys import intern
from typing import TYPE_CHECKING, Any

import orjson

from agentk.apply.bodies import Basis, Bodies, complete
from agentk.apply.bounds import Bounds
from agentk.apply.files import NO_FILES, Files
from agentk.apply.kinds import KindsWithDefined, defined_by
from agentk.apply.model import Desired, Kind, Outcome, ProjectSettings, Result, SecretTargets, given_body
from agentk.apply.names import LIFECYCLE_MUTATION, LIFECYCLE_MUTATION_IGNORE
from agentk.apply.rules.annotated import read_ordering
from agentk.apply.rules.depend import InvalidOrderError
from agentk.apply.rules.manifest import refuse_manifest
from agentk.apply.rules.own import NOTHING_OWN
from agentk.apply.rules.reach import refuse_reach
from agentk.apply.rules.unappliable import refuse_kind
from agentk.apply.traits import InvalidTraitError, traits_of, written
from agentlink.refs import ObjectRef, group_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agentk.apply.kinds import Kinds
    from agentk.apply.model import Snapshot
    from agentk.apply.rules.own import OwnObjects


@dataclass(frozen=True, slots=True)
class Resolved:
    """A snapshot against the cluster's kinds.

    ``desired`` in the order of the files; ``refused`` are failed outcomes of objects that cannot be applied, while
    the others go on. ``blocked``: the revision contradicts itself, and nothing of it may be applied. ``sources``, the
    files of the snapshot, and ``basis`` make bodies again, and let the next revision take over what did not change (see
    ``resolve``).
    """

    desired: tuple[Desired, ...]
    refused: tuple[Outcome, ...] = ()
    blocked: Outcome | None = None
    basis: Basis | None = None
    sources: Files = field(default_factory=lambda: NO_FILES, repr=False)

    @property
    def empty(self) -> bool:
        """Whether the snapshot held no object at all."""
        return not self.desired and not self.refused

    @property
    def body_of(self) -> Callable[[Desired], bytes]:
        """Return what tells what is sent for each of the objects."""
        return Bodies(self.sources, self.basis) if self.basis is not None else given_body


def resolve(
    snapshot: Snapshot,
    settings: ProjectSettings,
    kinds: Kinds,
    agent_id: int,
    previous: Resolved | None = None,
    *,
    own: OwnObjects = NOTHING_OWN,
) -> Resolved:
    """Turn a snapshot into the objects to apply.

    Kinds that CRDs of the same snapshot define count as known, so that the plan is whole up front.

    Args:
        snapshot: The revision.
        settings: The project's; the default and the allowed namespaces and the inventory's id matter here.
        kinds: What the cluster serves.
        agent_id: Becomes the label by which all our objects are found.
        previous: The same project's last result. Objects of files that are as they were then are taken over from
            there, so that the cost of a revision is that of its changed files.
        own: What agentk itself stands on, and no project may have.
    """
    return _Resolver(settings, kinds, agent_id, previous, own).run(snapshot)


class _RefusedError(Exception):
    def __init__(self, ref: ObjectRef, reason: str, message: str) -> None:
        super().__init__(message)
        self.ref = ref
        self.reason = reason
        self.message = message


class _NotServedError(_RefusedError):
    """The cluster does not serve the kind; a CRD further down in the snapshot may bring it."""


class _Resolver:
    """One run of ``resolve``; holds what its steps share."""

    def __init__(
        self, settings: ProjectSettings, kinds: Kinds, agent_id: int, previous: Resolved | None, own: OwnObjects
    ) -> None:
        anywhere = settings.mutation_from_secrets is SecretTargets.ANY
        bounds = Bounds(settings.inventory_id, settings.allowed_namespaces, own, secrets_anywhere=anywhere)
        self._basis = Basis(str(agent_id), settings.default_namespace, settings.ignore, bounds)
        self._kinds: Kinds = kinds
        self._asked: dict[tuple[str, str], Kind | None] = {}
        self._before = NO_FILES
        self._known: dict[str, tuple[Desired, ...]] = {}
        if previous is not None and previous.basis == self._basis:
            self._before = previous.sources
            self._known = {path: tuple(ones) for path, ones in groupby(previous.desired, key=attrgetter("path"))}
        self._still_served: dict[int, bool] = {}
        self._refused: list[Outcome] = []

    def run(self, snapshot: Snapshot) -> Resolved:
        files = Files.of(snapshot.files)
        found: list[Desired | None] = []
        waiting: list[tuple[int, str, int, bytes]] = []
        for path, sources in files.texts():
            taken = self._take_over(path, sources)
            if taken is not None:
                found += taken
                continue
            for number, source in enumerate(sources):
                try:
                    found.append(self._resolve(path, number, source))
                except _NotServedError:
                    waiting.append((len(found), path, number, source))
                    found.append(None)
                except _RefusedError as error:
                    self._refuse(path, error)
        if waiting:
            self._kinds = KindsWithDefined(self._kinds, (kind for one in found if one for kind in one.defines))
            self._asked.clear()
        for position, path, number, source in waiting:
            try:
                found[position] = self._resolve(path, number, source)
            except _RefusedError as error:
                self._refuse(path, error)
        desired = self._within_reach([one for one in found if one is not None])
        return Resolved(desired, tuple(self._refused), _twice(desired), self._basis, files)

    def _within_reach(self, found: list[Desired]) -> tuple[Desired, ...]:
        """Refuse what waits for, or takes fields from, objects that the project may not reach."""
        if all(one.ordering is None for one in found):
            return tuple(found)
        among = {one.ref for one in found} | {outcome.ref for outcome in self._refused}
        within = []
        for one in found:
            refusal = refuse_reach(one.ref, one.ordering, among, self._basis.bounds) if one.ordering else None
            if refusal is None:
                within.append(one)
            else:
                self._refuse(one.path, _RefusedError(one.ref, refusal.reason, refusal.message))
        return tuple(within)

    def _refuse(self, path: str, error: _RefusedError) -> None:
        self._refused.append(Outcome(error.ref, Result.FAILED, path, error.reason, error.message))

    def _take_over(self, path: str, sources: tuple[bytes, ...]) -> tuple[Desired, ...] | None:
        """Return what a file held before, if it is the same, was taken whole, and its kinds are served as they were."""
        known = self._known.get(path, ())
        if len(known) != len(sources) or self._before.get(path) != sources:
            return None
        return known if all(self._is_served(one.kind) for one in known) else None

    def _is_served(self, kind: Kind) -> bool:
        served = self._still_served.get(id(kind))
        if served is None:
            served = self._kinds.find(kind.group, kind.kind, kind.version) == kind
            self._still_served[id(kind)] = served
        return served

    def _resolve(self, path: str, number: int, source: bytes) -> Desired:
        manifest = _loads(source)
        match manifest:
            case {"apiVersion": str(api_version), "kind": str(kind_name), "metadata": {"name": str(name)}} if name:
                metadata = manifest["metadata"]
            case _:
                raise _malformed(manifest)
        namespace = metadata.get("namespace") or ""
        kind = self._find(api_version, kind_name)
        if kind is None or kind.api_version != api_version:
            ref = ObjectRef(group_of(api_version), kind_name, str(namespace), name)
            raise _NotServedError(ref, "UnknownKind", _unknown(api_version, kind_name, kind))
        namespace = (namespace or self._basis.default_namespace) if kind.namespaced else ""
        ref = ObjectRef(kind.group, kind.kind, intern(str(namespace)), name)
        self._check(ref, kind, manifest)
        _strings(ref, metadata, "labels")
        annotations = _strings(ref, metadata, "annotations")
        complete(manifest, kind, self._basis)
        defines = defined_by(manifest) if kind_name == "CustomResourceDefinition" else ()
        try:
            traits, body = traits_of(ref, manifest, written(manifest), self._basis.ignore)
            ordering = read_ordering(annotations, ref, self._kinds)
        except InvalidTraitError as error:
            raise _RefusedError(ref, error.reason, error.message) from error
        except InvalidOrderError as error:
            raise _RefusedError(ref, error.reason, str(error)) from error
        return Desired(
            ref,
            kind,
            path,
            None,
            blake2b(body, digest_size=8).digest(),
            defines,
            annotations.get(LIFECYCLE_MUTATION) == LIFECYCLE_MUTATION_IGNORE,
            ordering=ordering,
            traits=traits,
            number=number,
        )

    def _check(self, ref: ObjectRef, kind: Kind, manifest: Mapping[str, Any]) -> None:
        """Refuse what a project may not have, whatever the cluster says of it."""
        bounds = self._basis.bounds
        refusal = refuse_kind(kind, self._kinds.verbs(kind)) or refuse_manifest(ref, manifest, bounds)
        if refusal is not None:
            raise _RefusedError(ref, refusal.reason, refusal.message)

    def _find(self, api_version: str, kind: str) -> Kind | None:
        key = (api_version, kind)
        try:
            return self._asked[key]
        except KeyError:
            found = self._kinds.find(group_of(api_version), kind, api_version.rpartition("/")[2])
            self._asked[key] = found
            return found


def _strings(ref: ObjectRef, metadata: Mapping[str, object], key: str) -> dict[str, str]:
    """Return labels or annotations."""
    found = metadata.get(key)
    if found is not None and not isinstance(found, dict):
        raise _RefusedError(ref, "InvalidManifest", f"metadata.{key} must be a mapping")
    return found or {}


def _loads(source: bytes) -> dict[str, Any]:
    try:
        manifest = orjson.loads(source)
    except orjson.JSONDecodeError:
        manifest = None
    return manifest if isinstance(manifest, dict) else {}


def _malformed(manifest: dict[str, Any]) -> _RefusedError:
    """Say what keeps a manifest from naming an object, without quoting its content."""
    metadata = manifest.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    group = group_of(str(manifest.get("apiVersion") or ""))
    namespace, name = str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
    ref = ObjectRef(group, str(manifest.get("kind") or ""), namespace, name)
    if metadata.get("generateName") and not name:
        message = "metadata.generateName makes a new object at every apply; give it a metadata.name"
    else:
        message = "apiVersion, kind and metadata.name are needed, each a text"
    return _RefusedError(ref, "InvalidManifest", message)


def _unknown(api_version: str, kind: str, served: Kind | None) -> str:
    if served is not None:
        return f"the cluster does not serve {kind} in {api_version}; it serves {served.api_version}"
    return f"the cluster does not serve {api_version} {kind}; install its CustomResourceDefinition or correct the name"


def _twice(desired: tuple[Desired, ...]) -> Outcome | None:
    """Find an object that the revision holds twice; which of the two is meant, nobody can know."""
    seen: dict[ObjectRef, str] = {}
    for one in desired:
        if one.ref in seen:
            where = f"in {seen[one.ref]} and in {one.path}" if seen[one.ref] != one.path else f"twice in {one.path}"
            return Outcome(
                one.ref,
                Result.FAILED,
                one.path,
                "DuplicateObject",
                f"stands {where}, so nothing of this revision is applied; remove one of the two",
            )
        seen[one.ref] = one.path
    return None
