"""GitLab's agentk at this kas: it is told what to install instead, and so are those who look at its events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from agentlink.metadata import AUTHORIZATION

if TYPE_CHECKING:
    from tests.support.agent_link import Kas

CALLS = (
    "gitlab.agent.agent_configuration.rpc.AgentConfiguration/GetConfiguration",
    "gitlab.agent.reverse_tunnel.rpc.ReverseTunnel/Connect",
    "gitlab.agent.agent_registrar.rpc.AgentRegistrar/Register",
)
META = b"\x12\x0b\x0a\x07v16.5.0\x18\x01"
"""A ``ConfigurationRequest`` as GitLab's agentk 16 sends it: its metadata, and that it will register."""


async def call(kas: Kas, method: str, secret: str, program: str) -> tuple[grpc.StatusCode, str]:
    """Call as GitLab's agentk does, and return the code and the text of the answer."""
    address = f"localhost:{kas.listener.grpc_port}"
    options = [("grpc.primary_user_agent", program)]
    async with grpc.aio.insecure_channel(address, options, grpc.Compression.Gzip) as channel:
        ask: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(f"/{method}", bytes, bytes)
        stream = ask(META, metadata=((AUTHORIZATION, f"Bearer {secret}"),), timeout=30)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await anext(aiter(stream))
    return raised.value.code(), raised.value.details() or ""


async def test_it_is_told_what_to_install_and_one_event_tells_its_version(kas: Kas) -> None:
    secret, _ = await kas.register()
    for method in CALLS * 2:
        code, text = await call(kas, method, secret, "gitlab-agent/v16.5.0/8daa08cc")
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert "GitLab's agentk v16.5.0" in text
        assert "kas generate" in text
    assert [(identity.agent_name, version) for identity, version in kas.of_gitlab] == [("my-agent", "v16.5.0")]


@pytest.mark.parametrize(
    ("program", "version"),
    [
        ("agentk/v13.7.0/71c94d7", "v13.7.0"),
        ("gitlab-agent/v0.0.0/abc", "v0.0.0"),
        ("gitlab-agent/\x1b[31m/x", ""),
        ("curl/8.0", ""),
    ],
)
async def test_what_it_calls_itself_is_told_only_if_it_is_a_version(kas: Kas, program: str, version: str) -> None:
    secret, _ = await kas.register()
    _, text = await call(kas, CALLS[0], secret, program)
    assert f"agentk {version}:" in text if version else "agentk:" in text
    assert [told for _, told in kas.of_gitlab] == [version]


async def test_with_a_token_of_gitlab_it_is_refused_as_anybody_is(kas: Kas) -> None:
    code, text = await call(kas, CALLS[0], "glagent-" + "x" * 50, "gitlab-agent/v16.5.0/8daa08cc")
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "kas token create" in text
    assert not kas.of_gitlab


async def test_other_methods_that_kas_does_not_have_stay_unknown(kas: Kas) -> None:
    secret, _ = await kas.register()
    code, _ = await call(kas, "grpc.health.v1.Health/Watch", secret, "gitlab-agent/v16.5.0/8daa08cc")
    assert code is grpc.StatusCode.UNIMPLEMENTED
