"""How one object is applied: whose fields are taken or left, and what the server's answer says about it.

When it is its turn is ``execute``'s; what may be taken from whom is decided by the rules: ``migrate``, ``ignore``,
``conflict``, ``recreate``. Nearly every object is one request; the others here are for what few objects need.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import orjson

from agentk.apply.managers import entries
from agentk.apply.model import Outcome, Propagation, Result
from agentk.apply.names import FROM_SECRETS
from agentk.apply.pointers import PointerError
from agentk.apply.rules import migrate
from agentk.apply.rules.blame import changes
from agentk.apply.rules.conflict import refuse_to_force
from agentk.apply.rules.controllers import left_words
from agentk.apply.rules.drift import CORRECTED, DRIFTED, describe
from agentk.apply.rules.ignore import hand_over
from agentk.apply.rules.recreate import RECREATED, refuse_change, refuse_strangers
from agentk.apply.rules.refused import refusal_of
from agentk.apply.rules.secretive import is_secret
from agentk.apply.rules.union import MADE_WAY, ways
from agentk.kube.errors import KubeError, NotOwnedError, UidConflictError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from agentk.apply.managers import Entry
    from agentk.apply.model import Apply
    from agentk.apply.rules.union import Operation
    from agentk.kube.objects import Applied, Objects
    from agentlink.refs import ObjectRef

_CONFLICT: Final = 409
_INVALID: Final = 422
_CLUSTER_LOST: Final = frozenset({"Unreachable", "Untrusted", "NoCredentials", "Unauthorized", "NotLeader"})
"""Failures that are not about the object: every other one would fail the same way, each after all its retries."""

_MARK: Final = FROM_SECRETS.encode()
_MARKED: Final = f"/metadata/annotations/{FROM_SECRETS.replace('/', '~1')}"

_ATTEMPTS: Final = 5
"""How often it is decided anew whose fields are whose, when controllers keep changing the object meanwhile."""

_GONE_SECONDS: Final = 60.0
"""How long an object may take to go before it is created again; then the sync fails for now, and looks again."""

_FIRST_POLL_SECONDS: Final = 0.05
_LONGEST_POLL_SECONDS: Final = 1.0


async def apply_one(objects: Objects, action: Apply, body: bytes, *, dry_run: bool) -> Outcome:
    """Apply one object and say what became of it.

    Args:
        objects: The cluster.
        action: What to do.
        body: The object as JSON.
        dry_run: Whether the server is to store nothing.

    Raises:
        KubeError: The cluster is lost, which is nothing about this object.
    """
    try:
        return await _Applying(objects, action, body, dry_run=dry_run).run()
    except KubeError as error:
        outcome = failed(error, action.desired.ref, action.desired.path)
    if action.rehearse and action.drift is not None:
        # Finding out what drifted was refused, by a webhook that knows no dry run for one; that it did is known.
        return Outcome(action.desired.ref, Result.SKIPPED, action.desired.path, DRIFTED, describe(action.drift))
    return outcome


def failed(error: KubeError, ref: ObjectRef, path: str) -> Outcome:
    """Say that a request about an object failed, unless the cluster itself is lost: that is raised again."""
    if error.reason in _CLUSTER_LOST:
        raise error
    why = refusal_of(error.reason, error.message)
    return Outcome(ref, Result.FAILED, path, why.reason, why.message)


class _Applying:
    """One object on its way."""

    def __init__(self, objects: Objects, action: Apply, body: bytes, *, dry_run: bool) -> None:
        self._objects = objects
        self._action = action
        self._body = body
        self._desired = action.desired
        self._ref, self._kind = action.desired.ref, action.desired.kind
        self._rehearsal = dry_run
        self._writes = not dry_run and not action.rehearse
        traits = action.desired.traits
        self._left = traits.left if traits is not None else ()
        if action.from_secrets and _MARK not in body:
            # It is not filled from a Secret any more; what it was filled with may still be there, and so stays marked.
            self._left = (*self._left, _MARKED)
        self._full = traits.full if traits is not None else None
        self._said = ("", "")

    async def run(self) -> Outcome:
        action = self._action
        found = await self._objects.look(self._kind, self._ref) if action.explain and action.live_version else None
        if self._writes and action.live_version and (action.migrate or self._left):
            await self._arrange(found)
        try:
            applied = await self._apply()
        except KubeError as error:
            if action.rehearse:
                raise
            if operations := await self._ways(error):
                if self._rehearsal:
                    return Outcome(self._ref, Result.CONFIGURED, self._desired.path, "DryRun", MADE_WAY)
                await self._make_way(operations, error)
                return self._outcome(await self._settle(await self._apply()), found)
            if not error.immutable:
                raise
            if self._rehearsal and action.recreate:
                message = "cannot be changed in place, and would be deleted and created again"
                return Outcome(self._ref, Result.CONFIGURED, self._desired.path, "DryRun", message)
            applied = await self._recreate(error)
            self._said = RECREATED, f"was deleted and created again: {'; '.join(error.immutable)}"
        if self._writes:
            applied = await self._settle(applied)
        return self._outcome(applied, found)

    async def _apply(self) -> Applied:
        """Apply it: whole where it does not exist, otherwise without what is left to others."""
        if self._full is not None and self._action.live_version is None:
            return await self._send_or_force(self._full)
        applied = await self._send_or_force(self._body)
        if applied.created and self._full is not None and self._writes:
            # It was deleted in this moment. What is left to others must be there from the beginning.
            return replace(await self._send_or_force(self._full), created=True)
        return applied

    async def _make_way(self, operations: list[Operation], error: KubeError) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                return await self._objects.change(self._kind, self._ref, operations)
            except KubeError as conflict:
                if conflict.status != _CONFLICT or attempt == _ATTEMPTS - 1:
                    raise
            # Its controller has written its status meanwhile, or somebody has changed more than that.
            operations = await self._ways(error)
            if not operations:
                raise error
        return None

    async def _ways(self, error: KubeError) -> list[Operation]:
        """Return what takes away fields that the server filled in, and refuses beside what is applied."""
        # Of a Secret nothing is read, and it has no unions.
        if error.status != _INVALID or self._action.live_version is None or is_secret(self._ref):
            return []
        live = await self._objects.read(self._kind, self._ref)
        metadata = live.get("metadata") if live is not None else None
        if live is None or not isinstance(metadata, dict):
            return []
        refused = [(cause.reason, cause.field) for cause in error.causes]
        operations = ways(orjson.loads(self._body), live, entries(metadata.get("managedFields")), refused)
        version = {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata.get("resourceVersion")}
        return [version, *operations] if operations else []

    async def _send_or_force(self, body: bytes) -> Applied:
        try:
            return await self._send(body, force=self._action.force)
        except KubeError as error:
            conflicts = [(one.message, one.field) for one in error.causes if one.reason == "FieldManagerConflict"]
            if error.status != _CONFLICT or not conflicts:
                raise
            refusal = None if self._action.force_conflicts else refuse_to_force(conflicts, error.message)
            if refusal is not None:
                raise KubeError(error.status, refusal.reason, refusal.message) from error
        return await self._send(body, force=True)

    def _send(self, body: bytes, *, force: bool) -> Coroutine[None, None, Applied]:
        return self._objects.apply(self._kind, self._ref, body, force=force, dry_run=not self._writes)

    async def _arrange(self, found: Applied | None) -> None:
        """Before an object that exists is applied: make ours what kubectl applied, hand over what is left to others."""
        await self._rewrite(found)

    def _arranged(self, managed: Sequence[Entry]) -> list[Entry]:
        if migrate.is_due(managed):
            managed = migrate.take_over(managed, self._kind.api_version)
        try:
            return hand_over(managed, self._left)
        except PointerError as error:
            raise KubeError(_INVALID, "InvalidIgnoreRule", str(error)) from error

    async def _settle(self, applied: Applied) -> Applied:
        """After the apply: hand over what was set only for the beginning, and end others' share in what is ours now."""
        if not applied.live.migrate and (self._full is None or not self._left):
            return applied
        try:
            settled = await self._rewrite(applied)
        except KubeError as error:
            if error.status != _CONFLICT:
                raise
            # Controllers keep changing it. The object is as it should be, and its next apply asks again.
            return applied
        return applied if settled is None else replace(settled, created=applied.created)

    async def _rewrite(self, known: Applied | None) -> Applied | None:
        """Write anew whose fields are whose, if that changes anything; return the object as it then is.

        ``known`` is the object as it was seen last, None to look. None is returned when there is no object.
        """
        for attempt in range(_ATTEMPTS):
            if known is None:
                known = await self._objects.look(self._kind, self._ref)
                if known is None:
                    return None
            wanted = self._arranged(known.managed)
            if wanted == known.managed:
                return known
            try:
                return await self._objects.own(self._kind, self._ref, wanted, known.live.resource_version)
            except KubeError as error:
                if error.status != _CONFLICT or attempt == _ATTEMPTS - 1:
                    raise
                known = None
        return known

    async def _recreate(self, error: KubeError) -> Applied:
        """Delete what cannot be changed, wait until it is gone, and create it, where that is allowed."""
        uid = self._action.recreate
        if not uid:
            refusal = refuse_change(self._ref, error.immutable)
            raise KubeError(error.status, refusal.reason, refusal.message) from error
        try:
            await self._objects.delete(
                self._kind, self._ref, uid=uid, owner=self._action.owner, propagation=Propagation.FOREGROUND
            )
        except UidConflictError as conflict:
            message = f"was not recreated: somebody else just did; {conflict.message}"
            raise KubeError(conflict.status, "Recreated", message) from conflict
        except NotOwnedError as stranger:
            refusal = refuse_strangers(error.immutable, self._action.owner)
            raise KubeError(error.status, refusal.reason, refusal.message) from stranger
        await self._gone(uid)
        return await self._send_or_force(self._full or self._body)

    async def _gone(self, uid: str) -> None:
        pause = _FIRST_POLL_SECONDS
        try:
            async with asyncio.timeout(_GONE_SECONDS):
                while (live := await self._objects.get(self._kind, self._ref)) is not None and live.uid == uid:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_POLL_SECONDS)
        except TimeoutError:
            message = f"was deleted to be created again, and is not gone after {_GONE_SECONDS:g} s; see its finalizers"
            raise KubeError(_CONFLICT, "RecreateWaits", message) from None

    def _outcome(self, applied: Applied, found: Applied | None) -> Outcome:
        action, desired, live = self._action, self._desired, applied.live
        if action.drift is None:
            told = ""
        else:
            told = describe(action.drift, changes(found.managed, applied.managed) if found is not None else ())
        if action.rehearse:
            return Outcome(self._ref, Result.SKIPPED, desired.path, DRIFTED, told)
        if applied.created:
            result = Result.CREATED
        elif live.resource_version == action.live_version and not self._rehearsal:
            result = Result.UNCHANGED
        else:
            result = Result.CONFIGURED
        if self._rehearsal:
            # Nothing is stored, so the version never moves; what was planned is the best that is known.
            return Outcome(self._ref, result, desired.path, "DryRun")
        if self._said[0]:
            reason, message = self._said
        elif told and result is not Result.UNCHANGED:
            reason, message = CORRECTED, told
        else:
            reason, message = left_words(desired)
        return Outcome(
            self._ref,
            result,
            desired.path,
            reason,
            message,
            digest=desired.digest.hex(),
            fingerprint=live.fingerprint or "",
            uid=live.uid,
            resource_version=live.resource_version,
            live=live,
        )
