"""Reads a selected file, and where it cannot be used says what it may be instead. Pure.

What is said of a file does not depend on its path, under which it may be kept, moved or copied; what becomes of it is
``foreign``'s to say, which sees all files of a revision.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentlink.manifests.model import OBJECT_OVERHEAD, ManifestError, printable_path
from agentlink.manifests.parse import load_documents, parse_file
from kas.desired.lfs import refuse_pointer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentlink.manifests.model import Limits, ManifestFile

KUSTOMIZE: Final = "kustomize.config.k8s.io"

_PLAIN: Final = frozenset({"apiVersion", "kind", "metadata", "resources", "sortOptions"})
"""Keys of a kustomization that changes nothing of its resources."""

_MOST_NAMES: Final = 1_000
_LONGEST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds that is no manifest.

    ``bare``: its documents are mappings and lists, none with ``apiVersion`` or ``kind``. ``keys`` are the first
    document's, empty if it is no mapping. ``kustomizes``: it may be a kustomization. ``names`` are the paths in it,
    relative to its own, of what it changes before that is applied.
    """

    bare: bool
    keys: frozenset[str]
    kustomizes: bool
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that is no manifest. ``reason``, ``message`` and ``line`` are of the error; the rest as ``ManifestFile``.

    ``content`` is None where the file cannot be read as YAML; ``templated``: it holds what template languages use.
    """

    path: str
    blob_id: str
    size: int
    reason: str
    message: str
    line: int
    content: Content | None
    templated: bool
    cost: int = OBJECT_OVERHEAD

    @property
    def error(self) -> ManifestError:
        """Return the error as which it is told."""
        return ManifestError(self.reason, self.message, path=self.path, line=self.line)


def read_file(path: str, blob_id: str, data: bytes, limits: Limits) -> ManifestFile | Unusable:
    """Return a file's objects, or what is wrong with it."""
    try:
        refuse_pointer(path, data)
        file = parse_file(path, blob_id, data, limits)
    except ManifestError as error:
        content = _content(data, limits) if error.reason == "InvalidManifest" else None
        fault = error
    else:
        if not any(one.ref.group == KUSTOMIZE for one in file.objects):
            return file
        content = _content(data, limits)
        fault = ManifestError("InvalidManifest", "a kustomization, which is not rendered", line=1)
    templated = content is None and b"{{" in data
    return Unusable(
        printable_path(path), blob_id, len(data), fault.reason, fault.message, fault.line, content, templated
    )


def _content(data: bytes, limits: Limits) -> Content | None:
    try:
        values = [value for _, value in load_documents(data, limits) if value is not None]
    except ManifestError:
        return None
    bare = all(_is_bare(value) for value in values)
    first = values[0] if values and isinstance(values[0], dict) else {}
    api_version = first.get("apiVersion")
    kustomizes = bare or (isinstance(api_version, str) and api_version.startswith(f"{KUSTOMIZE}/"))
    changes = kustomizes and not first.keys() <= _PLAIN
    names = tuple(dict.fromkeys(_names(first))) if changes else ()
    return Content(bare, frozenset(key for key in first if isinstance(key, str)), kustomizes, names)


def _is_bare(value: object) -> bool:
    """Tell whether a document is no object, and not a text either, as a manifest without its colons would be."""
    nameless = isinstance(value, dict) and not value.get("apiVersion") and not value.get("kind")
    return nameless or isinstance(value, list)


def _names(value: object) -> Iterator[str]:
    """Yield what in a kustomization may be a path: every text of one line, wherever it stands."""
    left, count = [value], 0
    while left and count < _MOST_NAMES:
        at = left.pop()
        if isinstance(at, dict):
            left.extend(at.values())
        elif isinstance(at, list):
            left.extend(at)
        elif isinstance(at, str) and 0 < len(at) <= _LONGEST and "\n" not in at and "://" not in at:
            count += 1
            yield posixpath.normpath(at)
