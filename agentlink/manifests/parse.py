"""From a manifest's bytes to the objects it declares.

Checks what needs no cluster, so that a mistake is reported with its file and line before anything is applied. How
YAML and JSON are read is in ``documents`` and ``yaml_reader``; duplicates across files, in ``snapshot``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import orjson

from agentlink.manifests.documents import MOST_OBJECTS, read_documents
from agentlink.manifests.model import OBJECT_OVERHEAD, ManifestError, ManifestFile, ManifestObject, printable_path
from agentlink.manifests.positions import item_lines, lines_at
from agentlink.refs import ObjectRef, group_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentlink.manifests.documents import Document
    from agentlink.manifests.model import Limits
    from agentlink.manifests.positions import Path

_API_VERSION = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?/)?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.IGNORECASE)
_KIND = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?", re.IGNORECASE)
# What Kubernetes asks of every name, because it becomes a part of a URL; some kinds ask for more.
_NAME = re.compile(r"(?!\.{1,2}\Z)[^/%\x00-\x20\x7f-\xa0]{1,253}")
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def load_documents(data: bytes, limits: Limits) -> Iterator[tuple[int, object]]:
    """Yield the line and the value of each document, as kubectl reads them; None for one that holds only comments.

    Raises:
        ManifestError: InvalidYAML, TooDeep or TooManyNodes, with the line and without a path.
    """
    for document in read_documents(data, limits):
        yield document.line, document.value


def parse_file(path: str, blob_id: str, data: bytes, limits: Limits) -> ManifestFile:
    """Return the objects of one file, in order; those of lists one by one.

    Raises:
        ManifestError: FileTooLarge, InvalidYAML, InvalidManifest, TooDeep or TooManyNodes, with path and line. It never
            quotes a value.
    """
    path = printable_path(path)
    if len(data) > limits.file_bytes:
        raise ManifestError("FileTooLarge", f"larger than {limits.file_bytes} bytes", path=path)
    try:
        objects = tuple(_within_bounds(_all_objects(data, limits), limits))
    except ManifestError as error:
        raise ManifestError(error.reason, error.message, path=path, line=error.line) from error.__cause__
    cost = OBJECT_OVERHEAD + sum(len(manifest.json) + OBJECT_OVERHEAD for manifest in objects)
    return ManifestFile(path, blob_id, objects, len(data), cost)


def _all_objects(data: bytes, limits: Limits) -> Iterator[ManifestObject]:
    for document in read_documents(data, limits):
        if document.value is not None:
            yield from _objects(document)


def _within_bounds(objects: Iterator[ManifestObject], limits: Limits) -> Iterator[ManifestObject]:
    """Yield the objects until they are more than a file may hold: aliases make much of a few bytes, in any document."""
    size = 0
    for count, manifest in enumerate(objects, start=1):
        size += len(manifest.json)
        if count > MOST_OBJECTS:
            raise ManifestError("TooManyNodes", f"more than {MOST_OBJECTS} objects in one file", line=manifest.line)
        if size > limits.file_json_bytes:
            message = f"its objects come to more than {limits.file_json_bytes} bytes of JSON; do without aliases"
            raise ManifestError("FileTooLarge", message, line=manifest.line)
        yield manifest


class _InvalidError(Exception):
    """What is wrong, and where in the document."""

    def __init__(self, message: str, *where: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.where = where


def _objects(document: Document) -> Iterator[ManifestObject]:
    try:
        value = document.value
        if isinstance(value, dict) and _is_list(value):
            lines = item_lines(document.text, document.text_line, MOST_OBJECTS)
            for where, item in _items(value, ()):
                # An item that an alias brings in stands where its list does.
                around = (where[:end] for end in range(len(where), 0, -2))
                line = next((lines[place] for place in around if place in lines), document.line)
                yield _object(item, line, where)
        else:
            yield _object(value, document.line, ())
    except _InvalidError as error:
        (line,) = lines_at(document.text, document.text_line, [error.where], document.line).values()
        raise ManifestError("InvalidManifest", error.message, line=line) from None


def _is_list(value: dict[str, Any]) -> bool:
    """Tell a list from a custom resource whose kind only ends so (an AllowList)."""
    kind = value.get("kind")
    return isinstance(kind, str) and kind.endswith("List") and (kind == "List" or isinstance(value.get("items"), list))


def _items(parent: dict[str, Any], where: Path) -> Iterator[tuple[Path, object]]:
    """Yield the objects of a list, and of lists in it."""
    items = parent.get("items")
    if not isinstance(items, list):
        raise _InvalidError("a List without a list of items", *where)
    for index, item in enumerate(items):
        place: Path = (*where, "items", index)
        if not isinstance(item, dict):
            raise _InvalidError("an item of a list that is not an object", *place)
        if not item.get("kind") and not item.get("apiVersion"):
            item = {**item, "apiVersion": parent.get("apiVersion"), "kind": parent["kind"].removesuffix("List")}  # noqa: PLW2901 - the item as kubectl takes it
        if _is_list(item):
            yield from _items(item, place)
        else:
            yield place, item


def _object(value: object, line: int, where: Path) -> ManifestObject:
    if not isinstance(value, dict):
        raise _InvalidError("not a Kubernetes object: a mapping with apiVersion and kind is expected", *where)
    api_version = _text(value, "apiVersion", where)
    if not _API_VERSION.fullmatch(api_version):
        raise _InvalidError("apiVersion is not of the form 'group/version' or 'version'", *where, "apiVersion")
    kind = _text(value, "kind", where)
    if not _KIND.fullmatch(kind):
        raise _InvalidError("kind may hold only letters, digits and '-'", *where, "kind")
    name, namespace = _metadata(value.get("metadata"), (*where, "metadata"))
    return ManifestObject(ObjectRef(group_of(api_version), kind, namespace, name), _json(value, where), line)


def _metadata(metadata: object, where: Path) -> tuple[str, str]:
    """Check the metadata, and return name and namespace."""
    if not isinstance(metadata, dict):
        raise _InvalidError("metadata is missing or is not a mapping", *where)
    if not metadata.get("name") and metadata.get("generateName"):
        message = "generateName makes a new object at each sync; give it a metadata.name"
        raise _InvalidError(message, *where, "generateName")
    name = _text(metadata, "name", where)
    if not _NAME.fullmatch(name):
        raise _InvalidError(
            "metadata.name must have 1 to 253 characters without spaces, '/' and '%', and not be '.' or '..'",
            *where,
            "name",
        )
    namespace = metadata.get("namespace", "")
    if namespace is None:
        namespace = ""
    if not isinstance(namespace, str) or (namespace and not _NAMESPACE.fullmatch(namespace)):
        raise _InvalidError(
            "metadata.namespace must be a string of at most 63 lower-case letters, digits and '-'", *where, "namespace"
        )
    for field in ("labels", "annotations"):
        _check_strings(metadata.get(field), *where, field)
    return name, namespace


def _text(mapping: dict[str, Any], key: str, where: Path) -> str:
    value = mapping.get(key)
    name = ".".join((*(part for part in where if isinstance(part, str) and part != "items"), key))
    if value is None or value == "":
        raise _InvalidError(f"{name} is missing", *where, key)
    if not isinstance(value, str):
        raise _InvalidError(f"{name} must be a string; quote it", *where, key)
    return value


def _check_strings(values: object, *where: str | int) -> None:
    name = f"metadata.{where[-1]}"
    if values is None:
        return
    if not isinstance(values, dict):
        raise _InvalidError(f"{name} must be a mapping", *where)
    for key, value in values.items():
        # Null is an empty string to the API server.
        if value is not None and not isinstance(value, str):
            raise _InvalidError(f"each value of {name} must be a string; quote it", *where, key)


def _json(value: dict[str, Any], where: Path) -> bytes:
    try:
        # What orjson returns keeps the room that it was written into, 4 kB at least; a copy is as long as the text.
        return bytes(memoryview(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)))
    except TypeError:
        pass
    try:
        # orjson refuses integers of more than 64 bits, which whole floats can be.
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _InvalidError("holds half of a surrogate pair, which is no character", *where) from None
