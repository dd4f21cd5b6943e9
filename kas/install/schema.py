"""Writes what the Helm chart says of its values: ``python -m kas.install.schema manifests/charts/agentk``.

Both files come from ``kas.install.values``, so that the chart and ``kas generate`` take the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from kas.install.values import Values

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """\
# What may be chosen when agentk is installed; `kas generate --values` takes the same.
# Written by `python -m kas.install.schema manifests/charts/agentk`; change kas/install/values.py instead.
"""


def values_schema() -> str:
    """Return ``values.schema.json``."""
    schema: dict[str, Any] = Values.model_json_schema(by_alias=True)
    # Helm gives a chart inside another chart the values that all charts share.
    schema["properties"]["global"] = {"type": "object"}
    # A null takes a default away from Helm's values, and what then is not there would narrow nothing.
    schema["required"] = ["scope", "networkPolicy"]
    for name in ("Scope", "NetworkPolicyValues"):
        schema["$defs"][name]["required"] = list(schema["$defs"][name]["properties"])
    return json.dumps(_without_titles(schema), indent=2) + "\n"


def values_yaml() -> str:
    """Return ``values.yaml``: every value with its default and what it is for."""
    return _HEAD + "".join(_lines(Values(), ""))


def _lines(model: BaseModel, indent: str) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        about = " ".join((field.description or "").split())
        yield f"\n{indent}# {about}\n" if not indent else f"{indent}# {about}\n"
        if isinstance(value, BaseModel):
            yield f"{indent}{field.alias}:\n"
            yield from _lines(value, f"{indent}  ")
        else:
            # JSON is YAML, whatever the value.
            yield f"{indent}{field.alias}: {json.dumps(value)}\n"


def _without_titles(schema: object) -> object:
    """Leave out the titles that pydantic makes from names: they say nothing more."""
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if isinstance(schema, dict):
        return {
            key: _without_titles(item) for key, item in schema.items() if not (key == "title" and isinstance(item, str))
        }
    return schema


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "values.schema.json").write_text(values_schema(), encoding="utf-8")
    (folder / "values.yaml").write_text(values_yaml(), encoding="utf-8")
