"""A file cut into documents, as kubectl cuts it.

kubectl decodes UTF-16 and a byte order mark, tries JSON on what begins with a brace, and otherwise cuts at lines that
begin with ``---`` before any YAML parser sees the text. What one YAML document means is in ``yaml_reader``.
"""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from agentlink.manifests.model import ManifestError
from agentlink.manifests.yaml_reader import read_document
from agentlink.manifests.yaml_scalars import ScalarError, json_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentlink.manifests.model import Limits

_SEPARATOR = re.compile(r"^---(.*)$", re.MULTILINE)
_BLANKS = " \t\r\n"
_MARK = "\ufeff"
_END = "..."
_JSON_SPACE = re.compile(r"[ \t\n\r]*")
_INT64_MIN, _UINT64_END = -(2**63), 2**64
MOST_OBJECTS = 50_000
"""Of one file, and as many documents: more than 5 MiB of the smallest useful ones. An empty one costs time, too."""
_JSON_PEEK = 4096  # how far kubectl looks for the brace
_JSON_AMBIGUOUS = 1  # after more JSON values than this, kubectl no longer tries YAML


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file.

    ``line`` is where its value begins, from 1. ``text`` is the part of the file that holds it, which begins at
    ``text_line``.
    """

    line: int
    value: object
    text: str
    text_line: int


def read_documents(data: bytes, limits: Limits) -> Iterator[Document]:
    """Yield each document, in order; a document that holds only comments has the value None.

    Raises:
        ManifestError: InvalidYAML, TooDeep or TooManyNodes, with the line and without a path.
    """
    text = decode(data)
    start = 0
    if text[:_JSON_PEEK].lstrip().startswith("{"):
        documents, start = _read_json(text, limits)
        yield from documents
        if start == len(text):
            return
    yield from _read_yaml(text, start, limits)


def decode(data: bytes) -> str:
    r"""Return the file's text with ``\n`` line ends. Bytes that are no text become U+FFFD, as in kubectl."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", errors="replace")
    else:
        text = data.removeprefix(codecs.BOM_UTF8).decode(errors="replace")
    return text.replace("\r\n", "\n") if "\r" in text else text


def _read_yaml(text: str, start: int, limits: Limits) -> Iterator[Document]:
    line = 1 + text.count("\n", 0, start)
    for count, separator in enumerate(_SEPARATOR.finditer(text, start)):
        _check_count(count, line)
        rest = separator[1].strip()
        yield from _read_part(text[start : separator.start()], line, limits)
        line += text.count("\n", start, separator.start())
        if rest and not rest.startswith("#"):
            raise ManifestError("InvalidYAML", "only a comment may follow '---' on its line", line=line)
        start = separator.end()
    yield from _read_part(text[start:], line, limits)


def _read_part(text: str, line: int, limits: Limits) -> Iterator[Document]:
    begin = len(text) - len(text.lstrip(_BLANKS))
    if text.startswith(_MARK, begin):
        # Where files were put together, each of which began with it.
        text = text[:begin] + text[begin + 1 :]
    if text.strip(_BLANKS) in {"", _END}:
        return
    if not text.endswith("\n"):
        text += "\n"  # as kubectl does, so that a block scalar at the end of a file ends its last line
    value_line, value = read_document(text, line, limits)
    yield Document(value_line, value, text, line)


def _read_json(text: str, limits: Limits) -> tuple[list[Document], int]:
    """Return the JSON values that the text begins with, and where begins what is not JSON."""
    try:
        # The whole text is nearly always one value, and this is the fastest way to read it.
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    else:
        line = 1 + text.count("\n", 0, _after_space(text, 0))
        return [Document(line, _as_go_reads(value, line, limits), text, 1)], len(text)
    documents: list[Document] = []
    start, line = 0, 1
    while (begin := _after_space(text, start)) < len(text):
        line += text.count("\n", start, begin)
        try:
            value, end = _JSON.raw_decode(text, begin)
        except RecursionError:
            raise _too_deep(limits, line) from None
        except ValueError:
            if len(documents) <= _JSON_AMBIGUOUS:
                return documents, start
            raise ManifestError("InvalidYAML", "not valid JSON, after valid JSON objects", line=line) from None
        documents.append(Document(line, _as_go_reads(value, line, limits), text[begin:end], line))
        _check_count(len(documents), line)
        line += text.count("\n", begin, end)
        start = end
    return documents, len(text)


def _as_go_reads(value: object, line: int, limits: Limits) -> object:
    """Put Go's numbers for Python's, in place, and hold the value to the limits."""
    root = [value]
    level: list[Any] = [root]
    nodes = depth = 0
    while level:
        depth += 1
        if depth > limits.yaml_depth + 1:
            raise _too_deep(limits, line)
        below: list[Any] = []
        for container in level:
            nodes += len(container)
            if nodes > limits.yaml_nodes:
                raise ManifestError("TooManyNodes", f"more than {limits.yaml_nodes} values in one document", line=line)
            items: Iterable[tuple[Any, object]]
            items = container.items() if isinstance(container, dict) else enumerate(container)
            for key, item in items:
                if isinstance(item, dict | list):
                    below.append(item)
                elif isinstance(item, float) or (type(item) is int and not _INT64_MIN <= item < _UINT64_END):
                    container[key] = _go_number(item, line)  # another value for a key that is there
        level = below
    return root[0]


def _go_number(number: float, line: int) -> int | float:
    try:
        return json_number(float(number))
    except (ScalarError, OverflowError):
        raise ManifestError("InvalidYAML", "a number is too large for JSON", line=line) from None


def _no_constant(name: str) -> None:
    """NaN and Infinity are JSON to Python only."""
    raise ValueError(name)


_JSON = json.JSONDecoder(parse_constant=_no_constant)


def _after_space(text: str, start: int) -> int:
    match = _JSON_SPACE.match(text, start)
    return match.end() if match else start


def _check_count(documents: int, line: int) -> None:
    if documents > MOST_OBJECTS:
        raise ManifestError("TooManyNodes", f"more than {MOST_OBJECTS} documents in one file", line=line)


def _too_deep(limits: Limits, line: int) -> ManifestError:
    return ManifestError("TooDeep", f"nested deeper than {limits.yaml_depth} levels", line=line)
