"""Whatever a repository holds: objects within the limits, or ``ManifestError`` with a line; never a value in it."""

from __future__ import annotations

import json
import re
from itertools import islice

from agentlink.manifests.documents import decode, read_documents
from agentlink.manifests.model import Limits, ManifestError
from agentlink.manifests.parse import parse_file
from agentlink.manifests.positions import Path, item_lines, key_order, lines_at
from tests.fuzz.inputs import fuzz

LIMITS = Limits(file_bytes=4096, yaml_nodes=300, yaml_depth=12)
REASONS = frozenset({"InvalidYAML", "InvalidManifest", "TooDeep", "TooManyNodes", "FileTooLarge"})
SECRET = b"hunter2"
DEEPEST = 4
MOST = 20
"""How deep, and how many values of each collection, lines are asked for."""
TOKENS = (
    b"---\n", b"...\n", b"- ", b": ", b"? ", b"&a ", b"*a", b"<<: ", b"!!str ", b"!!binary ", b"!x ", b"|\n", b">-\n",
    b"#", b"{", b"}", b"[", b"]", b",", b"%YAML 1.1\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\t", b"\xc2\x85",
    b"\xe2\x80\xa8", b"kind: List\nitems:\n", b"[" * 20, b"9" * 5000, b"1e999", b"0x" + b"f" * 40, b"\\ud800",
    b"\\x00", SECRET,
)  # fmt: skip

_BREAK = re.compile("[\r\n\x85\u2028\u2029]")
"""What ends a line for libyaml."""


def size(value: object) -> tuple[int, int]:
    """Return how many values there are in one, and how deep it is."""
    count, depth, level = 0, 0, [value]
    while level:
        count += len(level)
        depth += 1
        level = [
            item
            for one in level
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
        ]
    return count, depth


@fuzz("yaml", tokens=TOKENS)
def test_documents_keep_to_their_limits(data: bytes) -> None:
    last = len(_BREAK.findall(decode(data))) + 1
    try:
        for document in read_documents(data, LIMITS):
            count, depth = size(document.value)
            # Each key of a mapping is a node, too, and is not counted here; a JSON document's root is not one.
            assert count <= LIMITS.yaml_nodes + 1
            assert depth <= LIMITS.yaml_depth + 1
            assert 1 <= document.text_line <= document.line <= last + 1
            json.dumps(document.value)
    except ManifestError as error:
        assert error.reason in REASONS
        assert 1 <= error.line <= last + 1
        assert len(error.message) < 300


@fuzz("yaml", tokens=TOKENS)
def test_a_file_is_objects_that_kubernetes_can_take_or_an_error_that_quotes_nothing(data: bytes) -> None:
    try:
        file = parse_file("folder/a.yaml", "blob", data, LIMITS)
    except ManifestError as error:
        assert error.reason in REASONS
        assert error.path == "folder/a.yaml"
        assert error.line >= 1 or error.reason == "FileTooLarge"
        assert SECRET.decode() not in str(error)
    else:
        assert sum(len(one.json) for one in file.objects) <= 64 * (LIMITS.file_bytes + len(data))
        for one in file.objects:
            value = json.loads(one.json)
            assert value["kind"] == one.ref.kind
            assert value["metadata"]["name"] == one.ref.name


@fuzz("yaml", tokens=TOKENS)
def test_every_place_of_what_was_read_has_a_line(data: bytes) -> None:
    try:
        documents = list(read_documents(data, LIMITS))
    except ManifestError:
        return
    for document in documents:
        wanted = places(document.value, ())
        lines = lines_at(document.text, document.text_line, wanted, document.line)
        end = document.text_line + len(_BREAK.findall(document.text)) + 1
        assert all(1 <= line <= end for line in lines.values())
        assert len(lines) == len(set(wanted))
        keys = key_order(document.text, lambda path: len(path) <= DEEPEST)
        assert len(keys) <= len(document.text) + 1
        assert all(line <= end for line in item_lines(document.text, document.text_line, MOST).values())


def places(value: object, where: Path) -> list[Path]:
    """Return the paths of a few values in a document, and of one that it has not."""
    found: list[Path] = [(*where, "nowhere")]
    if len(where) < DEEPEST:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, one in islice(inner, MOST):
            found += [(*where, key), *places(one, (*where, key))]
    return found
