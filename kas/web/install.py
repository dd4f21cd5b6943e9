"""``GET /install/<project>/<agent>.yaml``: what installs an agent, with a token made for it on the way.

The same objects as `kas generate` writes (``kas.install``); the query parameters are its options. Everything is checked
before the token is made, so that a wrong parameter leaves none behind.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web

from kas.install.objects import objects
from kas.install.scope import parse_scope
from kas.install.values import DEFAULT_NAMESPACE, ValuesError, check_namespace, read_values
from kas.install.yaml_text import to_yaml
from kas.web.errors import ApiError, bad_request
from kas.web.middleware import CALLER
from kas.web.queries import is_agent_name, is_project_path, new_token

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from multidict import MultiMapping

    from kas.install.values import Finding, Values
    from kas.web.registration import Registration

INSTALL = "/install/{project:.+}/{agent}.yaml"

TOKEN_NAME = "install"  # noqa: S105 -- what the token is called in lists

_STAND_IN = "glagent-not-made-yet"

_TEXTS = {
    "kas_address": "kasAddress",
    "image": "image",
    "agent_version": "agentVersion",
    "name_prefix": "namePrefix",
    "log_level": "logLevel",
}
_TAKES = frozenset({*_TEXTS, "namespace", "network_policy", "rbac", "replicas", "scope"})


@dataclass(frozen=True, slots=True)
class InstallDefaults:
    """What the operator has set: how agents reach kas, where agentk's image is, and whom to trust."""

    kas_address: str = ""
    image: str = ""
    ca_cert_file: Path | None = None


class Install:
    """The handler and what it needs."""

    def __init__(self, *, registration: Registration, defaults: InstallDefaults) -> None:
        self._registration = registration
        self._defaults = defaults

    def routes(self) -> list[web.RouteDef]:
        """Return the route to add; it is not open. HEAD would make a token that nobody sees."""
        return [web.get(INSTALL, self.serve, allow_head=False)]

    async def serve(self, request: web.Request) -> web.Response:
        """Answer with YAML for `kubectl apply -f -`."""
        caller = request[CALLER]
        project, name = request.match_info["project"], request.match_info["agent"]
        if not (is_project_path(project) and is_agent_name(name)):
            raise bad_request("the path names no agent", "it is /install/<configuration project>/<agent>.yaml")
        agent = await self._registration.agent_named(caller, project, name)
        given = read_parameters(request.query)
        values, namespace = self._read(given, await self._set_values())
        made = await self._registration.create_token(caller, agent.id, new_token(TOKEN_NAME, "made by /install"))
        text = to_yaml(objects(values.model_copy(update={"token": made.secret}), namespace))
        return web.Response(text=text, content_type="application/yaml", headers={"Cache-Control": "no-store"})

    async def _set_values(self) -> dict[str, Any]:
        """Return the values that the operator has set. The certificates are read anew: they are renewed."""
        defaults = self._defaults
        values: dict[str, Any] = {}
        if defaults.kas_address:
            values["kasAddress"] = defaults.kas_address
        if defaults.image:
            values["image"] = defaults.image
        if defaults.ca_cert_file is not None:
            try:
                data = await asyncio.to_thread(defaults.ca_cert_file.read_bytes)
            except OSError as error:
                raise _not_set(f"install.ca_cert_file cannot be read: {error.strerror}") from error
            values["caCert"] = data.decode("latin-1")
        return values

    @staticmethod
    def _read(given: Parameters, set_values: Mapping[str, Any]) -> tuple[Values, str]:
        try:
            values = read_values({**set_values, **given.values, "token": _STAND_IN})
            return values, check_namespace(given.namespace)
        except ValuesError as error:
            finding = error.findings[0]
            raise _refusal(finding, given.values, set_values) from error


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a caller chose, by the names that values have."""

    namespace: str
    values: Mapping[str, Any]


def read_parameters(query: MultiMapping[str]) -> Parameters:
    """Read the query.

    Raises:
        ApiError: a parameter is unknown, given twice, or has a value that it cannot have.
    """
    for name in query:
        if name not in _TAKES:
            raise bad_request(f"unknown parameter {name[:64]!r}", f"this path takes: {', '.join(sorted(_TAKES))}")
        if name != "scope" and len(query.getall(name)) > 1:
            raise bad_request(f"the parameter {name} is there twice")
    values: dict[str, Any] = {_TEXTS[name]: query[name] for name in query if name in _TEXTS}
    if "replicas" in query:
        values["replicas"] = _number(query["replicas"])
    if "rbac" in query:
        values["rbac"] = _flag(query, "rbac")
    if "network_policy" in query:
        values["networkPolicy"] = {"enabled": _flag(query, "network_policy")}
    if "scope" in query:
        try:
            values["scope"] = parse_scope(query.getall("scope"))
        except ValuesError as error:
            raise bad_request(f"the parameter scope: {error.findings[0].message}") from error
    return Parameters(query.get("namespace", DEFAULT_NAMESPACE), values)


def _not_set(message: str) -> ApiError:
    """Say that the operator has to set something first."""
    hint = "the section install of kas.yaml; see docs/kas-settings.md"
    return ApiError(HTTPStatus.CONFLICT, "NotConfigured", message, hint)


def _refusal(finding: Finding, given: Mapping[str, Any], set_values: Mapping[str, Any]) -> ApiError:
    """Say whether the caller or the operator has to change what."""
    top = re.split(r"[.\[]", finding.key, maxsplit=1)[0]
    name = re.sub("([A-Z])", lambda found: f"_{found[1].lower()}", top)
    if top not in given and top in {"kasAddress", *set_values}:
        setting = "ca_cert_file" if top == "caCert" else name
        return _not_set(f"install.{setting}: {finding.message}")
    return bad_request(f"the parameter {name}: {finding.message}")


def _flag(query: MultiMapping[str], name: str) -> bool:
    text = query[name]
    if text not in {"0", "1", "false", "true"}:
        raise bad_request(f"the parameter {name} cannot be {text[:64]!r}", "it is true or false")
    return text in {"1", "true"}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len("1000")):
        raise bad_request(f"the parameter replicas cannot be {text[:64]!r}", "it is 0 or 1")
    return int(text)
