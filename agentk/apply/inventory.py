"""How an inventory is written into a ConfigMap's ``data``: cli-utils' keys, values of our own.

A key names an object as cli-utils does, ``<namespace>_<name>_<group>_<Kind>``, so that an inventory of GitLab's agent
or kpt is read as it stands. cli-utils leaves the values empty; ours hold what was applied last
(``<digest>:<fingerprint>:<uid>``), so that a sync that changes nothing is recognised after a restart too.

A name that no ConfigMap key can hold (too long, or with characters that a key may not have) gets a hashed key, and
stands in the value in full. Reading and writing the ConfigMap itself is ``agentk.kube.inventory_store``.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import orjson

from agentk.apply.model import Recorded
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}")
"""What Kubernetes accepts as a key of a ConfigMap."""

_RBAC_GROUP: Final = "rbac.authorization.k8s.io"
"""The group whose names may hold a colon, which cli-utils writes as two underscores."""

_HASHED_PREFIX: Final = "hashed."
"""Starts the key of an object whose own key would not do. It has no underscore, so no such key names an object."""

_VALUE: Final = re.compile(r"([0-9a-f]{16})?:([0-9a-f]{16})?:([^:]*)(?::(.*))?", re.DOTALL)
"""What we write as a value: digest, fingerprint, UID and, under a hashed key, the name."""


class InventoryError(Exception):
    """An inventory cannot be read, so that nobody knows what is owned. Nothing may be applied or pruned from a guess.

    ``key`` is the entry at fault.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"inventory entry {key!r}: {message}")
        self.key = key
        self.message = message


def encode(objects: Iterable[Recorded]) -> dict[str, str]:
    """Write recorded objects as a ConfigMap's ``data``, sorted by key. ``decode`` gives back the same objects."""
    return dict(sorted(encode_entry(recorded) for recorded in objects))


def encode_entry(recorded: Recorded) -> tuple[str, str]:
    """Write one recorded object as key and value.

    About 130 bytes an object, so that some 8,000 fit into one ConfigMap.
    """
    ref = recorded.ref
    if recorded.digest or recorded.fingerprint or recorded.uid:
        value = f"{recorded.digest}:{recorded.fingerprint}:{recorded.uid}"
    else:
        value = ""
    key = _plain_key(ref)
    if key is not None:
        return key, value
    name = orjson.dumps([ref.group, ref.kind, ref.namespace, ref.name])
    return f"{_HASHED_PREFIX}{blake2b(name, digest_size=16).hexdigest()}", f"{value or '::'}:{name.decode()}"


def decode(data: Mapping[str, str]) -> dict[ObjectRef, Recorded]:
    """Read a ConfigMap's ``data``.

    A value that is not ours (cli-utils writes none, kpt may write a status) leaves digest, fingerprint and uid empty:
    the object is known, and what was applied is not.

    Raises:
        InventoryError: a key names no object.
    """
    found: dict[ObjectRef, Recorded] = {}
    for key, value in data.items():
        digest, fingerprint, uid, name = _split(value)
        ref = _ref_of_name(key, name) if key.startswith(_HASHED_PREFIX) else _ref_of_key(key)
        if ref is None:
            raise InventoryError(key, "names no object; restore the ConfigMap, or delete the entry if it is not yours")
        found[ref] = Recorded(ref, digest, fingerprint, uid)
    return found


def _split(value: str) -> tuple[str, str, str, str]:
    match = _VALUE.fullmatch(value)
    if match is None:
        return "", "", "", ""
    digest, fingerprint, uid, name = match.groups(default="")
    return digest, fingerprint, uid, name


def _plain_key(ref: ObjectRef) -> str | None:
    name = ref.name.replace(":", "__") if ref.group == _RBAC_GROUP else ref.name
    key = f"{ref.namespace}_{name}_{ref.group}_{ref.kind}"
    # Reading it back decides: a name that itself holds two underscores would come back with a colon.
    return key if _KEY.fullmatch(key) and ("_" not in name or _ref_of_key(key) == ref) else None


def _ref_of_key(key: str) -> ObjectRef | None:
    namespace, found, rest = key.partition("_")
    name_and_group, _, kind = rest.rpartition("_")
    name, separator, group = name_and_group.rpartition("_")
    name = name.replace("__", ":")
    if not found or not separator or not name or not kind or "_" in name:
        return None
    return ObjectRef(group, kind, namespace, name)


def _ref_of_name(key: str, name: str) -> ObjectRef | None:
    try:
        parts = orjson.loads(name)
    except orjson.JSONDecodeError as error:
        raise InventoryError(key, "its value does not hold the object's name; restore the ConfigMap") from error
    match parts:
        case [str(group), str(kind), str(namespace), str(name)]:
            return ObjectRef(group, kind, namespace, name)
        case _:
            return None
