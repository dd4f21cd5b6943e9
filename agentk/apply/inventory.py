"""How one object is written into an inventory: cli-utils' keys, values of our own.

A key names an object as cli-utils does, ``<namespace>_<name>_<group>_<Kind>``, so that an inventory of GitLab's agent
or kpt is read as it stands. cli-utils leaves the values empty; ours hold what was applied last (digest, fingerprint and
UID, see ``seal``), so that a sync that changes nothing is recognised after a restart too. A value that does not open
with our key was written by GitLab's agent, an earlier agentk or anybody: then the name alone is known, as a claim.

A name that no ConfigMap key can hold (too long, or with characters that a key may not have) gets a hashed key, and
stands behind the value in full. Which entry is in which ConfigMap is ``shards``; reading and writing ConfigMaps is
``agentk.kube.inventory_store``.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import orjson

from agentk.apply.model import Recorded
from agentk.apply.records import packed, unpacked
from agentk.apply.seal import LENGTH
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentk.apply.seal import Seal

_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}")
"""What Kubernetes accepts as a key of a ConfigMap."""

_RBAC_GROUP: Final = "rbac.authorization.k8s.io"
"""The group whose names may hold a colon, which cli-utils writes as two underscores."""

_SEPARATORS: Final = 3
"""Underscores between the parts of a key."""

_HASHED_PREFIX: Final = "hashed."
"""Starts the key of an object whose own key would not do. It has no underscore, so no such key names an object."""

_NAME: Final = ":["
"""Begins the name in full, a JSON array, behind the value."""

_VALUE_BYTES: Final = LENGTH + len(":")
"""Of a value that is filled in, with the separator before a name."""

_LEGIBLE: Final = re.compile(r"[0-9a-f]{16}:")
"""Begins a value as agentk wrote it before it had a key: with a digest by which a short Secret can be guessed."""


_NAMESPACE: Final = re.compile(r"[a-z0-9-]{0,63}")
_LONGEST_NAME: Final = 1024
"""Characters. Most kinds allow 253; a request for a much longer one is not answered."""

_SHOWN: Final = 100
"""Characters of a key that a message shows."""


class InventoryError(Exception):
    """An inventory, or a part of it, cannot be understood, so that nobody knows all that is owned.

    Nothing may be pruned from a guess. ``place`` is what is at fault: an entry, an annotation, a ConfigMap;
    ``message`` says what to do about it, ``reason`` is a CamelCase word for programs.
    """

    def __init__(self, place: str, message: str, *, reason: str = "InventoryUnreadable") -> None:
        super().__init__(f"{place} {message}")
        self.place = place
        self.message = message
        self.reason = reason

    @classmethod
    def first_of(cls, errors: Iterable[InventoryError]) -> InventoryError:
        """Make one of several, which is not long however many there are."""
        first, *more = errors
        if not more:
            return first
        return cls(first.place, f"{first.message} (and {len(more)} more parts of the inventory are at fault)")


def entry_of(recorded: Recorded, seal: Seal | None) -> tuple[str, str]:
    """Write one object as key and value, about 130 bytes. ``record_of`` gives back the same object.

    Without a seal the name alone is written: what nobody could believe is not worth telling everybody.
    """
    key, name = _key_and_name(recorded.ref)
    contents = packed(recorded) if seal is not None else None
    value = seal.close(_bound(key, recorded.ref), contents) if seal is not None and contents is not None else ""
    return key, f"{value}:{name}" if name else value


def key_of(ref: ObjectRef) -> str:
    """Return the key under which an object is written."""
    return _key_and_name(ref)[0]


def size_of(ref: ObjectRef) -> int:
    """Return the bytes that an object's entry takes once its value is filled in."""
    key, name = _key_and_name(ref)
    return len(key) + _VALUE_BYTES + len(name.encode())


def record_of(key: str, value: str, seal: Seal | None) -> Recorded:
    """Read one entry.

    A value that does not open leaves digest, fingerprint and UID empty: the object is known, what was applied is not.

    Args:
        key: Of the entry.
        value: Of the entry.
        seal: The inventory's; None where there is no key, and then no value is believed.

    Raises:
        InventoryError: The key names no object.
    """
    sealed, _, name = value.partition(_NAME)
    ref = _ref_of_name(f"[{name}") if key.startswith(_HASHED_PREFIX) else _ref_of_key(key)
    if ref is None or not _can_exist(ref):
        raise InventoryError(
            f"entry {key[:_SHOWN]!r}", "names no object; restore it, or delete it if it is not agentk's"
        )
    contents = seal.open(_bound(key, ref), sealed) if seal is not None else None
    return Recorded(ref) if contents is None else unpacked(ref, contents)


def is_legible(value: str) -> bool:
    """Tell whether a value says in the open what was applied, and is to be written anew for that."""
    return _LEGIBLE.match(value) is not None


def _bound(key: str, ref: ObjectRef) -> bytes:
    """Return what a value belongs to."""
    return orjson.dumps((key, ref.group, ref.kind, ref.namespace, ref.name))


def _key_and_name(ref: ObjectRef) -> tuple[str, str]:
    """Return the key, and the name that the value must hold where the key does not."""
    name = ref.name.replace(":", "__") if ref.group == _RBAC_GROUP else ref.name
    key = f"{ref.namespace}_{name}_{ref.group}_{ref.kind}"
    # With more underscores than separate its parts, reading it back decides: two of a name would come back as a colon.
    if _KEY.fullmatch(key) and (key.count("_") == _SEPARATORS or _ref_of_key(key) == ref):
        return key, ""
    full = orjson.dumps([ref.group, ref.kind, ref.namespace, ref.name])
    return f"{_HASHED_PREFIX}{blake2b(full, digest_size=16).hexdigest()}", full.decode()


def _ref_of_key(key: str) -> ObjectRef | None:
    namespace, found, rest = key.partition("_")
    name_and_group, _, kind = rest.rpartition("_")
    name, separator, group = name_and_group.rpartition("_")
    name = name.replace("__", ":")
    if not found or not separator or not name or not kind or "_" in name:
        return None
    return ObjectRef(group, kind, namespace, name)


def _can_exist(ref: ObjectRef) -> bool:
    """Tell whether Kubernetes could have an object of this name; asking for one that it could not is an error there."""
    name = ref.name
    usable = len(name) <= _LONGEST_NAME and name not in {"", ".", ".."} and "/" not in name and "%" not in name
    return usable and _NAMESPACE.fullmatch(ref.namespace) is not None


def _ref_of_name(name: str) -> ObjectRef | None:
    try:
        parts = orjson.loads(name)
    except orjson.JSONDecodeError:
        return None
    match parts:
        case [str(group), str(kind), str(namespace), str(name)]:
            return ObjectRef(group, kind, namespace, name)
        case _:
            return None
