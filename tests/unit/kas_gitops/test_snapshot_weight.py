"""Snapshots of many commits are kept by their bytes: a large file takes the room of many small ones."""

from __future__ import annotations

from agentlink.manifests.model import Limits
from agentlink.manifests.parse import parse_file
from kas.desired.snapshot import build_snapshot
from kas.gitops.snapshots import MADE_BYTES, weight_of


def test_a_snapshot_of_one_large_file_weighs_what_its_objects_take() -> None:
    text = b"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {a: %s}}" % (b"x" * 1_000_000)
    snapshot = build_snapshot("c" * 40, [parse_file("a.yaml", "b" * 40, text, Limits())], "default")
    assert 1_000_000 <= weight_of(snapshot) <= MADE_BYTES // 100
