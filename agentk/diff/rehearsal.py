"""A view of the cluster that only tries: each apply is a server-side dry run, and what it would change is kept.

Of a Secret, and of an object that was filled from one, nothing but metadata is asked for, and no value is compared with
what is there: "it differs" answers a guess. What is told of it, and of all that is filled, is the difference between
what Git says in the revision that runs and in the one that is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from agentk.apply.model import Live, Result
from agentk.apply.names import APPLY_TIME_MUTATION, FROM_SECRETS
from agentk.apply.rules.secretive import is_secret
from agentk.diff.fields import changes
from agentk.kube.errors import KubeError
from agentk.kube.objects import Applied, Objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentk.apply.model import Apply, Kind, Outcome, Plan
    from agentk.diff.fields import FieldChange
    from agentk.kube.client import KubeClient
    from agentlink.refs import ObjectRef

_NOT_FOUND = 404


class Rehearsal(Objects):
    """Tries one plan. ``taken`` gives what an apply would change, once."""

    def __init__(self, client: KubeClient, plan: Plan, running: Callable[[ObjectRef], bytes | None]) -> None:
        """Try on ``client`` what ``plan`` would do; ``running`` tells what Git says now of an object."""
        super().__init__(client)
        actions = [action for stage in plan.stages for action in stage.actions]
        self._plan = plan
        self._running = running
        self._actions = {action.desired.ref: action for action in actions}
        self._namespaces = {ref.name for ref in self._actions if (ref.group, ref.kind) == ("", "Namespace")}
        self._kinds = {kind for action in actions for kind in action.desired.defines}
        self._changes: dict[ObjectRef, tuple[FieldChange, ...]] = {}

    def taken(self, outcome: Outcome) -> tuple[FieldChange, ...]:
        """Return what applying an object would change, and forget it; of what was not looked at, what Git changes."""
        found = self._changes.pop(outcome.ref, None)
        action = self._actions.get(outcome.ref)
        if found is not None or action is None or outcome.result not in {Result.CREATED, Result.CONFIGURED}:
            return found or ()
        before = self._running(outcome.ref)
        after: dict[str, Any] = orjson.loads(self._plan.body_of(action.desired))
        return changes(orjson.loads(before) if before is not None else None, after)

    async def apply(self, kind: Kind, ref: ObjectRef, body: bytes, *, force: bool, dry_run: bool = False) -> Applied:
        """Try to apply one object, whatever ``dry_run`` says.

        What goes into a namespace, or is of a kind, that the same plan creates cannot be tried; it counts as created as
        it stands.
        """
        del dry_run
        hidden = _is_hidden(self._actions[ref])
        before = None if hidden else await self.read(kind, ref)
        try:
            if hidden or _was_filled(before):
                return await super().apply(kind, ref, body, force=force, dry_run=True)
            applied, after = await self.rehearse(kind, ref, body, force=force)
        except KubeError as error:
            coming = ref.namespace in self._namespaces or kind in self._kinds
            if error.status != _NOT_FOUND or not coming:
                raise
            applied, after = Applied(Live(ref, "", ""), created=True), orjson.loads(body)
        self._changes[ref] = changes(before, after)
        return applied


def _is_hidden(action: Apply) -> bool:
    """Tell whether an object may not be looked at, as far as was known when the plan was made."""
    ordering = action.desired.ordering
    filled = ordering is not None and bool(ordering.mutations)
    return filled or is_secret(action.desired.ref) or action.from_secrets


def _was_filled(document: dict[str, Any] | None) -> bool:
    """Tell whether an object was filled, with whatever its source had been filled with."""
    annotations = document["metadata"].get("annotations") or {} if document is not None else {}
    return APPLY_TIME_MUTATION in annotations or FROM_SECRETS in annotations
