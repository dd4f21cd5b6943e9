"""JSON Schemas of the payloads, made from the types that the handlers write and the command line reads.

pydantic cannot do that for ``typing.TypedDict`` before Python 3.12; what payloads are made of is little.
"""

from __future__ import annotations

import types
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from kas.web import access_payloads, hold_payloads, operation_payloads, payloads

Schema = dict[str, Any]

_MODULES: Final = (payloads, access_payloads, operation_payloads, hold_payloads)
_NAMED: Final = {
    name: value
    for module in _MODULES
    for name, value in vars(module).items()
    if is_typeddict(value) or name == "AgentStatus"
}
_PLAIN: Final[dict[object, Schema]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
}


def reference(name: str) -> Schema:
    """Return how the schema of a payload is referred to."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas() -> dict[str, Schema]:
    """Return the schemas of all payloads by their names."""
    return {name: _object(value) for name, value in sorted(_NAMED.items()) if is_typeddict(value)}


def _object(payload: Any) -> Schema:  # noqa: ANN401 - a TypedDict's class has no type of its own
    hints = get_type_hints(payload, localns=_NAMED)
    described: Schema = {
        "type": "object",
        "properties": {name: _schema(hint) for name, hint in hints.items()},
        "required": sorted(payload.__required_keys__),
        "additionalProperties": False,
    }
    said = (payload.__doc__ or "").strip()
    return {"description": " ".join(said.replace("``", "`").split()), **described} if said else described


def _schema(hint: Any) -> Schema:  # noqa: ANN401 - any type
    if is_typeddict(hint):
        return reference(hint.__name__)
    if (plain := _PLAIN.get(hint)) is not None:
        return dict(plain)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in {Union, types.UnionType}:
        return {"anyOf": [_schema(one) for one in arguments]}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0])}
    raise TypeError(f"{hint!r} is not known in payloads: say here how it is written as JSON")
