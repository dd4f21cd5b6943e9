"""``GET /-/graphql-explorer``: a page to try queries in. Needs nothing from elsewhere; the API token stays in the page.

The files beside this one are served as they are, under a policy that lets the page load nothing else and talk to kas
only. Opening the page needs no token; what it asks does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

EXPLORER: Final = "/-/graphql-explorer"

_FOLDER: Final = Path(__file__).parent / "explorer_page"
_FILES: Final = {
    EXPLORER: ("explorer.html", "text/html"),
    f"{EXPLORER}/explorer.css": ("explorer.css", "text/css"),
    f"{EXPLORER}/explorer.js": ("explorer.js", "text/javascript"),
}

OPEN_ROUTES: Final = frozenset(_FILES)

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Explorer:
    """The page and its two files, read once."""

    def __init__(self) -> None:
        self._bodies = {path: (_FOLDER / name).read_bytes() for path, (name, _) in _FILES.items()}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add; all of them are open."""
        return [web.get(path, self.show) for path in _FILES]

    async def show(self, request: web.Request) -> web.Response:
        """Answer with a file."""
        path = request.path
        return web.Response(body=self._bodies[path], content_type=_FILES[path][1], charset="utf-8", headers=_HEADERS)
