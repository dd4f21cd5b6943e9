"""Applying, deleting, reading and listing objects. Everything here may be sent twice, and is, when that can help.

Answers are metadata only wherever possible: the planner needs no more (see ``live``), and an object may be a megabyte.
What to do with the cluster is decided elsewhere; this is how it is said to it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from agentk.apply.managers import entries
from agentk.apply.names import FIELD_MANAGER, LEFT_MANAGER, OWNING_INVENTORY
from agentk.kube.client import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, METADATA, METADATA_LIST
from agentk.kube.errors import KubeError, NotOwnedError, UidConflictError, first_of
from agentk.kube.failures import read_document, read_metadata
from agentk.kube.live import live_of
from agentk.kube.paths import collection_path, object_path
from agentk.kube.releasing import released
from agentk.kube.retry import RetryPolicy
from agentk.kube.sending import PAGE, Sender

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence

    from agentk.apply.managers import Entry
    from agentk.apply.model import Kind, Live, Propagation
    from agentk.kube.client import KubeClient, Response
    from agentlink.refs import ObjectRef

_FEW: Final = 8
"""Names that are looked up one by one without asking how many objects there are beside them."""

_PAGE_IN_GETS: Final = 20
"""What a page of ``PAGE`` metadata costs, in single GETs of one object (measured: about 10 ms against 0.5 ms)."""

_AT_ONCE: Final = 32
"""GETs in flight while looking up many names; the throughput of one API server grows little beyond."""

_LOOKS: Final = 5
"""How often an object that others keep changing is looked at anew before it is deleted, until the next sync."""

_CREATED: Final = 201
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409


@dataclass(frozen=True, slots=True)
class Applied:
    """What a request left of an object: its metadata, whose fields are whose, and whether it was not there before."""

    live: Live
    created: bool
    managed: list[Entry] = field(default_factory=list, repr=False)


def _applied(kind: Kind, ref: ObjectRef, response: Response) -> Applied:
    metadata = read_metadata(response.body)
    return Applied(live_of(kind, metadata, ref), response.status == _CREATED, entries(metadata.get("managedFields")))


def _apply_path(kind: Kind, ref: ObjectRef, *, force: bool, dry_run: bool) -> str:
    return (
        f"{object_path(kind, ref)}?fieldManager={FIELD_MANAGER}"
        f"&force={'true' if force else 'false'}{'&dryRun=All' if dry_run else ''}"
    )


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a list.

    ``first`` is True on the first page, and once more if the list had to start over because the server no longer
    keeps the moment it began at: what came before is then to be forgotten. ``remaining`` counts what follows, None when
    the server does not say (it does not with a selector). ``resource_version`` is that of the whole list.
    """

    items: tuple[Live, ...]
    resource_version: str
    remaining: int | None
    first: bool


