"""What a project owns, as its inventory says, and what of that is yet to be written.

Names are written before the first apply, what came of it after the last, so that a crash at any point forgets nothing;
when that is, is ``sync``'s to say. How an inventory looks is ``agentk.apply.inventory``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentk.apply.model import Recorded, Result
from agentk.apply.records import Records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.apply.identity import Identity
    from agentk.apply.inventory import InventoryError
    from agentk.apply.model import Outcome
    from agentk.kube.inventory_store import InventoryStore
    from agentlink.refs import ObjectRef

_LET_GO = frozenset({"Released", "Recreated"})
"""Reasons of objects that exist, and are not ours any more."""


class Bookkeeping:
    """One project's inventory, as far as this process knows it. Without ``known`` it has to be read."""

    def __init__(self, store: InventoryStore) -> None:
        self._store = store
        self._records = Records()
        self._trusted = False
        self._unwritten: dict[ObjectRef, bool] = {}
        """Whether each of these is to be written, or forgotten."""
        self.proven = True
        """Whether the inventory says that it is the project's; one that is not there yet will."""
        self.damage: InventoryError | None = None
        """Why the inventory may own more than it says; nothing is pruned then, and it is read again each time."""

    @property
    def known(self) -> Mapping[ObjectRef, Recorded] | None:
        """Return what is recorded, None where that is not known (any more)."""
        return self._records if self._trusted else None

    @property
    def strays(self) -> str:
        """Return which ConfigMaps look like the inventory and have no effect, empty if none does."""
        return self._store.strays

    @property
    def beside(self) -> Mapping[str, Identity]:
        """Return what the inventories in the same namespace said, by their ids, when this one was looked for."""
        return self._store.said

    @property
    def place(self) -> ObjectRef:
        """Return where it is kept."""
        return self._store.head.ref

    async def read(self) -> Mapping[ObjectRef, Recorded]:
        """Return what is recorded, read from the cluster if need be; it is kept up to date by what is noted.

        Raises:
            KubeError, InventoryError: It cannot be read.
        """
        if not self._trusted or self.damage is not None:
            self._trusted = False
            inventory = await self._store.read()
            self._records = inventory.records if inventory else Records()
            self.damage = inventory.damage if inventory else None
            self.proven = inventory.proven if inventory else True
            self._unwritten.clear()
            self._trusted = True
        return self._records

    async def peek(self) -> Mapping[ObjectRef, Recorded]:
        """Return what is recorded now, without a trace: nothing is known from it afterwards.

        Raises:
            KubeError, InventoryError: It cannot be read.
        """
        inventory = await self._store.beside().read()
        return inventory.records if inventory else Records()

    def prove(self) -> None:
        """Have the inventory say that it is the project's."""
        self._store.prove()
        self.proven = True

    @property
    def selection(self) -> Mapping[str, str] | None:
        """Return what selected the objects when they were applied, None where that is not known."""
        return self._store.selection

    async def remember(self, selection: Mapping[str, str]) -> None:
        """Write what has selected the objects, unless it is what is known.

        Raises:
            KubeError, InventoryError: As ``write``.
        """
        if selection != self._store.selection:
            self._store.selection = selection
            await self.write()

    def distrust(self) -> None:
        """Read it anew the next time."""
        self._trusted = False

    def record(self, one: Recorded) -> None:
        """Take note of an object that the project owns from now on, or what became of it."""
        if self._records.put(one):
            self._unwritten[one.ref] = True

    def forget(self, ref: ObjectRef) -> None:
        """Take note that an object is gone, or not the project's any more."""
        if ref in self._records:
            del self._records[ref]
            self._unwritten[ref] = False

    def note(self, outcome: Outcome) -> None:
        """Take note of what an action did to an object."""
        pruned = outcome.result is Result.PRUNED and outcome.uid and not outcome.reason
        if pruned or (outcome.result is Result.SKIPPED and outcome.reason in _LET_GO):
            self.forget(outcome.ref)
        elif outcome.digest:
            self.record(Recorded(outcome.ref, outcome.digest, outcome.fingerprint, outcome.uid))

    async def write(self) -> None:
        """Write what changed since the last time; costs as much as that is.

        Raises:
            KubeError, InventoryError: Not written whole, and what is remembered is forgotten: the next sync reads it.
        """
        unwritten, self._unwritten = self._unwritten, {}
        try:
            await self._store.write(
                self._records.some(ref for ref, stays in unwritten.items() if stays),
                [ref for ref, stays in unwritten.items() if not stays],
            )
        except BaseException:
            self._trusted = False
            raise
