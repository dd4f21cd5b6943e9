"""GraphQL over the real API listener of the web tests: a real store, real sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from kas.web.authentication import new_api_token
from tests.integration.kas_web.conftest import Kas, running_kas

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path


@dataclass
class Person:
    """Somebody with an API token."""

    kas: Kas
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    async def graphql(self, query: str, **variables: object) -> Any:  # noqa: ANN401 -- JSON
        """Send an operation; return the whole answer, which must have status 200."""
        body = {"query": query, "variables": variables}
        async with self.kas.http.post(f"{self.kas.address}/api/graphql", json=body, headers=self.headers) as response:
            answer = await response.json()
            assert response.status == 200, answer
            return answer

    async def ask(self, query: str, **variables: object) -> Any:  # noqa: ANN401 -- JSON
        """Send an operation; return its data, with no errors allowed."""
        answer = await self.graphql(query, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    async def refused(self, query: str, **variables: object) -> Any:  # noqa: ANN401 -- JSON
        """Send an operation that must fail; return its first error."""
        answer = await self.graphql(query, **variables)
        return answer["errors"][0]

    async def rest(self, method: str, path: str, body: object = None, *, status: int = 200) -> Any:  # noqa: ANN401 -- JSON
        async with self.kas.http.request(method, self.kas.url(path), json=body, headers=self.headers) as response:
            answer = await response.json()
            assert response.status == status, answer
            return answer


async def person(kas: Kas, role: str, project: str = "", *, expires_at: datetime | None = None) -> Person:
    secret, token_hash = new_api_token()
    await kas.store.api_tokens.create(f"{role} of {project}", role, token_hash, project=project, expires_at=expires_at)
    return Person(kas, secret)


@pytest.fixture
async def kas(tmp_path: Path) -> AsyncIterator[Kas]:
    async with running_kas(tmp_path) as running:
        yield running


@pytest.fixture
def admin(kas: Kas) -> Person:
    return Person(kas, kas.secret)
