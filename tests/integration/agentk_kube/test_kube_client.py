from __future__ import annotations

import asyncio
import base64
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
import yaml
from kubernetes.aio.config import incluster_config

from agentk.kube.client import KubeClient
from agentk.kube.errors import KubeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.controlplane.cluster import Cluster

pytestmark = pytest.mark.cluster

WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = orjson.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})


async def who_am_i(client: KubeClient) -> str:
    answer = orjson.loads(await client.request("POST", WHO_AM_I, body=REVIEW))
    return str(answer["status"]["userInfo"]["username"])


async def test_the_server_tells_its_version_and_that_it_is_ready(client: KubeClient) -> None:
    assert (await client.version())["gitVersion"].startswith("v1.")
    await client.ping()


async def test_parameters_are_encoded(client: KubeClient) -> None:
    params = {"labelSelector": "a in (b,c),d!=e", "limit": "1"}
    answer = orjson.loads(await client.request("GET", "/api/v1/configmaps", params=params))
    assert answer["items"] == []


async def test_a_permission_that_is_missing_is_named(
    kubeconfig_of: Callable[[dict[str, object]], str], account_token: str, namespace: str
) -> None:
    async with await KubeClient.connect(kubeconfig=kubeconfig_of({"token": account_token})) as weak:
        with pytest.raises(KubeError) as caught:
            await weak.request("GET", f"/api/v1/namespaces/{namespace}/secrets")
    error = caught.value
    assert (error.status, error.reason) == (403, "Forbidden")
    assert f'User "system:serviceaccount:{namespace}:default" cannot list resource "secrets"' in error.message
    assert not error.retryable


async def test_a_rotated_token_is_read_again_when_the_old_one_is_refused(
    kubeconfig_of: Callable[[dict[str, object]], str], account_token: str, namespace: str, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("expired")
    async with await KubeClient.connect(kubeconfig=kubeconfig_of({"tokenFile": str(token)})) as client:
        with pytest.raises(KubeError) as caught:
            await who_am_i(client)
        assert caught.value.status == 401
        token.write_text(f"{account_token}\n")
        assert await who_am_i(client) == f"system:serviceaccount:{namespace}:default"


async def test_an_exec_plugin_is_asked_again_when_its_token_is_refused(
    kubeconfig_of: Callable[[dict[str, object]], str], account_token: str, namespace: str, tmp_path: Path
) -> None:
    answer = tmp_path / "credential.json"
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "cat", "args": [str(answer)]}

    def hand_out(token: str) -> None:
        credential = {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "status": {"token": token}}
        answer.write_bytes(orjson.dumps(credential))

    hand_out("expired")
    async with await KubeClient.connect(kubeconfig=kubeconfig_of({"exec": plugin})) as client:
        with pytest.raises(KubeError, match="Unauthorized"):
            await who_am_i(client)
        hand_out(account_token)
        assert await who_am_i(client) == f"system:serviceaccount:{namespace}:default"


async def test_a_service_account_s_files_are_found_and_read_again(
    control_plane: Cluster, account_token: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = yaml.safe_load(control_plane.kubeconfig.read_text())["clusters"][0]["cluster"]
    host, _, port = str(cluster["server"]).removeprefix("https://").partition(":")
    ca, token = tmp_path / "ca.crt", tmp_path / "token"
    ca.write_bytes(ca_of(cluster))
    token.write_text("expired")
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(ca))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port or "443")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    async with await KubeClient.connect() as client:
        token.write_text(account_token)
        assert await who_am_i(client) == f"system:serviceaccount:{namespace}:default"


def ca_of(cluster: dict[str, str]) -> bytes:
    if data := cluster.get("certificate-authority-data"):
        return base64.b64decode(data)
    return Path(cluster["certificate-authority"]).read_bytes()


@pytest.mark.parametrize("content", ["", "{}", "[]", "a: [", "clusters: 7", "apiVersion: v1\ncurrent-context: gone\n"])
async def test_a_kubeconfig_that_does_not_do_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken"
    path.write_text(content)
    with pytest.raises(KubeError) as caught:
        await KubeClient.connect(kubeconfig=str(path))
    assert caught.value.reason == "NoCredentials"
    assert str(path) in caught.value.message


