"""What is held means something within one installation of kas, and under the path that it was sent for."""

from __future__ import annotations

import pytest

from agentk.apply.identity import Identity
from agentk.gitops.receive import Configured, Received, Receiver, Refused, configured_of
from agentlink.v1 import agentlink_pb2 as wire


def welcome(installation: str) -> wire.KasMessage:
    return wire.KasMessage(welcome=wire.Welcome(installation_id=installation))


def configuration(**projects: int) -> wire.KasMessage:
    entries = [wire.ManifestProject(id=number, path=path) for path, number in projects.items()]
    return wire.KasMessage(configuration=wire.Configuration(agent_id=5, projects=entries))


def snapshot(project: str, number: int = 1, *, base: bytes = b"", command: str = "") -> list[wire.KasMessage]:
    header = wire.SnapshotHeader(
        project_id=number,
        project=project,
        commit="c",
        sync_id="s",
        digest=b"d",
        base_digest=base,
        total_files=1,
        total_objects=1,
        command_id=command,
    )
    file = wire.ManifestFile(path="a.yaml", objects=[b"{}"])
    return [
        wire.KasMessage(snapshot_header=header),
        wire.KasMessage(snapshot_files=wire.SnapshotFiles(project_id=number, files=[file], command_id=command)),
        wire.KasMessage(snapshot_complete=wire.SnapshotComplete(project_id=number, digest=b"d", command_id=command)),
    ]


def connect(receiver: Receiver, *messages: wire.KasMessage) -> list[object]:
    """Begin a connection and take what comes; return whether it was another installation, and the events."""
    receiver.connected()
    happened: list[object] = []
    for message in messages:
        happened.append(receiver.meet(message))
        happened.append(receiver.feed(message))
    return [one for one in happened if one]


def holding(receiver: Receiver) -> list[int]:
    return [one.project_id for one in receiver.connected()]


@pytest.fixture
def receiver() -> Receiver:
    made = Receiver()
    connect(made, welcome("first"), configuration(alpha=1), *snapshot("alpha"))
    assert holding(made) == [1]
    assert made.installation == "first"
    return made


def test_the_same_installation_finds_what_it_has_sent(receiver: Receiver) -> None:
    assert connect(receiver, welcome("first")) == []
    assert holding(receiver) == [1]


@pytest.mark.parametrize("first", [welcome("second"), configuration(alpha=1)], ids=["another", "one that tells none"])
def test_of_another_installation_nothing_is_kept(receiver: Receiver, first: wire.KasMessage) -> None:
    happened = connect(receiver, first)
    assert happened[0] is True
    assert not any(isinstance(one, Received) for one in happened)
    assert holding(receiver) == []
    assert connect(receiver, first)[:1] != [True], "it is the one that is known from now on"


def test_an_installation_that_was_never_told_is_one_too() -> None:
    receiver = Receiver()
    assert [type(one) for one in connect(receiver, configuration(alpha=1), *snapshot("alpha"))] == [
        Configured,
        Received,
    ]
    assert connect(receiver, welcome("first")) == [True]
    assert holding(receiver) == []


def test_the_first_installation_is_no_other() -> None:
    assert connect(Receiver(), welcome("first")) == []


def test_a_snapshot_of_another_path_than_the_configuration_has_by_this_id_is_refused(receiver: Receiver) -> None:
    happened = connect(receiver, welcome("first"), configuration(alpha=1), *snapshot("beta"))
    assert [type(one) for one in happened] == [Configured, Refused]
    refused = happened[1]
    assert isinstance(refused, Refused)
    assert (refused.snapshot.sync_id, refused.command_id) == ("s", "")
    assert refused.refusal.reason == "SnapshotOfAnotherProject"
    assert "beta" in refused.refusal.message
    assert "alpha" in refused.refusal.message
    assert receiver.held[1].project == "alpha"


def test_so_is_one_for_a_command(receiver: Receiver) -> None:
    refused = connect(receiver, welcome("first"), configuration(alpha=1), *snapshot("beta", command="diff"))[1]
    assert isinstance(refused, Refused)
    assert refused.command_id == "diff"


@pytest.mark.parametrize("told", ["alpha", ""], ids=["told", "of a kas that does not tell"])
def test_a_snapshot_in_memory_is_not_taken_for_another_path_of_the_same_id(told: str) -> None:
    receiver = Receiver()
    connect(receiver, welcome("first"), configuration(alpha=1, gamma=3), *snapshot(told), *snapshot("gamma", 3))
    connect(receiver, welcome("first"), configuration(beta=1, gamma=3))
    assert holding(receiver) == [3]


def test_a_project_is_told_its_earlier_paths_and_who_had_its_own_before() -> None:
    projects = [
        wire.ManifestProject(id=1, path="moved", former_paths=["here"]),
        wire.ManifestProject(id=2, path="here"),
    ]
    configuration = wire.Configuration(agent_id=5, agent_name="prod", project="config", projects=projects)
    moved, here = (one.identity for one in configured_of(configuration).projects)
    assert moved == Identity("moved", "config", "prod")
    assert here == Identity("here", "config", "prod")
    assert moved is not None
    assert here is not None
    assert (moved.former, moved.ceded, here.former, here.ceded) == (("here",), (), (), ("5-1",))
    configuration.ClearField("project")
    assert {one.identity for one in configured_of(configuration).projects} == {None}, "an older kas tells nothing"
