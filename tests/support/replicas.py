"""Several kas on one PostgreSQL and one Redis, behind one address, each a real process."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.support.installation import HOST, Kas
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.support.postgres import PostgresServer


class Replicas:
    """``with Replicas(...) as replicas``: all of them run and know each other.

    Args:
        directory: for their data and logs.
        git_template: where projects are.
        postgres: the server.
        count: how many.
        settings: more of kas.yaml.
        poll_interval: how often refs are looked at.
        listener: more of ``agent_listener``.
    """

    def __init__(
        self,
        directory: Path,
        git_template: str,
        postgres: PostgresServer,
        *,
        count: int = 3,
        settings: str = "",
        poll_interval: str = "60s",
        listener: str = "",
    ) -> None:
        self._stack = ExitStack()
        self.redis = RedisServer()
        self.database = postgres.create_database()
        self._links = [TcpProxy(self.redis.port) for _ in range(count)]
        self.kas = [
            Kas(
                directory / f"kas-{number}",
                git_template,
                settings=f"database: {postgres.url(self.database)}\n"
                f"redis: redis://{HOST}:{link.port}/0\nreplica_name: kas-{number}\n{settings}",
                poll_interval=poll_interval,
                listener=listener,
            )
            for number, link in enumerate(self._links)
        ]
        self.agents = TcpProxy(*(kas.grpc_port for kas in self.kas))
        self.api = TcpProxy(*(kas.api_port for kas in self.kas))

    @property
    def address(self) -> str:
        """What agents are given: the balancer's."""
        return f"grpc://localhost:{self.agents.port}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.redis)
            for proxy in (*self._links, self.agents, self.api):
                stack.enter_context(proxy)
            for kas in self.kas:
                stack.callback(kas.stop)
                kas.launch()
            for kas in self.kas:
                kas.wait_ready()
            self._share_admin_token()
            self.wait_for_each_other()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def link(self, number: int) -> TcpProxy:
        """Return what is between a replica and Redis."""
        return self._links[number]

    def wait_for_each_other(self) -> None:
        """Wait until every replica that runs knows all others that do."""
        running = [kas for kas in self.kas if kas.running]
        wait_until(
            lambda: all(kas.metric("kas_replicas") == len(running) for kas in running), what="all know each other"
        )

    def _share_admin_token(self) -> None:
        written = [kas for kas in self.kas if kas.admin_token.exists()]
        assert len(written) == 1, "replicas that started at once made several first tokens"
        for kas in self.kas:
            if kas is not written[0]:
                shutil.copy(written[0].admin_token, kas.admin_token)
