"""Whatever stands in an inventory: an object, or ``InventoryError``; and what we write is read back as it was."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentk.apply import inventory
from agentk.apply.inventory import InventoryError, entry_of, key_of, record_of, size_of
from agentk.apply.model import Recorded
from agentk.apply.seal import KEY_BYTES, Seal
from agentlink.refs import ObjectRef
from tests.fuzz.inputs import EXAMPLES, fuzz, text

TOKENS = (
    b"_",
    b"__",
    b":",
    b"\n",
    b"hashed.",
    b"[",
    b"]",
    b'"',
    b'["g","K","ns","n"]',
    b"0123456789abcdef",
    b"rbac.authorization.k8s.io",
)
HEX = st.text("0123456789abcdef", min_size=16, max_size=16)
WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


SEAL = Seal(b"k" * KEY_BYTES, "7-9")


def written(recorded: Recorded) -> tuple[str, str]:
    return entry_of(recorded, SEAL)


def read(key: str, value: str) -> Recorded:
    return record_of(key, value, SEAL)


@fuzz("inventory", tokens=TOKENS)
def test_an_entry_is_an_object_that_is_written_and_read_as_the_same(data: bytes) -> None:
    key, _, value = text(data).encode(errors="replace").decode().partition("\n")
    try:
        recorded = read(key, value)
    except InventoryError as error:
        assert len(str(error)) <= 4 * len(key) + 200
        return
    assert recorded.ref.name
    assert recorded.ref.kind
    assert read(*written(recorded)) == recorded


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    ref=st.builds(ObjectRef, st.just("rbac.authorization.k8s.io") | WORD, WORD.filter(bool), WORD, WORD.filter(bool)),
    digest=HEX,
    fingerprint=HEX,
    uid=st.uuids().map(str),
)
def test_every_object_is_read_back(ref: ObjectRef, digest: str, fingerprint: str, uid: str) -> None:
    recorded = Recorded(ref, digest, fingerprint, uid)
    key, value = written(recorded)
    if inventory._can_exist(ref):
        assert read(key, value) == recorded
    else:
        with pytest.raises(InventoryError):
            read(key, value)
    assert key == key_of(ref)
    assert len(key) <= 253
    assert len(key) + len(value.encode()) <= size_of(ref)
