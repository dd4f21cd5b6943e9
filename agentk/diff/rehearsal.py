"""A view of the cluster that only tries: each apply is a server-side dry run, and what it would change is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from agentk.apply.model import Live
from agentk.diff.fields import changes
from agentk.kube.errors import KubeError
from agentk.kube.objects import Applied, Objects

if TYPE_CHECKING:
    from agentk.apply.model import Kind, Plan
    from agentk.diff.fields import FieldChange
    from agentk.kube.client import KubeClient
    from agentlink.refs import ObjectRef

_NOT_FOUND = 404


class Rehearsal(Objects):
    """Tries one plan. ``taken`` gives what an apply would change, once."""

    def __init__(self, client: KubeClient, plan: Plan) -> None:
        """Try on ``client`` what ``plan`` would do."""
        super().__init__(client)
        desired = [action.desired for stage in plan.stages for action in stage.actions]
        self._namespaces = {one.ref.name for one in desired if (one.ref.group, one.ref.kind) == ("", "Namespace")}
        self._kinds = {kind for one in desired for kind in one.defines}
        self._changes: dict[ObjectRef, tuple[FieldChange, ...]] = {}

    def taken(self, ref: ObjectRef) -> tuple[FieldChange, ...]:
        """Return what applying this object would change, and forget it."""
        return self._changes.pop(ref, ())

    async def apply(self, kind: Kind, ref: ObjectRef, body: bytes, *, force: bool, dry_run: bool = False) -> Applied:
        """Try to apply one object, whatever ``dry_run`` says.

        What goes into a namespace, or is of a kind, that the same plan creates cannot be tried; it counts as created as
        it stands.
        """
        del dry_run
        before = await self.read(kind, ref)
        try:
            applied, after = await self.rehearse(kind, ref, body, force=force)
        except KubeError as error:
            coming = ref.namespace in self._namespaces or kind in self._kinds
            if error.status != _NOT_FOUND or not coming:
                raise
            applied, after = Applied(Live(ref, "", ""), created=True), orjson.loads(body)
        self._changes[ref] = changes(before, after)
        return applied
