"""A union whose other half the server has filled in, which nobody owns: it makes way for Git's choice.

A Deployment without ``strategy`` is given ``rollingUpdate``. With ``type: Recreate`` in Git that is forbidden, and a
server-side apply takes away only what it owned, a null in it included. ``kubectl apply`` knows the unions of each kind;
here the server's own refusal names the field.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from agentk.apply import fieldsets
from agentk.apply.managers import fields_of, is_ours

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentk.apply.managers import Entry
    from agentk.apply.pointers import Step

_REASONS: Final = frozenset({"FieldValueForbidden", "FieldValueInvalid"})
_PATH: Final = re.compile(r"[A-Za-z0-9]{1,64}(?:\[\d{1,4}\])?(?:\.[A-Za-z0-9]{1,64}(?:\[\d{1,4}\])?){0,20}")
_STEP: Final = re.compile(r"([A-Za-z0-9]+)(?:\[(\d+)\])?")
_KEY: Final = "name"
"""What the elements of lists are known by in which unions occur: containers, volumes, variables."""


MADE_WAY: Final = "takes the place of what the server had filled in"

Operation = dict[str, Any]
"""One step of a JSON patch."""


def ways(
    body: dict[str, Any], live: dict[str, Any], managed: Sequence[Entry], refused: Iterable[tuple[str, str]]
) -> list[Operation]:
    """Return the patch that takes away what the server refuses beside Git's choice, and nobody has set.

    Args:
        body: What was to be applied.
        live: The object as it is.
        managed: Whose its fields are.
        refused: The server's causes, each as reason and field, as in ``spec.strategy.rollingUpdate``.

    Returns:
        Nothing where there is no such field. Each mapping is replaced that one lies in, by what it is to be.
    """
    others = [fields_of(entry) for entry in managed if not is_ours(entry)]
    found: dict[str, Operation] = {}
    for reason, field in refused:
        if reason in _REASONS and _PATH.fullmatch(field):
            operation = _way(body, live, others, _STEP.findall(field))
            if operation is not None:
                found.setdefault(operation["path"], operation)
    return list(found.values())


def _way(
    body: object, live: object, others: Sequence[fieldsets.Fields], path: Sequence[tuple[str, str]]
) -> Operation | None:
    steps: list[Step] = []
    pointer = ""
    *way, (leaf, index) = path
    for name, number in way:
        body, live = _get(body, name), _get(live, name)
        steps.append(name)
        pointer += f"/{name}"
        if number:
            element = live[int(number)] if isinstance(live, list) and int(number) < len(live) else None
            known_by = _get(element, _KEY)
            if not isinstance(known_by, str) or not isinstance(body, list):
                return None
            body, live = next((one for one in body if _get(one, _KEY) == known_by), None), element
            steps.append(((_KEY, known_by),))
            pointer += f"/{number}"
    if index or not isinstance(body, dict) or not isinstance(live, dict) or leaf in body or leaf not in live:
        return None
    if any(fieldsets.take(fields, (*steps, leaf)) for fields in others):
        return None
    value = {key: inner for key, inner in {**live, **body}.items() if key != leaf}
    return {"op": "replace", "path": pointer, "value": value}


def _get(value: object, key: str) -> Any:  # noqa: ANN401 - JSON has no smaller type
    return value.get(key) if isinstance(value, dict) else None