async def test_a_kubeconfig_that_is_not_there_is_said_once_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KubeError, match="there is no such file"):
        await KubeClient.connect(kubeconfig=str(tmp_path / "gone"))
    assert capfd.readouterr() == ("", "")


async def test_a_broken_user_is_named_without_its_password(
    kubeconfig_of: Callable[[dict[str, object]], str],
) -> None:
    path = kubeconfig_of({"token": None, "username": "u", "password": "hunter2"})
    with pytest.raises(KubeError, match="it has no token") as caught:
        await KubeClient.connect(kubeconfig=path)
    error = caught.value
    assert "hunter2" not in f"{error} {error!r} {error.__cause__} {error.__context__}"


async def test_a_missing_kubeconfig_or_context_is_named(control_plane: Cluster, tmp_path: Path) -> None:
    with pytest.raises(KubeError, match="nowhere"):
        await KubeClient.connect(kubeconfig=str(tmp_path / "nowhere"))
    with pytest.raises(KubeError, match="staging"):
        await KubeClient.connect(kubeconfig=str(control_plane.kubeconfig), context="staging")


async def test_a_server_that_nobody_runs_is_unreachable(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        server = f"http://127.0.0.1:{held.getsockname()[1]}"
        async with await KubeClient.connect(kubeconfig=kubeconfig_for(server, tmp_path)) as client:
            with pytest.raises(KubeError) as caught:
                await client.version()
    assert (caught.value.status, caught.value.reason) == (0, "Unreachable")
    assert caught.value.retryable
    assert server in caught.value.message
    assert isinstance(caught.value.__cause__, OSError)


async def test_a_server_that_never_answers_times_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with await KubeClient.connect(kubeconfig=kubeconfig_for(server, tmp_path)) as client:
            with pytest.raises(KubeError) as caught:
                await client.request("GET", "/version", timeout=0.1)
    assert (caught.value.status, caught.value.reason) == (0, "Timeout")
    assert caught.value.retryable


async def test_a_server_with_a_strange_certificate_is_not_trusted(control_plane: Cluster, tmp_path: Path) -> None:
    path = kubeconfig_for(control_plane.url, tmp_path)
    async with await KubeClient.connect(kubeconfig=path) as client:
        with pytest.raises(KubeError) as caught:
            await client.version()
    assert caught.value.reason == "Untrusted"
    assert not caught.value.retryable


async def test_a_proxy_that_the_kubeconfig_names_gets_every_request(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                seen.append(head.split(b"\r\n")[0])
                gone = b"/api " in head
                status = b"404 Not Found" if gone else b"200 OK"
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: 23\r\n\r\n" % status + b'{"gitVersion": "v1.2.3"}'[:23])
        writer.close()

    listener = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    path = kubeconfig_for("http://cluster.invalid", tmp_path, **{"proxy-url": f"http://127.0.0.1:{port}"})
    async with listener, await KubeClient.connect(kubeconfig=path) as client:
        assert await client.request("GET", "/version", accept="*/*") == b'{"gitVersion": "v1.2.3"'
        with pytest.raises(KubeError) as caught:
            await client.request("GET", "/api")
        assert caught.value.status == 404
        with pytest.raises(KubeError, match="larger than"):
            await client.request("GET", "/version", limit=10)
    assert seen[0] == b"GET http://cluster.invalid/version HTTP/1.1"
    assert len(seen) == 3


async def test_an_answer_above_its_limit_is_refused_and_the_client_lives_on(client: KubeClient) -> None:
    with pytest.raises(KubeError) as caught:
        await client.request("GET", "/openapi/v2", limit=1 << 20)
    assert caught.value.reason == "TooLarge"
    await client.ping()


def kubeconfig_for(server: str, directory: Path, **more: str) -> str:
    path = directory / "kubeconfig-of-a-stranger"
    path.write_bytes(
        orjson.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": server, **more}}],
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    return str(path)
