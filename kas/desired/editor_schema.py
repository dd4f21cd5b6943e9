"""The JSON schema of ``config.yaml``, for editors: completion, and what is wrong with a value while it is typed.

``docs/config.schema.json`` is what ``python -m kas.desired.editor_schema`` writes (``make schema``). What kas itself
accepts is ``agent_schema``'s, from which this is made.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from kas.desired.agent_schema import File

_TITLE: Final = "config.yaml of an agent"
_NOISE: Final = frozenset({"title", "description"})
"""What pydantic makes of the names and docstrings of classes, which says nothing to who writes the file."""

_DURATIONS: Final = frozenset({"reconcile_timeout", "prune_timeout"})
_DURATION: Final = {
    "type": "string",
    "pattern": r"^\+?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$",
    "default": "3600s",
}


def editor_schema() -> dict[str, Any]:
    """Return the schema. A key that kas would only warn of is wrong in it, other than at the top of the file."""
    generated = File.model_json_schema()
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": _TITLE,
        **_plain(generated, closed=False),
    }
    schema["$defs"] = {name: _plain(section, closed=True) for name, section in generated["$defs"].items()}
    return schema


def _plain(section: dict[str, Any], *, closed: bool) -> dict[str, Any]:
    """Return a section without noise; ``closed``: with no other keys than those that are named."""
    kept = {key: value for key, value in section.items() if key not in {*_NOISE, "$defs", "properties"}}
    properties = {
        name: _DURATION if name in _DURATIONS else {key: value for key, value in one.items() if key not in _NOISE}
        for name, one in section["properties"].items()
    }
    return {**kept, "additionalProperties": not closed, "properties": properties}


def text() -> str:
    """Return the schema as the file has it."""
    return json.dumps(editor_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
