"""From the files of a commit to what an agent should have: no object twice, and a digest to tell revisions apart."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from agentlink.manifests.model import ManifestError, ManifestFile
from kas.desired.model import Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentlink.manifests.model import ManifestObject

_DIGEST_BYTES = 16


def build_snapshot(commit: str, files: Sequence[ManifestFile], default_namespace: str) -> Snapshot:
    """Return the snapshot of the files, sorted by path.

    Two manifests of one group, kind, namespace and name are one object to the cluster, under whatever version; one that
    names no namespace is taken to be in ``default_namespace``. Which one would win is chance, so it is an error.

    Raises:
        ManifestError: DuplicateObject, with both places; EmptySelection, if the files hold no object. Files emptied by
            mistake look just so, and taking them for a wish would prune all that the project has.
    """
    ordered = tuple(sorted(files, key=lambda file: file.path))
    if not any(file.objects for file in ordered):
        raise ManifestError("EmptySelection", "the selected files hold no object; nothing was applied or pruned")
    seen: dict[tuple[str, str, str, str], tuple[ManifestFile, ManifestObject]] = {}
    for file in ordered:
        for manifest in file.objects:
            ref = manifest.ref
            key = ref.group, ref.kind, ref.namespace or default_namespace, ref.name
            first = seen.setdefault(key, (file, manifest))
            if first[1] is not manifest:
                raise _duplicate(file, manifest, *first)
    return Snapshot(commit, _digest(ordered), ordered)


def _duplicate(
    file: ManifestFile, manifest: ManifestObject, other: ManifestFile, first: ManifestObject
) -> ManifestError:
    return ManifestError(
        "DuplicateObject",
        f"{manifest.ref} is also declared at {other.path}:{first.line}; remove one of the two",
        path=file.path,
        line=manifest.line,
    )


def _digest(files: Sequence[ManifestFile]) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for file in files:
        # Neither a printable path nor a blob id holds a NUL, so no two lists of files run together to the same bytes.
        digest.update(f"{file.path}\0{file.blob_id}\0".encode())
    return digest.digest()
