"""Runs every check of ``kas check``. Knows the settings, as ``kas.app`` does, and hands each file what it looks at."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agentlink.findings import Finding, failed, ok, warning
from kas.check.certificates import check_certificate
from kas.check.configurations import Configurations
from kas.check.database import check_database
from kas.check.files import check_data_directory, check_secret_file, check_temporary_directory
from kas.check.ports import check_ports
from kas.check.redis import check_redis
from kas.check.repositories import check_program, check_projects
from kas.desired.project_access import ProjectAccess
from kas.first_token import ADMIN_TOKEN_FILE
from kas.room_settings import git_settings, limits_of
from kas.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kas.settings import Settings
    from kas.settings.values import Address


def check(config: Path | None, projects: Sequence[str]) -> list[Finding]:
    """Check everything that the settings of ``config`` name, and Git access to ``projects`` besides."""
    try:
        settings = load_settings(config)
    except SettingsError as error:
        remedy = "every setting is described in docs/kas-settings.md"
        return [failed("settings", "file", str(problem), remedy) for problem in error.problems]
    where = f"{config} can be used" if config is not None else "no file is named; every setting has its default"
    return [ok("settings", "file", where), *asyncio.run(_check(settings, projects))]


async def _check(settings: Settings, projects: Sequence[str]) -> list[Finding]:
    findings = [
        *check_data_directory(settings.data_dir),
        check_temporary_directory(),
        *_secret_files(settings),
        *_certificates(settings, datetime.now(UTC)),
        *await check_ports(list(_addresses(settings)), settings.observability.address),
    ]
    in_database, agents = await check_database(settings.database_url, settings.database_password_file)
    findings += in_database
    if settings.redis is not None:
        findings += await check_redis(settings.redis, settings.redis_password_file, settings.redis_ca_file)
    findings.append(check_program())
    named = dict.fromkeys([*settings.git.projects, *(project for _, project in agents), *projects])
    configurations = Configurations(agents, limits_of(settings), ProjectAccess(settings.project_access))
    try:
        findings += await check_projects(git_settings(settings), list(named), configurations.look)
        findings += configurations.summary()
    except ValueError as error:
        findings.append(failed("git", "settings", str(error)))
    if not named:
        message = "no project is known yet whose access could be checked"
        findings.append(warning("git", "projects", message, "name one: kas check --project group/project"))
    return findings


def _secret_files(settings: Settings) -> Iterator[Finding]:
    admin_token = settings.data_dir / ADMIN_TOKEN_FILE
    if admin_token.exists():
        yield check_secret_file("first API token", admin_token)
    if settings.database_password_file is not None:
        yield check_secret_file("database_password_file", settings.database_password_file)
    if settings.redis_password_file is not None:
        yield check_secret_file("redis_password_file", settings.redis_password_file)
    if settings.git.credential is not None:
        yield check_secret_file("git.credential", settings.git.credential.token_file)
    for path, group in settings.git.groups.items():
        yield check_secret_file(f"credential of {path}", group.credential.token_file)
    for path, project in settings.git.projects.items():
        if project.credential is not None:
            yield check_secret_file(f"credential of {path}", project.credential.token_file)
    for sender, secret_file in settings.webhooks.secret_files.items():
        yield check_secret_file(f"webhook secret of {sender}", secret_file)
    if not settings.webhooks.secret_files:
        remedy = "set webhooks.gitlab.secret_token_file, and the same secret at GitLab"
        message = f"webhooks are refused; a push is seen within {settings.git.poll_interval:g} s"
        yield warning("files", "webhook secret", message, remedy)


def _certificates(settings: Settings, now: datetime) -> Iterator[Finding]:
    for name, listener in (("agent_listener", settings.agent_listener), ("api", settings.api)):
        if listener.certificate_file is not None and listener.key_file is not None:
            yield check_certificate(name, listener.certificate_file, listener.key_file, now)


def _addresses(settings: Settings) -> Iterator[tuple[str, Address]]:
    yield "agent_listener.websocket_address", settings.agent_listener.websocket_address
    if settings.agent_listener.grpc_address is not None:
        yield "agent_listener.grpc_address", settings.agent_listener.grpc_address
    yield "api.address", settings.api.address
    yield "observability.address", settings.observability.address
