from __future__ import annotations

import re

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agentk.apply.inventory import InventoryError, entry_of, is_legible, key_of, record_of, size_of
from agentk.apply.model import Recorded
from agentk.apply.seal import Seal
from agentlink.refs import ObjectRef

SEAL = Seal(bytes(32), "7-1")
CONFIGMAP = ObjectRef("", "ConfigMap", "default", "settings")
UID = "8a5f8f4e-1111-2222-3333-444455556666"
hex16 = st.text("0123456789abcdef", min_size=16, max_size=16)

refs = st.builds(
    ObjectRef,
    group=st.sampled_from(["", "apps", "rbac.authorization.k8s.io", "example.com"]),
    kind=st.sampled_from(["ConfigMap", "ClusterRole", "Role", "Widget"]),
    namespace=st.one_of(st.just(""), st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True)),
    name=st.one_of(
        st.from_regex(r"[a-z0-9][a-z0-9.:_-]{0,260}", fullmatch=True),
        st.text(
            st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/%"), min_size=1, max_size=80
        ).filter(lambda name: name not in {".", ".."}),
    ),
)
entries = st.one_of(
    st.builds(Recorded, refs),
    st.builds(Recorded, refs, hex16, hex16, st.uuids().map(str)),
)


@given(entries)
def test_every_entry_reads_back_as_it_was_written(recorded: Recorded) -> None:
    assert record_of(*entry_of(recorded, SEAL), SEAL) == recorded


@given(entries)
def test_without_the_key_nothing_but_the_name_is_known_and_without_any_nothing_else_is_written(
    recorded: Recorded,
) -> None:
    key, value = entry_of(recorded, SEAL)
    for other in (Seal(bytes(31) + b"1", "7-1"), Seal(bytes(32), "7-2"), None):
        assert record_of(key, value, other) == Recorded(recorded.ref)
    assert entry_of(recorded, None) == entry_of(Recorded(recorded.ref), SEAL)


@given(entries, refs, st.data())
def test_a_value_that_was_changed_or_is_of_another_object_is_not_believed(
    recorded: Recorded, other: ObjectRef, data: st.DataObject
) -> None:
    key, value = entry_of(recorded, SEAL)
    assume(recorded.uid and other != recorded.ref)
    elsewhere, name = entry_of(Recorded(other), SEAL)
    assert record_of(elsewhere, value[:64] + name, SEAL) == Recorded(other)
    at = data.draw(st.integers(0, 63))
    changed = value[:at] + data.draw(st.sampled_from("AZaz09+/-_:[")) + value[at + 1 :]
    if changed != value:
        assert record_of(key, changed, SEAL) == Recorded(recorded.ref)


@pytest.mark.parametrize("form", ["{d}:{f}:{u}", "{d}:{f}:{u}:{name}"])
def test_what_an_agentk_without_a_key_wrote_leaves_only_the_name_known(form: str) -> None:
    ref = ObjectRef("example.com", "Widget", "n" * 63, "w" * 253) if "name" in form else CONFIGMAP
    key, written = entry_of(Recorded(ref), None)
    value = form.format(d="d" * 16, f="f" * 16, u=UID, name=written[1:])
    assert record_of(key, value, SEAL) == Recorded(ref)
    assert is_legible(value)
    assert not is_legible(entry_of(Recorded(ref, "d" * 16, "f" * 16, UID), SEAL)[1])


@given(entries)
def test_every_key_is_one_that_a_configmap_may_have(recorded: Recorded) -> None:
    assert re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", entry_of(recorded, SEAL)[0])
    assert key_of(recorded.ref) == entry_of(recorded, SEAL)[0]


@given(entries)
def test_an_entry_never_takes_more_than_was_reckoned_with(recorded: Recorded) -> None:
    key, value = entry_of(recorded, SEAL)
    assert len(key) + len(value.encode()) <= size_of(recorded.ref)


@given(st.lists(entries, unique_by=lambda entry: entry.ref))
def test_no_two_objects_share_a_key(recorded: list[Recorded]) -> None:
    assert len({entry_of(one, SEAL)[0] for one in recorded}) == len(recorded)


@pytest.mark.parametrize(
    ("key", "ref"),
    [
        ("default_settings__ConfigMap", CONFIGMAP),
        ("web_nginx_apps_Deployment", ObjectRef("apps", "Deployment", "web", "nginx")),
        ("_web__Namespace", ObjectRef("", "Namespace", "", "web")),
        (
            "_system__node_rbac.authorization.k8s.io_ClusterRole",
            ObjectRef("rbac.authorization.k8s.io", "ClusterRole", "", "system:node"),
        ),
        (
            "_a__b__c_rbac.authorization.k8s.io_ClusterRole",
            ObjectRef("rbac.authorization.k8s.io", "ClusterRole", "", "a:b:c"),
        ),
    ],
)
def test_keys_are_those_of_cli_utils(key: str, ref: ObjectRef) -> None:
    assert entry_of(Recorded(ref), SEAL) == (key, "")
    assert record_of(key, "", SEAL) == Recorded(ref)


@pytest.mark.parametrize("value", ["", "word", '{"actuation":"Succeeded","strategy":"Apply","a":"b"}'])
def test_a_value_of_somebody_else_leaves_only_the_name_known(value: str) -> None:
    assert record_of("default_settings__ConfigMap", value, SEAL) == Recorded(CONFIGMAP)


@pytest.mark.parametrize(
    "key", ["nonsense", "a_b", "a_b_c", "a___ConfigMap", "a_b_c_d_e", "hashed.00", "a_..__ConfigMap", ".._a__ConfigMap"]
)
def test_a_key_that_names_no_object_is_an_error_that_names_the_key(key: str) -> None:
    with pytest.raises(InventoryError, match=re.escape(repr(key))):
        record_of(key, "", SEAL)


@pytest.mark.parametrize(
    "parts", [["", "Secret", "a", "x" * 5000], ["", "Secret", "a/b", "x"], ["", "Secret", "a", "b/c"]]
)
def test_a_name_in_full_that_no_object_can_have_is_an_error(parts: list[str]) -> None:
    with pytest.raises(InventoryError, match="names no object"):
        record_of("hashed.00", f":{orjson.dumps(parts).decode()}", SEAL)


def test_a_name_too_long_for_a_key_is_remembered_in_the_value() -> None:
    ref = ObjectRef("example.com", "Widget", "n" * 63, "w" * 253)
    key, value = entry_of(Recorded(ref, "d" * 16, "f" * 16, UID), SEAL)
    assert len(key) <= 253
    assert ref.name in value
