"""From the files of a commit to what an agent should have: no object twice, and a digest to tell revisions apart."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

from agentlink.manifests.model import ManifestError, ManifestFile
from kas.desired.foreign import together
from kas.desired.leaves import Leaves
from kas.desired.model import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentlink.manifests.model import ManifestObject

_Name = tuple[str, str, str, str]


def build_snapshot(commit: str, files: Sequence[ManifestFile], default_namespace: str) -> Snapshot:
    """Return the snapshot of the files.

    Two manifests of one group, kind, namespace and name are one object to the cluster, under whatever version; one that
    names no namespace is taken to be in ``default_namespace``. Which one would win is chance, so it is an error.

    Raises:
        ManifestError: DuplicateObject, with both places; EmptySelection, if the files hold no object. Files emptied by
            mistake look just so, and taking them for a wish would prune all that the project has.
    """
    ordered = Leaves.of(files)
    if not ordered.objects:
        raise ManifestError("EmptySelection", "the selected files hold no object; nothing was applied or pruned")
    seen: dict[_Name, tuple[ManifestFile, ManifestObject]] = {}
    twice: list[ManifestError] = []
    for file in ordered:
        for manifest, name in zip(file.objects, _names(file, default_namespace), strict=True):
            first = seen.setdefault(name, (file, manifest))
            if first[1] is not manifest:
                twice.append(_duplicate(file, manifest, *first))
    if twice:
        raise together(twice)
    return Snapshot(commit, ordered, names=array("q", sorted(map(hash, seen))))


def amend_snapshot(
    before: Snapshot, commit: str, changes: Mapping[str, ManifestFile | None], default_namespace: str
) -> Snapshot | None:
    """Return the snapshot that ``build_snapshot`` would make of changed files, with as much work as has changed.

    Args:
        before: The snapshot of which some files have changed.
        commit: Where they have.
        changes: The files that are new or other than before, None for those that are gone, by path.
        default_namespace: As for ``before``.

    Returns:
        None where something may be there twice, or nothing is left: only a look at everything can say what is wrong.
    """
    if before.names is None:
        return None
    names = array("q", before.names)
    for path in changes:
        gone = before.files.at(path)
        for name in _names(gone, default_namespace) if gone is not None else ():
            del names[bisect_left(names, hash(name))]
    for file in changes.values():
        for name in _names(file, default_namespace) if file is not None else ():
            found = hash(name)
            place = bisect_left(names, found)
            if place < len(names) and names[place] == found:
                return None
            names.insert(place, found)
    files = before.files.changed(changes)
    return Snapshot(commit, files, before.submodules, names, before.left_out) if files.objects else None


def _names(file: ManifestFile, default_namespace: str) -> Iterator[_Name]:
    """Yield what the cluster tells the objects of a file apart by."""
    for manifest in file.objects:
        ref = manifest.ref
        yield ref.group, ref.kind, ref.namespace or default_namespace, ref.name


def _duplicate(
    file: ManifestFile, manifest: ManifestObject, other: ManifestFile, first: ManifestObject
) -> ManifestError:
    return ManifestError(
        "DuplicateObject",
        f"{manifest.ref} is also declared at {other.path}:{first.line}; remove one of the two",
        path=file.path,
        line=manifest.line,
    )
