"""One YAML document to a value, as kubectl reads it, within bounds.

The scanner and parser are libyaml's, which kubectl's go-yaml is a translation of; only composing is done here, in one
loop over its events. Nothing recurses, aliases are weighed before they are expanded, and no tag makes anything but
YAML's own types, so no document can crash the process or take more memory than its limits allow. What a scalar means
is in ``yaml_scalars``; cutting a file into documents, in ``documents``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from yaml import YAMLError
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.reader import ReaderError

from agentlink.manifests.model import ManifestError
from agentlink.manifests.yaml_scalars import MERGE_TAG, NUMBER_STARTS, WORDS, ScalarError, scalar_key, scalar_value

if TYPE_CHECKING:
    from agentlink.manifests.model import Limits

_COLLECTION_TAGS = {
    MappingStartEvent: ("!", "tag:yaml.org,2002:map"),
    SequenceStartEvent: ("!", "tag:yaml.org,2002:seq"),
}


class _Mark:
    """A value that no document can hold."""


_WANT_KEY, _IN_SEQUENCE, _MERGE, _OPEN = _Mark(), _Mark(), _Mark(), _Mark()
_NODES_A_CHARACTER = 2  # "{a,b}": each key has a null value that takes no character


def read_document(text: str, first_line: int, limits: Limits) -> tuple[int, object]:
    """Return the line on which the document's value begins, and the value; None where there is none.

    ``first_line`` is the line of the file, from 1, on which ``text`` begins.

    Raises:
        ManifestError: InvalidYAML, TooDeep or TooManyNodes, with the line and without a path.
    """
    try:
        return _Composer(text, first_line, limits).compose()
    except YAMLError as error:
        raise _syntax_error(error, text, first_line) from None


def _syntax_error(error: YAMLError, text: str, first_line: int) -> ManifestError:
    """Say what libyaml says, whose texts are constants; its ReaderError alone would quote a character."""
    if isinstance(error, ReaderError):
        before = text.encode(errors="replace")[: error.position]
        return ManifestError(
            "InvalidYAML", "a character that YAML does not allow", line=first_line + before.count(b"\n")
        )
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or "not valid YAML"
    return ManifestError("InvalidYAML", problem, line=first_line + (mark.line if mark else 0))


class _Composer:
    """Composes one document."""

    def __init__(self, text: str, first_line: int, limits: Limits) -> None:
        self._parse = CParser(text).get_event
        self._first_line = first_line
        self._limits = limits
        self._anchors: dict[str | None, tuple[Any, object]] = {}
        self._nodes = 0
        self._characters = 0
        # Small documents cannot have too many nodes, so theirs need no counting.
        self._next_event = self._parse if _NODES_A_CHARACTER * len(text) < limits.yaml_nodes else self._counted

    def compose(self) -> tuple[int, object]:
        """Return the line of the root, and its value."""
        self._parse()  # the stream's start
        if type(self._parse()) is StreamEndEvent:
            return self._first_line, None
        root: Any = self._next_event()
        value = self._compose_node(root)
        # kubectl drops what follows "..." without a word; losing objects in silence would be worse than refusing.
        after = self._parse()
        if type(after) is not StreamEndEvent:
            raise self._error("InvalidYAML", "content after the end of the document; put '---' before it", after)
        return self._first_line + root.start_mark.line, value

    def _compose_node(self, event: Any) -> object:  # noqa: ANN401, C901, PLR0912 - one loop over libyaml's events: a call for each would double the time
        next_event, anchors, max_depth = self._next_event, self._anchors, self._limits.yaml_depth
        stack: list[tuple[Any, Any, Any]] = []
        root: list[object] = []
        target: Any = root
        key: Any = _IN_SEQUENCE
        opened: Any = None  # the event that began the target
        while True:
            kind = type(event)
            if kind is ScalarEvent:
                value = event.value
                if event.implicit[0]:
                    if value in WORDS or value[0] in NUMBER_STARTS:
                        value = self._key(event) if key is _WANT_KEY else self._scalar(event)
                elif event.tag is not None:
                    value = self._key(event) if key is _WANT_KEY else self._scalar(event)
                if event.anchor is not None:
                    anchors[event.anchor] = event, value
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                if key is _WANT_KEY:
                    raise self._error("InvalidYAML", "a mapping or a list cannot be a key", event)
                if event.tag is not None and event.tag not in _COLLECTION_TAGS[kind]:
                    raise self._error("InvalidYAML", "an unknown tag; only YAML's own types can be used", event)
                if len(stack) >= max_depth:
                    raise self._error("TooDeep", f"nested deeper than {max_depth} levels", event)
                if event.anchor is not None:
                    anchors[event.anchor] = event, _OPEN
                stack.append((target, key, opened))
                opened = event
                target, key = ({}, _WANT_KEY) if kind is MappingStartEvent else ([], _IN_SEQUENCE)
                event = next_event()
                continue
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                value = target
                if opened.anchor is not None:
                    anchors[opened.anchor] = opened, value
                target, key, opened = stack.pop()
            elif kind is AliasEvent:
                value = self._alias(event, is_key=key is _WANT_KEY, depth=len(stack))
            else:  # the document's end
                return root[0]
            if key is _IN_SEQUENCE:
                target.append(value)
            elif key is _WANT_KEY:
                key = value
            else:
                if key is _MERGE:
                    self._merge(target, value, event)
                else:
                    target[key] = value
                key = _WANT_KEY
            event = next_event()

    def _counted(self) -> Any:  # noqa: ANN401 - libyaml's events have no common type
        event = self._parse()
        if isinstance(event, NodeEvent):
            self._nodes += 1
            if self._nodes > self._limits.yaml_nodes:
                raise self._error("TooManyNodes", f"more than {self._limits.yaml_nodes} values in one document", event)
        return event

    def _scalar(self, event: ScalarEvent) -> object:
        if event.tag is None and not event.implicit[0]:
            return event.value
        try:
            return scalar_value(event.tag, event.value)
        except ScalarError as error:
            raise self._error("InvalidYAML", str(error), event) from None

    def _key(self, event: ScalarEvent) -> object:
        if event.tag is None and not event.implicit[0]:
            return event.value
        if event.value == "<<" and (event.implicit[0] or event.tag == MERGE_TAG):
            return _MERGE
        try:
            return scalar_key(event.tag, event.value)
        except ScalarError as error:
            raise self._error("InvalidYAML", str(error), event) from None

    def _alias(self, event: AliasEvent, *, is_key: bool, depth: int) -> object:
        origin, value = self._anchors.get(event.anchor, (None, None))
        if origin is None:
            raise self._error("InvalidYAML", "an alias of an anchor that is not there", event)
        if value is _OPEN:
            raise self._error("InvalidYAML", "an alias inside of its own anchor", event)
        if type(origin) is ScalarEvent:
            # The same text may mean another thing as a key than as a value.
            value = self._key(origin) if is_key else self._scalar(origin)
            if value is _MERGE:
                value = "<<"
        elif is_key:
            raise self._error("InvalidYAML", "a mapping or a list cannot be a key", event)
        self._weigh(value, event, depth)
        return value

    def _weigh(self, value: object, event: AliasEvent, depth: int) -> None:
        """Count what the alias expands to, without expanding it; stop as soon as it is too much."""
        limits = self._limits
        todo = [(value, depth)]
        while todo:
            value, depth = todo.pop()
            self._nodes += 1
            if isinstance(value, str):
                self._characters += len(value)
            elif isinstance(value, dict | list):
                if depth >= limits.yaml_depth:
                    raise self._error("TooDeep", f"nested deeper than {limits.yaml_depth} levels", event)
                if isinstance(value, dict):
                    self._characters += sum(map(len, value))
                    value = value.values()
                todo.extend((item, depth + 1) for item in value)
            if self._nodes > limits.yaml_nodes or self._characters > limits.file_bytes:
                raise self._error("TooManyNodes", "aliases expand to more than a file may hold", event)

    def _merge(self, target: dict[str, object], value: object, event: object) -> None:
        """Set a merge key's entries; like any duplicate key, they replace those that stand before them."""
        # In a list of mappings the first wins. An alias of a list is not taken for one.
        merged = reversed(value) if type(event) is SequenceEndEvent and isinstance(value, list) else [value]
        for mapping in merged:
            if not isinstance(mapping, dict):
                raise self._error("InvalidYAML", "a merge key (<<) wants a mapping or a list of mappings", event)
            target.update(mapping)

    def _error(self, reason: str, message: str, event: Any) -> ManifestError:  # noqa: ANN401 - as above
        return ManifestError(reason, message, line=self._first_line + event.start_mark.line)
