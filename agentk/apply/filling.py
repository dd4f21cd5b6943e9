"""Fields from other objects, read and filled in just before an object is applied.

What is recorded of such an object is the digest of what was sent, so that filling it anew tells whether a source has
changed: equal digests, and nothing is sent. What may be filled in how is ``rules.mutate``'s.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from agentk.apply.model import Outcome, Result
from agentk.apply.rules.mutate import MutationError, substitute
from agentk.apply.rules.own import is_key

if TYPE_CHECKING:
    from agentk.apply.kinds import Kinds
    from agentk.apply.model import Apply
    from agentk.kube.objects import Objects
    from agentlink.refs import ObjectRef


async def fill(objects: Objects, kinds: Kinds, action: Apply, body: bytes) -> Apply | Outcome:
    """Return the apply with its fields filled into its body, or the outcome where there is nothing to send.

    Raises:
        KubeError: A source cannot be read for another reason than that it does not exist.
    """
    desired = action.desired
    mutations = desired.ordering.mutations if desired.ordering is not None else ()
    sources: dict[ObjectRef, object] = {}
    for ref in dict.fromkeys(one.source for one in mutations):
        if is_key(ref):
            message = f"takes a field from {ref}, which is agentk's own; nothing is filled from it"
            return Outcome(desired.ref, Result.FAILED, desired.path, "Protected", message)
        kind = kinds.find(ref.group, ref.kind, "")
        found = await objects.read(kind, ref) if kind is not None else None
        if found is None:
            message = f"takes a field from {ref}, which does not exist"
            return Outcome(desired.ref, Result.FAILED, desired.path, "DependencyNotFound", message)
        sources[ref] = found
    traits = desired.traits
    try:
        body = substitute(body, mutations, sources)
        if traits is not None and traits.full is not None:
            traits = replace(traits, full=substitute(traits.full, mutations, sources))
    except MutationError as error:
        return Outcome(desired.ref, Result.FAILED, desired.path, "MutationFailed", str(error))
    digest = blake2b(body, digest_size=8).digest()
    if digest.hex() == action.settled:
        return Outcome(desired.ref, Result.UNCHANGED, desired.path)
    return replace(action, desired=replace(desired, body=body, digest=digest, traits=traits))


def takes_secrets(action: Apply) -> bool:
    """Tell whether a Secret's value may be in the object, so that no text about it may be passed on."""
    ordering = action.desired.ordering
    sources = (one.source for one in ordering.mutations) if ordering is not None else ()
    return any((ref.group, ref.kind) == ("", "Secret") for ref in sources)


def withheld(outcome: Outcome) -> Outcome:
    """Return a failure without the server's text, which may quote what was filled in."""
    if outcome.result is not Result.FAILED:
        return outcome
    message = f"refused ({outcome.reason}); the server's text is withheld because it may quote a value of a Secret"
    return replace(outcome, message=message)
