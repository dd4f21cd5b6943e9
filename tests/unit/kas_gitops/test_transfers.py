"""What many agents are sent alike is made once, and each still gets what is its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from agentlink.manifests.model import ManifestFile, ManifestObject
from agentlink.refs import ObjectRef
from kas.desired.leaves import Leaves
from kas.desired.model import Snapshot
from kas.gitops import transfers
from kas.gitops.delta import CHUNK_BYTES, Offer, transfer
from kas.gitops.transfers import LARGEST_BYTES, Transfers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from agentlink.v1 import agentlink_pb2 as wire

AT = datetime(2026, 11, 21, tzinfo=UTC)


def snapshot(commit: str, **files: bytes) -> Snapshot:
    made = tuple(
        ManifestFile(path, content.hex()[:40], (ManifestObject(ObjectRef("", "ConfigMap", "", path), content, 1),))
        for path, content in files.items()
    )
    return Snapshot(commit, Leaves.of(made))


FIRST = snapshot("c1", a=b"1", b=b"1")
SECOND = snapshot("c2", a=b"2", b=b"1")
MINE = Offer(7, "mine", SECOND, AT)
OFFERS = (
    (MINE, None),
    (MINE, FIRST),
    (replace(MINE, sync_id="theirs", received_at=AT + timedelta(seconds=1)), FIRST),
    (replace(MINE, snapshot=replace(SECOND, commit="c3")), FIRST),
    (replace(MINE, project_id=8), FIRST),
    (replace(MINE, sync_id="", command_id="c"), FIRST),
    (MINE, SECOND),
)


class Making:
    """Counts the transfers that are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        monkeypatch.setattr(transfers, "transfer", self._transfer)

    def _transfer(self, offer: Offer, base: Snapshot | None) -> Iterator[wire.KasMessage]:
        self.made += 1
        return transfer(offer, base)


def test_everybody_gets_what_would_have_been_made_for_him_alone() -> None:
    shared = Transfers()
    for _ in range(2):
        for offer, base in OFFERS:
            assert list(shared.of(offer, base)) == list(transfer(offer, base))


def test_what_a_thousand_agents_need_alike_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    making, shared = Making(monkeypatch), Transfers()
    for number in range(1000):
        sent = list(shared.of(replace(MINE, sync_id=str(number)), FIRST))
        assert sent[0].snapshot_header.sync_id == str(number)
    assert making.made == 1


def test_what_is_too_large_to_be_kept_is_made_for_each_as_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    many = LARGEST_BYTES // CHUNK_BYTES + 2
    large = snapshot("c", **{f"f{number}": bytes(CHUNK_BYTES - 100) for number in range(many)})
    making, shared = Making(monkeypatch), Transfers()
    offer = replace(MINE, snapshot=large)
    for _ in range(2):
        assert list(shared.of(offer, None)) == list(transfer(offer, None))
    assert making.made == 2
