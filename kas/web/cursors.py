"""Where the next page of a tree begins: a word for callers to hand back, which means nothing to them. Pure."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import orjson

from agentlink.refs import ObjectRef
from kas.store.objects import Place
from kas.web.errors import bad_request

if TYPE_CHECKING:
    from kas.store.records import ObjectRecord

_LONGEST = 8192
"""Characters; the longest names that are stored fit."""

_MOST_ID = 2**63


def cursor_after(record: ObjectRecord) -> str:
    """Return the cursor of the page that begins after an object."""
    ref = record.object
    parts = orjson.dumps([record.project_id, ref.group, ref.kind, ref.namespace, ref.name])
    return base64.urlsafe_b64encode(parts).decode().rstrip("=")


def read_cursor(text: str) -> Place:
    """Read a cursor.

    Raises:
        ApiError: it is none that kas has given.
    """
    place = _place_of(text)
    if place is None:
        raise bad_request("parameter cursor is none that kas has given", "use what `next` of the page before says")
    return place


def _place_of(text: str) -> Place | None:
    if len(text) > _LONGEST or not text.isascii():
        return None
    try:
        parts = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        project_id, group, kind, namespace, name = parts
    except (ValueError, TypeError):
        return None
    if type(project_id) is not int or abs(project_id) >= _MOST_ID:
        return None
    # What is stored is printable, and a database need not be asked about anything else.
    if not all(isinstance(one, str) and one.isprintable() for one in (group, kind, namespace, name)):
        return None
    return Place(project_id, ObjectRef(group, kind, namespace, name))
