from __future__ import annotations

import pytest

from agentk.apply.rules.own_inventory import is_inventory, refuse_inventory
from agentlink.refs import ObjectRef


def named(name: str, kind: str = "ConfigMap", group: str = "") -> ObjectRef:
    return ObjectRef(group, kind, "web", name)


@pytest.mark.parametrize(
    ("ref", "inventory_id", "is_one"),
    [
        (named("inventory-7-1"), "7-1", True),
        (named("inventory-7-1.12"), "7-1", True),
        (named("inventory-7-99"), "7-1", True),
        (named("inventory-7-99.1"), "7-1", True),
        (named("inventory-8-1"), "7-1", False),
        (named("inventory-476945653565-4713357037936421"), "7-1", True),
        (named("inventory-2026-11"), "7-1", False),
        (named("inventory-7-1-old"), "7-1", False),
        (named("inventory-7-1.old"), "7-1", False),
        (named("my-inventory-7-1"), "7-1", False),
        (named("inventory-7-1", "Secret"), "7-1", False),
        (named("inventory-7-1", "ConfigMap", "example.com"), "7-1", False),
        (named("inventory-shop"), "shop", True),
        (named("inventory-shop.2"), "shop", True),
        (named("inventory-shopping"), "shop", False),
        (named("inventory-s.op"), "s.op", True),
        (named("inventory-shop"), "s.op", False),
    ],
)
def test_an_inventory_is_known_by_its_name(ref: ObjectRef, inventory_id: str, is_one: bool) -> None:  # noqa: FBT001 - of a table
    assert is_inventory(ref, inventory_id) is is_one
    assert (refuse_inventory(ref, {}, inventory_id) is not None) is is_one


@pytest.mark.parametrize("value", ["7-1", "other", "7-1.shard"])
def test_an_inventory_is_known_by_its_label_whatever_its_name(value: str) -> None:
    refusal = refuse_inventory(named("any"), {"cli-utils.sigs.k8s.io/inventory-id": value}, "7-1")
    assert refusal is not None
    assert refusal.reason == "InventoryRefused"
    assert "remove it from the manifests" in refusal.message
    assert refuse_inventory(named("any", "Secret"), {"cli-utils.sigs.k8s.io/inventory-id": value}, "7-1") is None