class Objects:
    """The objects of one cluster."""

    def __init__(self, client: KubeClient, *, retries: RetryPolicy | None = None, timeout: float = 60.0) -> None:
        """Make a view of a cluster.

        Args:
            client: The connection.
            retries: How often and how far apart a request that may pass is sent again.
            timeout: Seconds for one attempt.
        """
        self._sender = Sender(client, retries or RetryPolicy(), timeout=timeout)

    async def apply(self, kind: Kind, ref: ObjectRef, body: bytes, *, force: bool, dry_run: bool = False) -> Applied:
        """Apply one object server-side as manager ``agentk``.

        Args:
            kind: How it is served; its version must be the body's.
            ref: Its name.
            body: The complete object as JSON.
            force: Take fields over that another manager set to something else, instead of failing.
            dry_run: Let the server decide, but not store.

        Raises:
            KubeError: 409 ``Conflict`` with ``conflicts`` when fields belong to others and ``force`` is False; 422
                ``Invalid`` (500 in the server's own answer) when it does not fit the kind; any other refusal.
        """
        path = _apply_path(kind, ref, force=force, dry_run=dry_run)
        response = await self._sender.send("PATCH", path, body, content_type=APPLY_PATCH, accept=METADATA)
        return _applied(kind, ref, response)

    async def rehearse(
        self, kind: Kind, ref: ObjectRef, body: bytes, *, force: bool
    ) -> tuple[Applied, dict[str, object]]:
        """Let the server say what ``apply`` would return, and what the whole object would be; nothing is stored.

        Raises:
            KubeError: As for ``apply``.
        """
        path = _apply_path(kind, ref, force=force, dry_run=True)
        response = await self._sender.send("PATCH", path, body, content_type=APPLY_PATCH)
        return _applied(kind, ref, response), read_document(response.body)

    async def look(self, kind: Kind, ref: ObjectRef) -> Applied | None:
        """Return what ``apply`` would return if it changed nothing; None when the object does not exist."""
        try:
            response = await self._sender.send("GET", object_path(kind, ref), accept=METADATA)
        except KubeError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return _applied(kind, ref, response)

    async def own(self, kind: Kind, ref: ObjectRef, managed: Sequence[Entry], resource_version: str) -> Applied:
        """Write anew whose fields are whose, and change nothing else.

        Args:
            kind: How the object is served.
            ref: Its name.
            managed: What is to stand in ``metadata.managedFields``.
            resource_version: Of the object that this was decided upon.

        Raises:
            KubeError: 409 ``Conflict`` when the object has been changed since.
        """
        patch = [
            {"op": "replace", "path": "/metadata/managedFields", "value": managed},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version},
        ]
        path = f"{object_path(kind, ref)}?fieldManager={FIELD_MANAGER}"
        response = await self._sender.send("PATCH", path, orjson.dumps(patch), content_type=JSON_PATCH, accept=METADATA)
        return _applied(kind, ref, response)

    async def change(self, kind: Kind, ref: ObjectRef, operations: Sequence[Mapping[str, object]]) -> None:
        """Change fields by a JSON patch, on behalf of whom gives them up as soon as we apply them.

        Raises:
            KubeError: 409 ``Conflict`` when the object has been changed since the version that the patch names.
        """
        path = f"{object_path(kind, ref)}?fieldManager={LEFT_MANAGER}"
        await self._sender.send("PATCH", path, orjson.dumps(operations), content_type=JSON_PATCH, accept=METADATA)

    async def delete(
        self,
        kind: Kind,
        ref: ObjectRef,
        *,
        uid: str,
        owner: str,
        propagation: Propagation,
        version: str = "",
        dry_run: bool = False,
    ) -> bool:
        """Ask for the deletion of one object, if at that moment it is the one with this UID and carries our annotation.

        The server is given the version in which the annotation was seen, and refuses if there is a newer one: then the
        object is looked at again.

        Args:
            kind: How the object is served.
            ref: Its name.
            uid: The UID that it must have.
            owner: The inventory that must own it.
            propagation: What becomes of its dependants.
            version: The resourceVersion in which it was seen with both; empty to look first.
            dry_run: Whether the server is to delete nothing.

        Returns:
            Whether the object is gone now; if not, its deletion is under way, and finalizers may take their time.

        Raises:
            UidConflictError: The name now belongs to another object; nothing was deleted.
            NotOwnedError: The object does not carry the annotation; nothing was deleted.
            KubeError: Any other refusal; 409 when others kept changing the object.
        """
        for look in range(_LOOKS):
            if not version:
                live = await self.get(kind, ref)
                if live is None:
                    return True
                if live.uid != uid:
                    raise _recreated(ref, live.uid, uid)
                if look and live.deleting:
                    # A namespace on its way out answers a second delete with the same status as a wrong version.
                    return False
                if live.owner != owner:
                    raise _not_owned(ref, live.owner)
                version = live.resource_version
            try:
                return await self._delete(kind, ref, uid, version, propagation, dry_run=dry_run)
            except KubeError as error:
                if error.status != _CONFLICT or look == _LOOKS - 1:
                    raise
                version = ""
        return False

    async def _delete(
        self, kind: Kind, ref: ObjectRef, uid: str, version: str, propagation: Propagation, *, dry_run: bool
    ) -> bool:
        """Delete exactly this version of an object; tell whether it is gone."""
        options: dict[str, object] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid, "resourceVersion": version},
            "propagationPolicy": propagation.value,
        }
        if dry_run:
            options["dryRun"] = ["All"]
        try:
            answer = await self._sender.send("DELETE", object_path(kind, ref), orjson.dumps(options), accept=METADATA)
        except KubeError as error:
            if error.status == _NOT_FOUND:
                return True
            raise
        # What is gone is answered with a Status; what takes its time, or has finalizers, with the object.
        return bool(read_document(answer.body).get("kind") == "Status")

    async def release(self, kind: Kind, ref: ObjectRef, *, uid: str, owner: str, dry_run: bool = False) -> None:
        """Take our label, our annotation and our field ownership off an object, which is not ours from then on.

        One that is gone is released too.

        Raises:
            UidConflictError: The name now belongs to another object; nothing was changed.
            NotOwnedError: The object does not carry the annotation of this owner; nothing was changed.
            KubeError: Any other refusal; 409 when somebody changed the object meanwhile.
        """
        metadata = await self._metadata(kind, ref)
        if metadata is None:
            return
        if metadata.get("uid") != uid:
            raise _recreated(ref, str(metadata.get("uid")), uid)
        found = live_of(kind, metadata, ref).owner
        if found != owner:
            raise _not_owned(ref, found)
        path = f"{object_path(kind, ref)}?fieldManager={FIELD_MANAGER}{'&dryRun=All' if dry_run else ''}"
        body = orjson.dumps({"metadata": released(metadata)})
        await self._sender.send("PATCH", path, body, content_type=MERGE_PATCH, accept=METADATA)

    async def finalizers(self, kind: Kind, ref: ObjectRef) -> tuple[str, ...]:
        """Return what keeps an object from being deleted; nothing of one that does not exist."""
        found = (await self._metadata(kind, ref) or {}).get("finalizers")
        return tuple(str(one) for one in found) if isinstance(found, list) else ()

    async def get(self, kind: Kind, ref: ObjectRef) -> Live | None:
        """Return what is known of one object, None when it does not exist.

        Raises:
            KubeError: For anything but a clear yes or no.
        """
        metadata = await self._metadata(kind, ref)
        return None if metadata is None else live_of(kind, metadata, ref)

    async def _metadata(self, kind: Kind, ref: ObjectRef) -> dict[str, object] | None:
        try:
            response = await self._sender.send("GET", object_path(kind, ref), accept=METADATA)
        except KubeError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return read_metadata(response.body)

    async def read(self, kind: Kind, ref: ObjectRef) -> dict[str, object] | None:
        """Return one whole object, None when it does not exist; for what needs its ``status``."""
        try:
            response = await self._sender.send("GET", object_path(kind, ref))
        except KubeError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return read_document(response.body)

    async def list(
        self, kind: Kind, *, namespace: str | None = None, selector: str | None = None, size: int = PAGE
    ) -> AsyncGenerator[ListPage, None]:
        """Yield the objects of a kind page by page, metadata only.

        Args:
            kind: Which kind.
            namespace: Only there; None for the whole cluster.
            selector: A label selector such as ``agentk.io/agent=7``.
            size: Objects in a page.
        """
        path = collection_path(kind, namespace or "")
        async for page in self._sender.pages(path, selector=selector, accept=METADATA_LIST, size=size):
            yield ListPage(
                items=tuple(live_of(kind, item["metadata"]) for item in page.items),
                resource_version=page.resource_version,
                remaining=page.remaining,
                first=page.first,
            )

    async def lookup(self, kind: Kind, refs: Iterable[ObjectRef]) -> dict[ObjectRef, Live]:
        """Find out about many objects of one kind at the least cost; those that do not exist are left out.

        A few are asked for one by one, side by side. Many in one namespace are picked out of a list of it, as long as
        the list is not so much longer than the names that asking for each is cheaper.
        """
        spaces: dict[str, set[ObjectRef]] = defaultdict(set)
        for ref in refs:
            spaces[ref.namespace].add(ref)
        found: dict[ObjectRef, Live] = {}
        singly: set[ObjectRef] = set()
        for namespace, wanted in spaces.items():
            singly |= wanted if len(wanted) <= _FEW else await self._pick(kind, namespace, wanted, found)
        queue = iter(singly)

        async def drain(queue: Iterator[ObjectRef]) -> None:
            for ref in queue:
                live = await self.get(kind, ref)
                if live is not None:
                    found[ref] = live

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_AT_ONCE, len(singly))):
                    group.create_task(drain(queue))
        except* KubeError as errors:
            raise first_of(errors) from None
        return found

    async def _pick(
        self, kind: Kind, namespace: str, wanted: set[ObjectRef], found: dict[ObjectRef, Live]
    ) -> set[ObjectRef]:
        """Fill ``found`` from a list of ``namespace``; return what is cheaper to ask for one by one."""
        open_ = set(wanted)
        try:
            async for page in self.list(kind, namespace=namespace or None):
                if page.first:
                    open_ = set(wanted)
                    for ref in wanted:
                        found.pop(ref, None)
                for live in page.items:
                    if live.ref in open_:
                        found[live.ref] = live
                        open_.discard(live.ref)
                pages_left = -(-(page.remaining if page.remaining is not None else PAGE) // PAGE)
                if len(open_) <= pages_left * _PAGE_IN_GETS:
                    # With no page left the list was complete: what it did not hold does not exist.
                    return open_ if pages_left else set()
        except KubeError as error:
            if error.status == _NOT_FOUND:
                # The kind itself is not served (any more).
                return set()
            # Somebody allowed to get need not be allowed to list.
            if error.status != _FORBIDDEN:
                raise
            return open_
        return set()


def _recreated(ref: ObjectRef, uid: str, expected: str) -> UidConflictError:
    message = f"{ref} was not touched: it was recreated by somebody (UID {uid}, expected {expected})"
    return UidConflictError(_CONFLICT, "UidConflict", message)


def _not_owned(ref: ObjectRef, owner: str | None) -> NotOwnedError:
    whose = f"belongs to inventory {owner}" if owner else f"has no annotation {OWNING_INVENTORY}"
    return NotOwnedError(_CONFLICT, "NotOurs", f"{ref} was not touched: it {whose}")
