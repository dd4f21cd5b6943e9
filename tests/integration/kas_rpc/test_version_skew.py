"""An agentk of the first release with this kas, and this agentk with a kas of the first release."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import pytest

from agentk.gitops.channels import open_channel
from agentk.gitops.link import LinkError
from agentk.gitops.receive import Configured, Received, Receiver
from agentlink import limits
from agentlink.address import parse_kas_address
from agentlink.metadata import AUTHORIZATION, CONNECTION_ID
from agentlink.v1 import agentlink_pb2 as wire
from kas.rpc.listener import ListenerSettings
from tests.skew.recorded import contract
from tests.support.agent_link import agent, running, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.agent_link import Kas

old = contract()

Recorded: TypeAlias = Any
"""Messages, calls and contexts whose types are made when the test runs."""

SERVICE = "agentlink.v1.AgentLink"


def from_the_future() -> bytes:
    """Return a field and a oneof member that no version knows yet, as bytes to append to a message."""
    return b"\xfa\x3f\x05hello" + b"\xd0\x3f\x01"


class TestAnOldAgentk:
    """Its messages only; it never says more than it could in the first release, and ignores what it does not know."""

    @staticmethod
    def connect(channel: grpc.aio.Channel, metadata: Recorded) -> Recorded:
        call: Any = channel.stream_stream(
            f"/{SERVICE}/Connect", old.AgentMessage.SerializeToString, old.KasMessage.FromString
        )
        return call(metadata=metadata)

    async def test_gets_its_configuration_and_its_objects_and_reports(self, kas: Kas) -> None:
        secret, _ = await kas.register()
        async with open_channel(parse_kas_address(kas.url("grpc")), secret, None) as channel:
            call = self.connect(channel.connection, channel.metadata)
            await call.write(old.AgentMessage(hello=old.Hello(meta=old.AgentMeta(version="0.1.0", instance_id="i"))))
            assert CONNECTION_ID in await call.initial_metadata()
            kas.send(wire.KasMessage(command=wire.Command(id="c", reconcile=wire.Reconcile())))
            kas.send(wire.KasMessage(moving=wire.Moving()))
            project = wire.ManifestProject(id=7, path="g/p", drift_policy=wire.DRIFT_POLICY_REPORT, recreate=True)
            kas.send(wire.KasMessage(configuration=wire.Configuration(commit="c1", projects=[project])))
            kas.send(wire.KasMessage(snapshot_header=wire.SnapshotHeader(project_id=7, commit="c1", total_files=1)))
            seen = []
            while "snapshot_header" not in seen:
                message = await call.read()
                seen.append(message.WhichOneof("message"))
                if seen[-1] == "configuration":
                    assert [each.path for each in message.configuration.projects] == ["g/p"]
            # The greeting, the command and the request to move are nothing to it.
            assert seen == [None, None, None, "configuration", "snapshot_header"]
            report = channel.connection.unary_unary(
                f"/{SERVICE}/Report", old.ReportRequest.SerializeToString, old.ReportResponse.FromString
            )
            sync = old.SyncReport(sync_id="s", project_id=7, commit="c1", state=4)
            await report(old.ReportRequest(reports=[old.Report(id="r", sync=sync)]), metadata=channel.metadata)
            (identity, stored) = kas.stored[0]
            assert identity.agent_name == "my-agent"
            assert stored.reports[0].sync.state == wire.SYNC_STATE_HEALTHY
            call.cancel()

    async def test_is_moved_by_being_sent_off(self, tmp_path: Path) -> None:
        settings = ListenerSettings(websocket_port=0, grpc_port=0, age=0.2, grace=0.2)
        async with running(settings, tmp_path) as kas:
            secret, _ = await kas.register()
            async with open_channel(parse_kas_address(kas.url("grpc")), secret, None) as channel:
                call = self.connect(channel.connection, channel.metadata)
                await call.write(old.AgentMessage(hello=old.Hello()))
                # The greeting, and a request that it does not understand.
                assert [(await call.read()).WhichOneof("message") for _ in range(2)] == [None, None]
                with pytest.raises(grpc.aio.AioRpcError) as ended:
                    await call.read()
                assert ended.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_what_a_newer_agentk_says_more_is_left_alone(kas: Kas) -> None:
    secret, _ = await kas.register()
    async with open_channel(parse_kas_address(kas.url("grpc")), secret, None) as channel:
        call: Any = channel.connection.stream_stream(f"/{SERVICE}/Connect", bytes, wire.KasMessage.FromString)
        stream = call(metadata=channel.metadata)
        hello = wire.AgentMessage(hello=wire.Hello(meta=wire.AgentMeta(version="9.0.0"))).SerializeToString()
        await stream.write(hello + from_the_future())
        assert CONNECTION_ID in await stream.initial_metadata()
        await stream.write(from_the_future())
        await stream.write(b"")
        report: Any = channel.connection.unary_unary(f"/{SERVICE}/Report", bytes, bytes)
        request = wire.ReportRequest(reports=[wire.Report(id="r")]).SerializeToString()
        await report(request + from_the_future(), metadata=channel.metadata)
        assert [stored.reports[0].id for _, stored in kas.stored] == ["r"]
        unknown: Any = channel.connection.unary_unary(f"/{SERVICE}/FromTheFuture", bytes, bytes)
        for method in (unknown, channel.connection.unary_unary("/agentlink.v9.Other/Call", bytes, bytes)):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await method(b"", metadata=channel.metadata)
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert len(kas.listener.sessions) == 1
        stream.cancel()


class OldKas:
    """A kas of the first release: Connect and Report, and nothing else."""

    def __init__(self) -> None:
        self.hellos: list[Any] = []
        self.reports: list[Any] = []
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.port = 0

    async def connect(self, request_iterator: AsyncIterator[Any], context: Recorded) -> None:
        assert dict(context.invocation_metadata())[AUTHORIZATION] == "Bearer secret"
        self.hellos.append((await anext(aiter(request_iterator))).hello)
        await context.send_initial_metadata(((CONNECTION_ID, "x"),))
        while True:
            await context.write(await self.messages.get())

    async def report(self, request: Recorded, _: Recorded) -> Recorded:
        self.reports.append(request)
        return old.ReportResponse()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        handlers = {
            "Connect": grpc.stream_stream_rpc_method_handler(self.connect, old.AgentMessage.FromString, bytes),
            "Report": grpc.unary_unary_rpc_method_handler(
                self.report, old.ReportRequest.FromString, old.ReportResponse.SerializeToString
            ),
        }
        server = grpc.aio.server(options=limits.server_options())
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield
        finally:
            await server.stop(None)


async def test_a_new_agentk_works_with_a_kas_of_the_first_release() -> None:
    kas, receiver, events = OldKas(), Receiver(), []

    async def consume(message: wire.KasMessage) -> None:
        if (event := receiver.feed(message)) is not None:
            events.append(event)

    async with kas.serving(), agent(f"grpc://127.0.0.1:{kas.port}", "secret", consume=consume) as it:
        project = old.ManifestProject(id=7, path="g/p", prune=True)
        header = old.SnapshotHeader(project_id=7, commit="c1", sync_id="s", digest=b"d", total_files=1, total_objects=1)
        file = old.ManifestFile(path="a.yaml", objects=[b'{"kind": "ConfigMap"}'])
        for message in (
            old.KasMessage(configuration=old.Configuration(agent_id=1, commit="c1", projects=[project])),
            old.KasMessage(snapshot_header=header),
            old.KasMessage(snapshot_files=old.SnapshotFiles(project_id=7, files=[file])),
            old.KasMessage(snapshot_complete=old.SnapshotComplete(project_id=7, digest=b"d")),
        ):
            kas.messages.put_nowait(message.SerializeToString())
        # What a kas that is newer than both might say.
        kas.messages.put_nowait(from_the_future())
        kas.messages.put_nowait(old.KasMessage(configuration=old.Configuration(commit="c2")).SerializeToString())
        await until(lambda: len(events) == 3)
        configured, received, again = events
        assert isinstance(configured, Configured)
        assert (configured.projects[0].prune, configured.projects[0].force_conflicts) == (True, False)
        assert isinstance(received, Received)
        assert list(received.snapshot.files) == ["a.yaml"]
        assert isinstance(again, Configured)
        assert kas.hellos[0].meta.instance_id == "instance"
        await it.link.report(wire.ReportRequest(reports=[wire.Report(id="r")]))
        assert [request.reports[0].id for request in kas.reports] == ["r"]
        with pytest.raises(LinkError, match="kas did not take the answer"):
            await it.link.answer(wire.AnswerRequest(command_id="c"), within=5)
        assert it.link.state.connected_since is not None
