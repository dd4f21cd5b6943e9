"""What stands before each request: who we are, as whom we act, what is sent and what is asked for.

Made once for each pair of content types, and anew when the token has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentk.kube.errors import KubeError

if TYPE_CHECKING:
    from agentk.kube.auth import Credentials
    from agentk.kube.direct import Direct


class Headers:
    """Those of one client; each of several with the same credentials notices a new token on its own."""

    def __init__(self, credentials: Credentials, direct: Direct | None, *, impersonated: str = "") -> None:
        """Make them.

        Args:
            credentials: Who we are.
            direct: What writes them for plain requests, if these do not go through a proxy.
            impersonated: As whom we act; empty: as ourselves.
        """
        self._credentials = credentials
        self._direct = direct
        self.impersonated = impersonated
        self.authorization = credentials.authorization
        """Whom we showed ourselves as last."""
        self._headers: dict[tuple[str, str], dict[str, str]] = {}
        self._heads: dict[tuple[str, str], bytes] = {}

    def acting_as(self, user: str) -> Headers:
        """Return those of another client, which acts as this user."""
        return Headers(self._credentials, self._direct, impersonated=user)

    def of(self, content_type: str, accept: str) -> dict[str, str]:
        """Return them for aiohttp."""
        found = self._headers.get((content_type, accept))
        if found is not None:
            return found
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": "agentk"}
        if self.authorization:
            headers["Authorization"] = self.authorization
        if self.impersonated:
            headers["Impersonate-User"] = self.impersonated
        return self._headers.setdefault((content_type, accept), headers)

    def head(self, content_type: str, accept: str) -> bytes:
        """Return them as ``Direct.exchange`` wants them.

        Raises:
            KubeError: The token holds what no header may hold.
        """
        found = self._heads.get((content_type, accept))
        if found is not None:
            return found
        assert self._direct is not None  # noqa: S101 - who has no such connection asks for the others
        try:
            head = self._direct.head(self.of(content_type, accept))
        except ValueError as error:
            raise KubeError(0, "NoCredentials", f"the credentials for {self._credentials.host}: {error}") from None
        return self._heads.setdefault((content_type, accept), head)

    async def refresh(self) -> None:
        """Take up a newer token, if the one at hand is about to end."""
        if self._credentials.stale:
            await self.renew(None)

    async def renew(self, rejected: str | None) -> bool:
        """Look for a newer token than the one that was ``rejected``; tell whether there is one."""
        changed = await self._credentials.refresh(rejected=rejected)
        if self.authorization != self._credentials.authorization:
            self.authorization = self._credentials.authorization
            self._headers.clear()
            self._heads.clear()
        return changed
