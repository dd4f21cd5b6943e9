"""Running one control plane: etcd, kube-apiserver and kube-controller-manager on loopback ports, in one directory."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import urllib3

from tests.controlplane.ready_pods import ReadyPods
from tests.support.kube import Kube
from tests.support.processes import Process, free_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.controlplane.binaries import Binaries

HOST = "127.0.0.1"
READY_SECONDS = 90.0
"""Four seconds on an idle two-core machine; the rest is for a busy one."""


class ControlPlane:
    """A control plane of our own: RBAC on, admission as in a default cluster, namespaces that really terminate.

    A context manager. Its data lies in ``directory`` and is the caller's to remove.

    Attributes:
        kubeconfig: file with an administrator's credentials.
        url: of the API server, ``https://127.0.0.1:<port>``; the same for life.
        token: the administrator's bearer token (group ``system:masters``).
        ca_file: what signs the API server's certificate.
    """

    def __init__(self, binaries: Binaries, directory: Path, *, flags: Sequence[str] = ()) -> None:
        """Prepare; ``flags`` are more of the API server's own, such as ``--audit-policy-file=…``."""
        self._flags = tuple(flags)
        self.url = f"https://{HOST}:{free_port()}"
        self.token = secrets.token_urlsafe(24)
        self.kubeconfig = directory / "kubeconfig"
        self.ca_file = directory / "certs" / "apiserver.crt"
        self._binaries = binaries
        self._directory = directory
        self._etcd_urls = [f"http://{HOST}:{free_port()}" for _ in range(2)]
        self._api_server: Process | None = None
        self._ready_pods: ReadyPods | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._stack = stack
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop_api_server()
        self._stack.close()

    @property
    def runs_controllers(self) -> bool:
        """Whether namespaces terminate, service accounts appear and Deployments get pods."""
        return self._binaries.kube_controller_manager is not None

    def stop_api_server(self) -> None:
        """End the API server at once, as a crash would; etcd and its data stay."""
        if self._api_server is not None:
            self._api_server.kill()
            self._api_server = None

    def start_api_server(self) -> None:
        """Start the API server, again on the same port and data, and wait until it is ready."""
        port = self.url.rpartition(":")[2]
        self._api_server = Process(
            "kube-apiserver",
            [
                self._binaries.kube_apiserver,
                f"--etcd-servers={self._etcd_urls[0]}",
                f"--bind-address={HOST}",
                f"--advertise-address={HOST}",
                f"--secure-port={port}",
                f"--cert-dir={self.ca_file.parent}",
                f"--token-auth-file={self._directory / 'tokens.csv'}",
                f"--service-account-key-file={self._directory / 'service-accounts.key'}",
                f"--service-account-signing-key-file={self._directory / 'service-accounts.key'}",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-cluster-ip-range=10.96.0.0/16",
                # Keeps the "kubernetes" Service from wanting an advertised address that is not loopback.
                "--endpoint-reconciler-type=none",
                "--authorization-mode=RBAC",
                "--profiling=false",
                *self._flags,
            ],
            log=self._directory / "kube-apiserver.log",
        )
        self._api_server.wait_until(self._is_ready, what="/readyz answers ok", within=READY_SECONDS)

    def start_ready_pods(self) -> None:
        """Make pods become Ready from now on: a scheduler and one node played by kwok. Repeating it changes nothing.

        Raises:
            ReadyPodsUnavailableError: there is no scheduler or kwok to start (see ``Binaries``).
        """
        if self._ready_pods is None:
            ready_pods = ReadyPods(self._binaries, self._directory, self.kubeconfig)
            self._stack.enter_context(ready_pods)
            self._ready_pods = ready_pods

    def log_text(self, program: str = "kube-apiserver") -> str:
        """Return what one of the programs has logged."""
        return (self._directory / f"{program}.log").read_text(errors="replace")

    def _start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._write_credentials()
        self._start_etcd()
        self._stack.callback(self.stop_api_server)
        self.start_api_server()
        self._write_kubeconfig()
        self._start_controller_manager()

    def _write_credentials(self) -> None:
        key = self._directory / "service-accounts.key"
        openssl = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(key)]
        subprocess.run(openssl, check=True, capture_output=True)
        tokens = self._directory / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f'{self.token},admin,admin,"system:masters"\n')

    def _start_etcd(self) -> None:
        client, peer = self._etcd_urls
        etcd = Process(
            "etcd",
            [
                self._binaries.etcd,
                f"--data-dir={self._directory / 'etcd'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                # Tests need no data after a power cut, and fsync is most of what a write costs.
                "--unsafe-no-fsync",
            ],
            log=self._directory / "etcd.log",
        )
        self._stack.callback(etcd.kill)
        etcd.wait_until(lambda: _answers(f"{client}/health"), what="/health answers", within=READY_SECONDS)

    def _start_controller_manager(self) -> None:
        if self._binaries.kube_controller_manager is None:
            return
        port = free_port()
        manager = Process(
            "kube-controller-manager",
            [
                self._binaries.kube_controller_manager,
                f"--kubeconfig={self.kubeconfig}",
                f"--root-ca-file={self.ca_file}",
                f"--service-account-private-key-file={self._directory / 'service-accounts.key'}",
                f"--bind-address={HOST}",
                f"--secure-port={port}",
                f"--cert-dir={self._directory / 'controller-manager-certs'}",
                "--leader-elect=false",
                # The default of 20 requests a second makes tests wait for namespaces that are torn down in bulk.
                "--kube-api-qps=300",
                "--kube-api-burst=600",
            ],
            log=self._directory / "kube-controller-manager.log",
        )
        self._stack.callback(manager.kill)
        kube = Kube(self.kubeconfig)
        self._stack.callback(kube.close)
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        manager.wait_until(lambda: kube.find(account), what="the default service account exists", within=READY_SECONDS)

    def _is_ready(self) -> bool:
        return self.ca_file.is_file() and _answers(f"{self.url}/readyz", ca_file=self.ca_file, token=self.token)

    def _write_kubeconfig(self) -> None:
        # JSON is YAML. The certificate goes in by value, so that the file works wherever it is copied to.
        cluster = {
            "server": self.url,
            "certificate-authority-data": base64.b64encode(self.ca_file.read_bytes()).decode(),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self.token}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "admin"}}],
            "current-context": "local",
        }
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(config, indent=2))


def _answers(url: str, *, ca_file: Path | None = None, token: str | None = None) -> bool:
    """Whether a health endpoint answers 200 now."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with urllib3.PoolManager(ca_certs=None if ca_file is None else str(ca_file)) as pool:
        try:
            return pool.request("GET", url, headers=headers, timeout=5.0, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False
