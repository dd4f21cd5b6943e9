"""Reading and changing a cluster as a test sees it: raw JSON, independent of the project's own client.

Credentials come from the kubeconfig as kubectl reads it, so this works on somebody's own cluster as well.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from kubernetes.config import new_client_from_config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONTENT_TYPES = {
    "PATCH": "application/merge-patch+json",
    "APPLY": "application/apply-patch+yaml",
}


class ApiError(Exception):
    """The API server refused a request."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


class Kube:
    """A small blocking client: paths in, parsed JSON out. Every call ends within ``timeout`` seconds."""

    def __init__(self, kubeconfig: Path, *, timeout: float = 30.0) -> None:
        self._client = new_client_from_config(config_file=str(kubeconfig))  # type: ignore[no-untyped-call] # has no types
        self._timeout = timeout

    @property
    def url(self) -> str:
        """Where the API server listens."""
        return str(self._client.configuration.host)

    def close(self) -> None:
        """Close the connections."""
        self._client.rest_client.pool_manager.clear()
        self._client.close()

    def get(self, path: str, **params: str) -> Any:  # noqa: ANN401 - JSON
        """Return one object or a list."""
        return self._call("GET", path, params)

    def find(self, path: str) -> Any | None:  # noqa: ANN401 - JSON
        """Return one object, or None where there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401 - JSON
        """POST an object to the path of its collection."""
        return self._call("POST", path, {}, body)

    def patch(self, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401 - JSON
        """Change an object by a merge patch."""
        return self._call("PATCH", path, {}, body, CONTENT_TYPES["PATCH"])

    def apply(self, path: str, body: Mapping[str, object], *, manager: str = "test", force: bool = False) -> Any:  # noqa: ANN401 - JSON
        """Apply an object server-side."""
        params = {"fieldManager": manager, "force": "true" if force else "false"}
        return self._call("PATCH", path, params, body, CONTENT_TYPES["APPLY"])

    def delete(self, path: str, **params: str) -> None:
        """Delete an object; one that is gone already is no error."""
        try:
            self._call("DELETE", path, params)
        except ApiError as error:
            if error.status != 404:
                raise

    def scale(self, path: str, replicas: int) -> None:
        """Scale by hand, as ``kubectl scale`` does; ``path`` is that of the Deployment."""
        self._call("PATCH", f"{path}/scale", {}, {"spec": {"replicas": replicas}}, CONTENT_TYPES["PATCH"])

    def _call(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: Mapping[str, object] | None = None,
        content_type: str = "application/json",
    ) -> Any:  # noqa: ANN401 - JSON
        headers = {"Accept": "application/json", "Content-Type": content_type}
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
        url = f"{self._client.configuration.host}{path}"
        response = self._client.rest_client.pool_manager.request(
            method,
            f"{url}?{urlencode(params)}" if params else url,
            body=None if body is None else json.dumps(body).encode(),
            headers=headers,
            timeout=self._timeout,
            retries=False,
        )
        if response.status >= 300:
            raise _error(response.status, response.data)
        return json.loads(response.data)


def _error(status: int, data: bytes) -> ApiError:
    try:
        answer = json.loads(data)
    except ValueError:
        return ApiError(status, "", data.decode(errors="replace"))
    return ApiError(status, answer.get("reason", ""), answer.get("message", ""))
