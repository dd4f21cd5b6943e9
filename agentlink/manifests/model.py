"""What reading manifests gives, and the bounds it keeps to. All frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentlink.refs import ObjectRef


_EXPANSION = 2
"""How much larger what is read may be than its text. JSON is shorter than the YAML that people write."""

OBJECT_OVERHEAD = 400
"""Bytes that one parsed object costs beside its JSON, an estimate on the high side: two small objects, strings."""


@dataclass(frozen=True, slots=True)
class ManifestObject:
    """One object of a file. ``json`` has sorted keys; ``line`` is where its document starts, from 1.

    ``ref.namespace`` is what the manifest says, empty when it says none: only the cluster knows what is namespaced.
    """

    ref: ObjectRef
    json: bytes
    line: int


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One selected file and its objects, in order. ``path`` is a ``printable_path``, ``size`` the bytes it has.

    ``cost`` is about what its objects take in memory, in bytes.
    """

    path: str
    blob_id: str
    objects: tuple[ManifestObject, ...]
    size: int = 0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one project may make kas read. Sizes in bytes."""

    file_bytes: int = 5 * 1024 * 1024
    project_bytes: int = 64 * 1024 * 1024
    files: int = 10_000
    paths: int = 100
    yaml_nodes: int = 1_000_000
    yaml_depth: int = 100

    @property
    def file_json_bytes(self) -> int:
        """What the objects of one file may come to as JSON, whatever aliases make of it."""
        return _EXPANSION * self.file_bytes

    @property
    def project_cost(self) -> int:
        """What the objects of a revision may take in memory."""
        return _EXPANSION * self.project_bytes


def printable_path(path: str) -> str:
    r"""Return the path for messages and the wire, where it must be text: ``\x1b`` or ``\xff`` for what is none.

    A backslash becomes two, so different paths stay different.
    """
    if path.isprintable() and "\\" not in path:
        return path
    return "".join(map(_printable, path))


def _printable(character: str) -> str:
    if character == "\\":
        return r"\\"
    if character.isprintable():
        return character
    try:
        return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="surrogateescape"))
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
        return f"\\u{ord(character):04x}"


class ManifestError(Exception):
    """A revision cannot be used. ``reason`` is CamelCase for programs; ``path`` and ``line`` where known.

    ``str()`` of it is the sentence for people, with path and line in front, and never quotes a manifest's values: they
    may be secret.
    """

    def __init__(self, reason: str, message: str, *, path: str = "", line: int = 0) -> None:
        where = f"{path}:{line}: " if path and line else f"{path}: " if path else ""
        super().__init__(f"{where}{message}")
        self.reason = reason
        self.message = message
        self.path = path
        self.line = line
