"""An agentk of the first release at this kas gets what it can hold to, and nothing whose protection it would ignore."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from agentk.gitops.channels import open_channel
from agentlink.address import parse_kas_address
from agentlink.capabilities import CAPABILITIES
from tests.skew.recorded import contract
from tests.support.driven import Driven, installed
from tests.support.manifests import config_files, config_map
from tests.support.waiting import eventually, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.controlplane.cluster import Cluster
    from tests.support.installation import Installation
    from tests.support.kube import Kube

pytestmark = pytest.mark.cluster

old = contract()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, control_plane: Cluster) -> Iterator[Installation]:
    """What the tests of this module share."""
    with installed(tmp_path_factory.mktemp("before"), control_plane.kubeconfig) as installation:
        yield installation


class Stub:
    """What an agentk of the first release is told, in its own messages."""

    def __init__(self) -> None:
        self.told: list[list[str]] = []
        """The projects of each configuration, in their order."""
        self.sent: list[tuple[str, str]] = []
        """Of each snapshot that was begun its project and commit."""
        self._paths: dict[int, str] = {}

    def take(self, message: Any) -> None:  # noqa: ANN401 - made at run time
        """Take one message."""
        match message.WhichOneof("message"):
            case "configuration":
                projects = message.configuration.projects
                self._paths |= {project.id: project.path for project in projects}
                self.told.append([project.path for project in projects])
            case "snapshot_header":
                header = message.snapshot_header
                self.sent.append((self._paths[header.project_id], header.commit))


@asynccontextmanager
async def stub(address: str, token: str) -> AsyncIterator[Stub]:
    """Be connected as an agentk of the first release."""
    it = Stub()
    async with open_channel(parse_kas_address(address), token, None) as channel:
        connect: Any = channel.connection.stream_stream(
            "/agentlink.v1.AgentLink/Connect", old.AgentMessage.SerializeToString, old.KasMessage.FromString
        )
        call = connect(metadata=channel.metadata)
        await call.write(old.AgentMessage(hello=old.Hello(meta=old.AgentMeta(version="0.1.0", instance_id="old"))))

        async def read() -> None:
            async for message in call:
                it.take(message)

        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read())
            try:
                yield it
            finally:
                reading.cancel()
                call.cancel()


async def test_it_is_sent_what_it_can_hold_to_and_the_rest_when_it_is_updated(
    shared: Installation, kube: Kube, namespace: str
) -> None:
    kas, git = shared.kas, shared.git
    plain = Driven(kas, "aged", "aged/plain", git.create("aged/plain"), kube, namespace)
    confined = Driven(kas, "aged", "aged/confined", git.create("aged/confined"), kube, namespace)
    first = plain.repository.push_files({"manifests/plain.yaml": config_map("plain")})
    theirs = confined.repository.push_files({"manifests/confined.yaml": config_map("confined")})
    unprotected = config_files("aged", namespace, "aged/plain", "aged/confined")
    (path,) = unprotected
    protected = {path: f"{unprotected[path]}    allowed_namespaces: [{namespace}]\n"}
    config = git.create("aged/config")
    config.push_files(protected)
    agent = shared.agent("aged", project="aged/config", start=False)

    async with stub(kas.address, agent.token_file.read_text().strip()) as it:
        await eventually(lambda: it.sent == [("aged/plain", first)], what="it is sent what needs no protection")
        assert it.told[-1] == ["aged/plain"]
        refused = confined.wait("failed", reason="AgentTooOld")
        assert "agentk 0.1.0 would ignore a protection of this project" in refused["message"]
        assert "allowed_namespaces in config.yaml needs allowed_namespaces and confined_sources" in refused["message"]
        assert "Update agentk" in kas.cli("get", "syncs", "--agent", "aged")

        # Without the protection it is sent; with it again, it is taken from the agent.
        config.push_files(unprotected)
        kas.webhook("aged/config")
        await eventually(lambda: it.sent[-1] == ("aged/confined", theirs), what="nothing is to be protected")
        config.push_files(protected)
        kas.webhook("aged/config")
        await eventually(lambda: it.told[-1] == ["aged/plain"], what="it is told to let the project go")
        confined.wait("failed", reason="AgentTooOld")

        # A suspension by a command is a protection as well.
        kas.cli("suspend", "aged/plain", "--agent", "aged", "--reason", "freeze")
        await eventually(lambda: it.told[-1] == [], what="what is suspended is taken from it")
        assert "the suspension by" in plain.wait("failed", reason="AgentTooOld")["message"]
        sent = len(it.sent)
        second = plain.push({"manifests/plain.yaml": config_map("plain", "2")})
        kas.cli("resume", "aged/plain", "--agent", "aged")
        await eventually(lambda: it.sent[-1] == ("aged/plain", second), what="it is sent the newest when that is over")
        assert it.sent[sent:] == [("aged/plain", second)]

    agent.start()
    confined.wait("healthy", commit=theirs)
    plain.wait("healthy", commit=second)
    wait_until(lambda: confined.value("confined") == "1", what="the updated agent has applied it")
    (listed,) = [one for one in kas.get("agents") if one["name"] == "aged"]
    assert listed["connections"][0]["capabilities"] == list(CAPABILITIES)
