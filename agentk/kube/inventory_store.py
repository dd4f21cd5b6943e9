"""Keeping an inventory in its ConfigMaps: finding it, reading it, and writing no more than what changed.

The first ConfigMap, the head, is what cli-utils wrote, so an inventory of GitLab's agent is found and taken over. What
does not fit there is in further ones beside it. Only what has the expected name in the expected namespace counts:
labels anybody can write anywhere. How entries are written is ``agentk.apply.inventory``, which is where and in what
order a change is written ``agentk.apply.shards``; what belongs into an inventory is the engine's business.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import orjson

from agentk.apply.identity import annotations_of, claim_of
from agentk.apply.inventory import InventoryError
from agentk.apply.model import Refusal
from agentk.apply.names import FIELD_MANAGER, INVENTORY_LABEL, INVENTORY_SHARD, INVENTORY_SHARDS
from agentk.apply.records import Records
from agentk.apply.remembered import annotation_of, selection_in
from agentk.apply.rules.whose import choose, refuse_words
from agentk.apply.seal import Seal
from agentk.apply.shards import HEAD, Create, Delete, Layout, Patch, number_of, written
from agentk.kube.client import MERGE_PATCH, METADATA, METADATA_LIST
from agentk.kube.errors import InventoryConflictError, KubeError
from agentk.kube.failures import read_object
from agentk.kube.inventory_claims import CONFIG_MAP as _CONFIG_MAP
from agentk.kube.inventory_claims import claims_in
from agentk.kube.inventory_faults import SHARD, anothers, changed_since, headless, missing
from agentk.kube.inventory_maps import (
    SHOWN,
    Document,
    StoredMap,
    document_of,
    elsewhere,
    fault_in,
    is_done,
    listed_by,
    stored_of,
)
from agentk.kube.paths import collection_path, object_path
from agentk.kube.retry import RetryPolicy
from agentk.kube.sending import Sender
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentk.apply.identity import Identity
    from agentk.apply.model import Recorded
    from agentk.apply.shards import Write
    from agentk.kube.client import KubeClient
    from agentk.kube.inventory_key import InventoryKey

_PAGE: Final = 20
"""ConfigMaps in a page of the list: 6 MB of JSON if all are full."""

_ON_THE_SPOT: Final = 1_000
"""Entries whose change is decided in a few milliseconds; more of them in a thread, so that nobody waits."""

_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409


@dataclass(frozen=True, slots=True)
class Inventory:
    """An inventory as it was read, and its head.

    With ``damage`` it may own more than ``records`` says. ``proven``: it says itself that it is the project's.
    """

    records: Records
    namespace: str
    name: str
    uid: str
    resource_version: str
    damage: InventoryError | None = None
    proven: bool = True


class InventoryStore:
    """The inventory with one id, or of one identity.

    One writer at a time; another's write is noticed, never overwritten.
    """

    def __init__(
        self,
        client: KubeClient,
        inventory_id: str,
        *,
        namespace: str,
        key: InventoryKey,
        identity: Identity | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        """Describe an inventory; nothing is sent.

        Args:
            client: The connection.
            inventory_id: ``<agent id>-<project id>``: the value of its label, and the end of its name.
            namespace: Where it is.
            key: What its values are sealed with.
            identity: Whose it is to say that it is; None: nothing, and it may say anything.
            retries: How often and how far apart requests are repeated.
        """
        self._sender = Sender(client, retries or RetryPolicy())
        self._id = inventory_id
        self._namespace = namespace
        self._key = key
        self._identity = identity
        self._said: Mapping[str, str] = {}
        self._proven = False
        self._layout: Layout | None = None
        self._stored: dict[int, StoredMap] = {}
        # Whose the inventories of the namespace said that they are, as ``identify`` found them.
        self.said: Mapping[str, Identity] = {}
        # What selected the objects: as ``read`` found it, or as it is to be remembered with the next write.
        self.selection: Mapping[str, str] | None = None
        # Which ConfigMaps look like this inventory and do not count, as ``read`` found them; empty if none does.
        self.strays = ""

    def beside(self) -> InventoryStore:
        """Return a view of the same inventory to read it by, while this one may be at work."""
        view = copy(self)
        view._layout, view._stored = None, {}  # noqa: SLF001 - a view of our own
        return view

    @property
    def head(self) -> StoredMap:
        """Return the ConfigMap that people look at, which may not be there yet."""
        return self._stored.get(HEAD) or StoredMap(self._ref(HEAD), "", "")

    async def identify(self) -> str:
        """Find out which inventory is the identity's, be that one from now on, and return its id.

        Raises:
            InventoryError: Nobody can tell, or the id is another one's.
            KubeError: They cannot be read.
        """
        if self._identity is not None:
            claims = await claims_in(self._sender, self._namespace, await self._key.find())
            self.said = {claim.inventory_id: claim.words for claim in claims if claim.words is not None}
            chosen = choose(claims, self._id, self._identity)
            if isinstance(chosen, Refusal):
                raise anothers(self._ref(HEAD), chosen)
            self._id = chosen
        return self._id

    def prove(self) -> None:
        """Have the inventory say whose it is, with the next write."""
        self._proven = True

    async def read(self) -> Inventory | None:
        """Find and read the inventory; None when there is none yet.

        What cannot be understood of it, or is missing, is told as its damage: the rest is true all the same.

        Raises:
            InventoryError: Nobody can tell what it consists of.
            KubeError: It cannot be read.
        """
        self._layout = None
        self._stored = {}
        shards = await self._list()
        self.strays = await self._look_elsewhere(shards)
        key, head = await self._key.find(), shards.pop(HEAD, None)
        if head is None:
            if shards:
                raise headless(self._id, [shard.stored for shard in shards.values()])
            self._layout = Layout()
            return None
        self._stored[HEAD] = head.stored
        seal = Seal(key, self._id) if key is not None else None
        proven = self._hear(head, seal)
        self.selection = selection_in(head.annotations, seal)
        layout = Layout(listed_by(head), seal=seal)
        records = Records()
        damage = [fault_in(head, layout.read(HEAD, head.data, records))]
        for number, shard in shards.items():
            # A large one takes a while; others have work too.
            await asyncio.sleep(0)
            self._stored[number] = shard.stored
            damage.append(fault_in(shard, layout.read(number, shard.data, records)))
        damage += [missing(number, self._ref(number), head.stored) for number in layout.missing]
        faults = [fault for fault in damage if fault is not None]
        self._layout, where = layout, head.stored
        fault = InventoryError.first_of(faults) if faults else None
        return Inventory(records, where.ref.namespace, where.ref.name, where.uid, where.version, fault, proven)

    def _hear(self, head: Document, seal: Seal | None) -> bool:
        """Listen to whose the inventory says that it is; tell whether it is the identity's."""
        self._said = head.annotations
        if self._identity is None:
            return True
        claim = claim_of(self._id, self._namespace, head.annotations, seal)
        refusal = refuse_words(claim, self._identity)
        if refusal is not None:
            raise anothers(self._ref(HEAD), refusal)
        self._proven = self._proven or claim.words is not None
        return self._proven

    async def write(self, changed: Records | Iterable[Recorded], removed: Iterable[ObjectRef] = ()) -> None:
        """Write a change: what it does not name is neither sent nor looked at.

        Args:
            changed: Objects as they are to be recorded from now on.
            removed: Objects to forget.

        Raises:
            InventoryConflictError: It changed since it was read, or its name is taken: ``read`` again and decide anew.
            InventoryError: As ``read``, which comes first where it was not done.
            KubeError: It cannot be written. Nothing that was recorded before is forgotten by what was.
        """
        layout = self._layout
        if layout is None:
            await self.read()
            layout = self._layout
            assert layout is not None  # noqa: S101 - what read leaves behind
        self._layout = None  # until everything is written; whoever breaks this off has to read again
        changed, removed = Records.of(changed), list(removed)
        key = await self._key.get() if changed else None
        seal = Seal(key, self._id) if key is not None else None
        if len(changed) + len(removed) <= _ON_THE_SPOT:
            writes = layout.change(changed, removed, seal=seal)
        else:
            writes = await asyncio.to_thread(partial(layout.change, changed, removed, seal=seal))
        words = await self._words() if self._proven or HEAD not in self._stored else {}
        for write in writes:
            await self._carry_out(write, words)
        if HEAD in self._stored and any(self._said.get(name) != word for name, word in words.items()):
            await self._say(words)
        self._layout = layout

    async def _words(self) -> Mapping[str, str | None]:
        """Return the annotations that are to say whose the inventory is."""
        if self._identity is None:
            return {}
        key = await self._key.get()
        seal = Seal(key, self._id) if key is not None else None
        return {**annotations_of(self._identity, self._namespace, seal), **annotation_of(self.selection, seal)}

    async def _say(self, words: Mapping[str, str | None]) -> None:
        """Write whose the inventory is, and nothing else."""
        head = self._stored[HEAD]
        metadata = {"resourceVersion": head.version, "managedFields": [{}], "annotations": words}
        path = f"{object_path(_CONFIG_MAP, head.ref)}?fieldManager={FIELD_MANAGER}"
        body = orjson.dumps({"metadata": metadata})
        try:
            response = await self._sender.send("PATCH", path, body, content_type=MERGE_PATCH, accept=METADATA)
        except KubeError as error:
            if error.status not in {_CONFLICT, _NOT_FOUND}:
                raise
            raise changed_since(self._id, head, error) from error
        self._stored[HEAD] = stored_of(read_object(response.body))
        self._said = {name: word for name, word in words.items() if word is not None}

    async def _list(self) -> dict[int, Document]:
        """Return the ConfigMaps that are the inventory, by number."""
        found: dict[int, Document] = {}
        path = collection_path(_CONFIG_MAP, self._namespace)
        async for page in self._sender.pages(path, selector=self._selector, size=_PAGE):
            if page.first:
                found.clear()
            for document in map(document_of, page.items):
                number = self._number(document)
                if number is not None:
                    found[number] = document
        return found

    async def _look_elsewhere(self, counting: Mapping[int, Document]) -> str:
        """Say which other ConfigMaps are labelled as this inventory, in the whole cluster if it may be searched."""
        ours = {document.stored.ref for document in counting.values()}
        for namespace in ("", self._namespace):
            path = collection_path(_CONFIG_MAP, namespace)
            # One page: there may be any number, and any few will do.
            pages = self._sender.pages(path, selector=self._selector, accept=METADATA_LIST, size=len(ours) + SHOWN + 1)
            try:
                async with aclosing(pages):
                    page = await anext(pages)
            except KubeError as error:
                # An agent confined to namespaces cannot search the cluster.
                if error.status != _FORBIDDEN or namespace:
                    raise
                continue
            strays = [stored for stored in map(stored_of, page.items) if stored.ref not in ours]
            return elsewhere(strays, self.head, more=page.remaining != 0)
        return ""

    @property
    def _selector(self) -> str:
        return f"{INVENTORY_LABEL} in ({self._id},{self._id}.{SHARD})"

    async def _carry_out(self, write: Write, words: Mapping[str, str | None]) -> None:
        match write:
            case Create(number, data):
                await self._create(number, data, words if number == HEAD else {})
            case Patch():
                await self._patch(write)
            case Delete(number):
                await self._delete(self._stored.pop(number))

    async def _create(self, number: int, data: Mapping[str, str], words: Mapping[str, str | None]) -> None:
        ref = self._ref(number)
        labels = {INVENTORY_LABEL: self._id}
        if number != HEAD:
            labels = {INVENTORY_LABEL: f"{self._id}.{SHARD}", INVENTORY_SHARD: str(number)}
        metadata: dict[str, object] = {"name": ref.name, "namespace": ref.namespace, "labels": labels}
        if words:
            self._said = {name: word for name, word in words.items() if word is not None}
            metadata["annotations"] = self._said
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        path = f"{collection_path(_CONFIG_MAP, ref.namespace)}?fieldManager={FIELD_MANAGER}"
        try:
            response = await self._sender.send("POST", path, orjson.dumps(body), accept=METADATA)
        except KubeError as error:
            found = await self._get(ref) if error.status == _CONFLICT else None
            if found is None:
                raise
            # A repeated request runs into its own first attempt, whose answer was lost.
            if found.labels != labels or found.data != data:
                raise InventoryConflictError(
                    _CONFLICT,
                    "InventoryConflict",
                    f"the {found.stored} exists already and is not the inventory {self._id} as it was read; if it is"
                    f" somebody else's, rename or remove it ({error.message})",
                ) from error
            self._stored[number] = found.stored
            return
        self._stored[number] = stored_of(read_object(response.body))

    async def _patch(self, patch: Patch) -> None:
        before = self._stored[patch.number]
        # A merge patch with a resourceVersion is refused, as a PUT is, when another has written in between; unlike a
        # PUT it does not send thousands of entries to change one. Nobody else may write here, so that managedFields,
        # which would repeat every key and be computed anew each time, tell nothing: an empty entry clears them.
        metadata: dict[str, object] = {"resourceVersion": before.version, "managedFields": [{}]}
        if patch.shards is not None:
            metadata["annotations"] = {INVENTORY_SHARDS: written(patch.shards)}
        body = {"metadata": metadata, "data": patch.data}
        path = f"{object_path(_CONFIG_MAP, before.ref)}?fieldManager={FIELD_MANAGER}"
        try:
            # Of the answer only the new resourceVersion is not known already.
            response = await self._sender.send(
                "PATCH", path, orjson.dumps(body), content_type=MERGE_PATCH, accept=METADATA
            )
        except KubeError as error:
            if error.status not in {_CONFLICT, _NOT_FOUND}:
                raise
            found = await self._get(before.ref)
            if found is None or found.stored.uid != before.uid or not is_done(patch, found):
                raise changed_since(self._id, before, error) from error
            self._stored[patch.number] = found.stored
            return
        self._stored[patch.number] = stored_of(read_object(response.body))

    async def _delete(self, shard: StoredMap) -> None:
        preconditions = {"uid": shard.uid, "resourceVersion": shard.version}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        try:
            await self._sender.send("DELETE", object_path(_CONFIG_MAP, shard.ref), orjson.dumps(body))
        except KubeError as error:
            if error.status == _CONFLICT:
                raise changed_since(self._id, shard, error) from error
            if error.status != _NOT_FOUND:
                raise

    async def _get(self, ref: ObjectRef) -> Document | None:
        try:
            response = await self._sender.send("GET", object_path(_CONFIG_MAP, ref))
        except KubeError as error:
            if error.status != _NOT_FOUND:
                raise
            return None
        return document_of(read_object(response.body))

    def _ref(self, number: int) -> ObjectRef:
        """Return where a ConfigMap is: shards beside their head."""
        name = f"inventory-{self._id}"
        return ObjectRef("", "ConfigMap", self._namespace, name if number == HEAD else f"{name}.{number}")

    def _number(self, document: Document) -> int | None:
        """Return which part of the inventory a ConfigMap is; None where label, name and place do not fit together."""
        if document.labels.get(INVENTORY_LABEL) == self._id:
            number = HEAD
        else:
            number = number_of(document.labels.get(INVENTORY_SHARD, ""))
            if number == HEAD:
                return None
        return number if document.stored.ref == self._ref(number) else None
