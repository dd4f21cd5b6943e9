"""Fields from other objects, read and filled in just before an object is applied.

What is recorded of such an object is the digest of what was sent, so that filling it anew tells whether a source has
changed: equal digests, and nothing is sent. What may be filled in how is ``rules.mutate``'s to say, from where and to
where ``rules.reach``'s, and what may come of it ``rules.filled``'s. A rehearsal takes nothing that a Secret holds.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson

from agentk.apply.bounds import CLOSED, Bounds
from agentk.apply.kinds import served_as
from agentk.apply.model import Outcome, Refusal, Result
from agentk.apply.names import FROM_SECRETS
from agentk.apply.rules.filled import refuse_filled
from agentk.apply.rules.ignore import leave_out
from agentk.apply.rules.mutate import MutationError, substitute
from agentk.apply.rules.reach import is_tainted, refuse_source, refuse_target
from agentk.apply.rules.secretive import is_secret, takes_secrets
from agentk.apply.rules.string_data import fold
from agentk.apply.traits import written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.apply.kinds import Kinds
    from agentk.apply.model import Apply, Desired
    from agentk.kube.objects import Objects
    from agentlink.refs import ObjectRef

UNTRIED: Final = "SecretNotRead"
"""The reason of an object that a rehearsal does not try, because it would have to read a Secret for that."""


class _RefusedError(Exception):
    def __init__(self, why: Refusal) -> None:
        super().__init__(why.message)
        self.why = why


class _UntriedError(Exception):
    """A rehearsal would have to take what a Secret holds."""


@dataclass(frozen=True, slots=True)
class Filling:
    """How the objects of one run are filled. ``bounds`` are the project's; in a ``rehearsal`` no Secret is read."""

    objects: Objects
    kinds: Kinds
    bounds: Bounds
    rehearsal: bool

    @classmethod
    def of(cls, objects: Objects, kinds: Kinds, bounds: Bounds | None, *, rehearsal: bool) -> Filling:
        """Prepare; without ``bounds`` nothing may be taken from anywhere."""
        return cls(objects, kinds, bounds or CLOSED, rehearsal)

    async def fill(self, action: Apply, body: bytes) -> Apply | Outcome:
        """Return the apply with its fields filled into its body, or the outcome where there is nothing to send.

        Raises:
            KubeError: A source cannot be read for another reason than that it does not exist.
        """
        desired = action.desired
        try:
            sources, tainted = await self._read(desired)
            filled = self._filled(desired, body, sources, tainted)
        except _UntriedError:
            result = Result.CREATED if action.live_version is None else Result.CONFIGURED
            message = "takes fields from Secrets, which a rehearsal does not read; so it was not tried"
            return Outcome(desired.ref, result, desired.path, UNTRIED, message)
        except _RefusedError as error:
            return Outcome(desired.ref, Result.FAILED, desired.path, error.why.reason, error.why.message)
        except MutationError as error:
            return Outcome(desired.ref, Result.FAILED, desired.path, "MutationFailed", str(error))
        if filled.digest.hex() == action.settled:
            return Outcome(desired.ref, Result.UNCHANGED, desired.path)
        return replace(action, desired=filled, from_secrets=action.from_secrets or bool(tainted))

    async def _read(self, desired: Desired) -> tuple[dict[ObjectRef, Mapping[str, Any]], frozenset[ObjectRef]]:
        """Read the sources; return them, and those of them that hold what a Secret holds."""
        if self.rehearsal and takes_secrets(desired.ordering):
            raise _UntriedError
        mutations = desired.ordering.mutations if desired.ordering is not None else ()
        sources: dict[ObjectRef, Mapping[str, Any]] = {}
        for ref in dict.fromkeys(one.source for one in mutations):
            sources[ref] = await self._read_one(ref)
            _check(refuse_source(ref, sources[ref], self.bounds))
        tainted = frozenset(ref for ref, found in sources.items() if is_tainted(ref, found))
        if self.rehearsal and tainted:
            raise _UntriedError
        for one in mutations:
            _check(refuse_target(desired.ref, one, self.bounds, from_secret=one.source in tainted))
        return sources, tainted

    async def _read_one(self, ref: ObjectRef) -> Mapping[str, Any]:
        """Read a source, empty where there is none."""
        kind = served_as(self.kinds, ref)
        if kind is None:
            return {}
        if self.rehearsal and (live := await self.objects.get(kind, ref)) is not None and live.from_secrets:
            raise _UntriedError
        return await self.objects.read(kind, ref) or {}

    def _filled(
        self,
        desired: Desired,
        body: bytes,
        sources: Mapping[ObjectRef, Mapping[str, Any]],
        tainted: frozenset[ObjectRef],
    ) -> Desired:
        """Return the object with its fields filled, judged by the rules that judged its manifest."""
        traits, mutations = desired.traits, desired.ordering.mutations if desired.ordering is not None else ()
        before = orjson.loads(traits.full if traits is not None and traits.full is not None else body)
        document = substitute(deepcopy(before), mutations, sources)
        _check(refuse_filled(desired.ref, before, document, self.bounds))
        fold(document)
        marked = bool(tainted) and not is_secret(desired.ref)
        full = _written(document, marked=marked)
        if traits is not None and traits.left:
            traits = replace(traits, full=full if leave_out(document, traits.left) else None)
        body = _written(document, marked=marked)
        return replace(desired, body=body, digest=blake2b(body, digest_size=8).digest(), traits=traits)


def may_tell_secrets(action: Apply) -> bool:
    """Tell whether a Secret's value may be in an object of another kind, so that no text about it may be passed on."""
    return action.from_secrets or takes_secrets(action.desired.ordering)


def withheld(outcome: Outcome) -> Outcome:
    """Return a failure without the server's text, which may quote what was filled in."""
    if outcome.result is not Result.FAILED:
        return outcome
    message = f"refused ({outcome.reason}); the server's text is withheld because it may quote a value of a Secret"
    return replace(outcome, message=message)


def _check(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise _RefusedError(refusal)


def _written(document: dict[str, Any], *, marked: bool) -> bytes:
    """Write an object; ``marked`` as one that holds a Secret's value, which nobody may leave to others."""
    if marked:
        document["metadata"]["annotations"][FROM_SECRETS] = "true"
    return written(document)
