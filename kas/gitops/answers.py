"""From what agents answer to frozen values. Pure; nothing from an agent is trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kas.reports.convert import RESULTS, counts_of, ref_of
from kas.reports.texts import SENTENCE, WORD, inert

if TYPE_CHECKING:
    from agentlink.refs import ObjectRef
    from agentlink.v1 import agentlink_pb2 as wire
    from kas.store.records import Counts

_FIELDS: Final = 1000
"""The most fields told of one object; agentk tells half of that."""

_VALUE: Final = 32 * 1024
"""The most characters of one value; agentk sends a quarter of that."""


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """One field: its JSON pointer (empty: the object as a whole), and its values as JSON, empty where there is none."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ObjectDiff:
    """What would become of one object; ``result`` as in ``kas.store.records.ObjectRecord``."""

    object: ObjectRef
    result: str
    reason: str
    message: str
    path: str
    fields: tuple[FieldDiff, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """A part of an answer. ``reason`` and ``message`` are empty where all is well; the last part has ``counts``."""

    objects: tuple[ObjectDiff, ...]
    done: bool
    reason: str
    message: str
    counts: Counts


def answered(part: wire.AnswerRequest) -> Answered:
    """Read a part; names that cannot be names are left out, texts are bounded and inert, values bounded."""
    return Answered(
        objects=tuple(found for one in part.objects if (found := _object(one)) is not None),
        done=part.done,
        reason=inert(part.reason, WORD),
        message=inert(part.message, SENTENCE, lines=True),
        counts=counts_of(part.counts),
    )


def _object(one: wire.ObjectDiff) -> ObjectDiff | None:
    ref = ref_of(one.object)
    if ref is None:
        return None
    return ObjectDiff(
        object=ref,
        result=RESULTS.get(one.result, ""),
        reason=inert(one.reason, WORD),
        message=inert(one.message, SENTENCE, lines=True),
        path=inert(one.path, SENTENCE),
        fields=tuple(
            # Values stay JSON, which readers make inert in their own way.
            FieldDiff(inert(field.path, SENTENCE), field.before[:_VALUE], field.after[:_VALUE])
            for field in one.fields[:_FIELDS]
        ),
    )
