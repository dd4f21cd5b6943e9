"""How a difference reads: lines that begin with ``+``, ``-`` or a space, by object and field. Pure.

Values come as JSON and are shown as YAML, which is what people wrote; texts of several lines line by line. Nothing here
is inert yet; ``kas.cli.diff`` sees to that for every line.
"""

from __future__ import annotations

import difflib
import json
from enum import Enum
from typing import TYPE_CHECKING, Final

from kas.cli.views import object_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kas.web.operation_payloads import FieldDiff, ObjectDiff, ProjectDiff
    from kas.web.payloads import Counts

CONTEXT: Final = 3
"""Unchanged lines around a change within one value."""

COUNTED: Final = ("created", "configured", "pruned", "unchanged", "skipped", "failed")
CHANGES: Final = ("created", "configured", "pruned")


class Mark(Enum):
    """What a line says."""

    TITLE = "title"
    PLACE = "place"
    ADDED = "added"
    REMOVED = "removed"
    SAME = "same"
    BAD = "bad"


Line = tuple[Mark, str]


def project_lines(value: ProjectDiff) -> Iterator[Line]:
    """Name a project and what it is compared at."""
    yield Mark.SAME, f"project {value['project']} @ {value['commit'][:8]} ({value['ref']})"


def object_lines(value: ObjectDiff) -> Iterator[Line]:
    """Write what would become of one object."""
    result = value["result"] or "unknown"
    where = f"  {value['path']}" if value["path"] else ""
    said = value["message"] or value["reason"]
    yield Mark.BAD if result == "failed" else Mark.TITLE, f"{result} {object_name(value['object'])}{where}"
    if said:
        yield Mark.BAD if result == "failed" else Mark.PLACE, f"  {said}"
    for field in value["fields"]:
        yield from _field_lines(field)


def _field_lines(field: FieldDiff) -> Iterator[Line]:
    if field["path"]:
        yield Mark.PLACE, f"  @ {field['path']}"
    before, after = _lines(field["before"]), _lines(field["after"])
    for line in difflib.unified_diff(before, after, n=CONTEXT, lineterm=""):
        match line[:1]:
            case "+" if not line.startswith("+++"):
                yield Mark.ADDED, f"  + {line[1:]}"
            case "-" if not line.startswith("---"):
                yield Mark.REMOVED, f"  - {line[1:]}"
            case " ":
                yield Mark.SAME, f"    {line[1:]}"
            case _:
                pass


def _lines(text: str) -> Sequence[str]:
    """Return the lines of a value that is JSON; what is not is shown as it is."""
    if not text:
        return ()
    try:
        value = json.loads(text)
    except ValueError:
        return text.splitlines()
    if isinstance(value, str) and "\n" in value:
        return value.split("\n")
    if not isinstance(value, dict | list):
        return (text,)
    import yaml  # noqa: PLC0415 -- a quarter of a second, needed only for values that are more than one line

    written: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10**6)
    return written.splitlines()


def summary(counts: Counts) -> str:
    """Write the counts of a project: ``1 created, 12 unchanged``."""
    numbers: Mapping[str, int] = {
        "created": counts["created"],
        "configured": counts["configured"],
        "pruned": counts["pruned"],
        "unchanged": counts["unchanged"],
        "skipped": counts["skipped"],
        "failed": counts["failed"],
    }
    return ", ".join(f"{numbers[word]} {word}" for word in COUNTED if numbers[word]) or "no objects"
