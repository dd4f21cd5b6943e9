"""The entries of ``metadata.managedFields``: whose is what. Pure; the sets of fields in them are ``fieldsets``.

Entries are the server's JSON, and are never changed in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentk.apply import fieldsets
from agentk.apply.names import FIELD_MANAGER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentk.apply.fieldsets import Fields

Entry = dict[str, Any]

APPLY: Final = "Apply"
UPDATE: Final = "Update"


def entries(managed_fields: object) -> list[Entry]:
    """Return the entries of an object's ``managedFields``, whatever else may stand there."""
    if not isinstance(managed_fields, list):
        return []
    return [one for one in managed_fields if isinstance(one, dict) and isinstance(one.get("manager", ""), str)]


def is_ours(entry: Entry) -> bool:
    """Tell whether this is what our own applies set."""
    return entry.get("manager") == FIELD_MANAGER and entry.get("operation") == APPLY and not entry.get("subresource")


def fields_of(entry: Entry) -> Fields:
    """Return the set of fields of an entry."""
    return fieldsets.read(entry.get("fieldsV1"))


def ours(managed: Sequence[Entry]) -> Fields:
    """Return the fields that we apply."""
    found: Fields = {}
    for entry in managed:
        if is_ours(entry):
            found = fieldsets.union(found, fields_of(entry))
    return found


def with_fields(entry: Entry, fields: Fields) -> Entry | None:
    """Return the entry with another set of fields, None if that is empty."""
    return {**entry, "fieldsV1": fields} if fields else None


def compact(managed: Sequence[Entry | None]) -> list[Entry]:
    """Leave out entries that hold nothing any more.

    A list without entries makes the server fill it anew, as for an object from before there were managers; one with a
    single empty entry says that there are none.
    """
    return [one for one in managed if one] or [{}]
