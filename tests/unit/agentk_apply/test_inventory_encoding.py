from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentk.apply.inventory import InventoryError, entry_of, key_of, record_of, size_of
from agentk.apply.model import Recorded
from agentlink.refs import ObjectRef

CONFIGMAP = ObjectRef("", "ConfigMap", "default", "settings")
hex16 = st.text("0123456789abcdef", min_size=16, max_size=16)

refs = st.builds(
    ObjectRef,
    group=st.sampled_from(["", "apps", "rbac.authorization.k8s.io", "example.com"]),
    kind=st.sampled_from(["ConfigMap", "ClusterRole", "Role", "Widget"]),
    namespace=st.one_of(st.just(""), st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True)),
    name=st.one_of(
        st.from_regex(r"[a-z0-9][a-z0-9.:_-]{0,260}", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/%"), min_size=1, max_size=80),
    ),
)
entries = st.one_of(
    st.builds(Recorded, refs),
    st.builds(Recorded, refs, hex16, hex16, st.uuids().map(str)),
    st.builds(Recorded, refs, st.just(""), st.just(""), st.uuids().map(str)),
)


@given(entries)
def test_every_entry_reads_back_as_it_was_written(recorded: Recorded) -> None:
    assert record_of(*entry_of(recorded)) == recorded


@given(entries)
def test_every_key_is_one_that_a_configmap_may_have(recorded: Recorded) -> None:
    assert re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", entry_of(recorded)[0])
    assert key_of(recorded.ref) == entry_of(recorded)[0]


@given(entries)
def test_an_entry_never_takes_more_than_was_reckoned_with(recorded: Recorded) -> None:
    key, value = entry_of(recorded)
    assert len(key) + len(value.encode()) <= size_of(recorded.ref)


@given(st.lists(entries, unique_by=lambda entry: entry.ref))
def test_no_two_objects_share_a_key(recorded: list[Recorded]) -> None:
    assert len({entry_of(one)[0] for one in recorded}) == len(recorded)


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
    assert entry_of(Recorded(ref)) == (key, "")
    assert record_of(key, "") == Recorded(ref)


@pytest.mark.parametrize("value", ["", "word", '{"actuation":"Succeeded","strategy":"Apply","a":"b"}'])
def test_a_value_of_somebody_else_leaves_only_the_name_known(value: str) -> None:
    assert record_of("default_settings__ConfigMap", value) == Recorded(CONFIGMAP)


@pytest.mark.parametrize("key", ["nonsense", "a_b", "a_b_c", "a___ConfigMap", "a_b_c_d_e", "hashed.00"])
def test_a_key_that_names_no_object_is_an_error_that_names_the_key(key: str) -> None:
    with pytest.raises(InventoryError, match=re.escape(repr(key))):
        record_of(key, "")


def test_a_name_too_long_for_a_key_is_remembered_in_the_value() -> None:
    ref = ObjectRef("example.com", "Widget", "n" * 63, "w" * 253)
    key, value = entry_of(Recorded(ref, "d" * 16, "f" * 16, "u"))
    assert len(key) <= 253
    assert ref.name in value
