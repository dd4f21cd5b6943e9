"""The explorer: what is served, and a real browser that uses it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from kas.web.graphql.explorer import OPEN_ROUTES
from tests.integration.kas_graphql.test_registering import registered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import aiohttp

    from tests.integration.kas_graphql.conftest import Person
    from tests.integration.kas_web.conftest import Kas

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SECONDS = 30


async def test_the_page_may_load_nothing_from_elsewhere(kas: Kas) -> None:
    for path in OPEN_ROUTES:
        async with kas.http.get(f"{kas.address}{path}") as response:
            body = await response.text()
        assert response.status == 200
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(r"https?://|<style|<script>|\son\w+=|innerHTML|localStorage|eval\(", body)


class Browser:
    """One page of a running Chromium, driven over its own protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = count(1)
        self.complaints: list[str] = []

    async def call(self, method: str, **params: object) -> Any:  # noqa: ANN401 -- JSON
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async for message in self._socket:
            value = json.loads(message.data)
            if value.get("id") == number:
                assert "error" not in value, value
                return value["result"]
            thrown = value.get("method") == "Runtime.exceptionThrown"
            if thrown or (value.get("method") == "Log.entryAdded" and value["params"]["entry"]["level"] != "verbose"):
                self.complaints.append(json.dumps(value["params"]))
        raise AssertionError("the browser has gone")

    async def evaluate(self, expression: str) -> Any:  # noqa: ANN401 -- JSON
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until an expression holds; the page says when something changed."""
        waiting = f"""new Promise((resolve) => {{
          const look = () => (({expression}) ? resolve(true) : false);
          if (!look()) {{
            new MutationObserver(look).observe(document, {{subtree: true, childList: true, characterData: true}});
          }}
        }})"""
        async with asyncio.timeout(SECONDS):
            assert await self.evaluate(waiting) is True


@pytest.fixture
async def browser(kas: Kas, tmp_path: Path) -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    profile = tmp_path / "chromium"
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--disable-dev-shm-usage", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(SECONDS):
            while b"DevTools listening on ws://" not in (line := await process.stderr.readline()):
                assert line, "Chromium did not start"
            port = line.decode().split("/")[2].rpartition(":")[2]
            async with kas.http.get(f"http://127.0.0.1:{port}/json/list") as response:
                pages = [page for page in json.loads(await response.text()) if page["type"] == "page"]
            async with kas.http.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                browser = Browser(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await browser.call(f"{domain}.enable")
                yield browser
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


async def test_a_person_runs_a_query_in_a_real_browser(kas: Kas, admin: Person, browser: Browser) -> None:
    await registered(admin, "my-agent")

    await browser.call("Page.navigate", url=f"{kas.address}/-/graphql-explorer")
    await browser.until("document.querySelector('#query') && document.querySelector('#query').value.length > 0")

    await browser.evaluate("document.querySelector('#run').click()")
    await browser.until("document.querySelector('#status').textContent.includes('an API token is needed')")

    await browser.evaluate(f"document.querySelector('#token').value = {json.dumps(kas.secret)}")
    await browser.evaluate("document.querySelector('#run').click()")
    await browser.until("document.querySelector('#result').textContent.includes('my-agent')")
    assert (await browser.evaluate("document.querySelector('#status').textContent")).startswith("200, ")

    await browser.evaluate("document.querySelector('#schema').click()")
    await browser.until("document.querySelectorAll('#types details').length > 5")

    assert "CreateClusterAgentPayload" in await browser.evaluate("document.querySelector('#types').textContent")
    assert kas.secret not in await browser.evaluate("document.documentElement.outerHTML + location.href")
    assert await browser.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    # The refused first run is all that the browser complains about: nothing was blocked, nothing threw.
    assert [text for text in browser.complaints if "401" not in text] == []
