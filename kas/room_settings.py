"""What each room of kas is given of the settings. Rooms have plain values of their own, and know no settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentlink.manifests.model import Limits
from agentlink.newcomers import NewcomerLimits
from kas.git import remotes
from kas.reports.quota import Quotas
from kas.rpc.admission import AdmissionLimits
from kas.rpc.listener import ListenerSettings
from kas.rpc.rates import RateLimits
from kas.tls import TlsFiles

if TYPE_CHECKING:
    from kas.settings import Settings
    from kas.settings.git import CredentialSettings
    from kas.settings.model import AgentListenerSettings, ApiSettings


def git_settings(settings: Settings) -> remotes.GitSettings:
    """Return the settings of the Git room."""
    git = settings.git
    return remotes.GitSettings(
        url_template=git.url_template,
        credential=_credential(git.credential),
        projects={
            path: remotes.ProjectOverride(url=project.url, credential=_credential(project.credential))
            for path, project in git.projects.items()
        },
        groups={path: _known(group.credential) for path, group in git.groups.items()},
        ca_file=git.ca_file,
        poll_interval=git.poll_interval,
        timeout=git.timeout,
        allow_http="http" in git.allowed_schemes,
        allow_file="file" in git.allowed_schemes,
        allow_ssh="ssh" in git.allowed_schemes,
        max_pack_bytes=git.fetch_size,
        memory=git.memory,
        allowed_hosts=frozenset(git.allowed_hosts),
    )


def _credential(settings: CredentialSettings | None) -> remotes.CredentialSettings | None:
    return None if settings is None else _known(settings)


def _known(settings: CredentialSettings) -> remotes.CredentialSettings:
    return remotes.CredentialSettings(
        kind=remotes.CredentialKind(settings.kind),
        secret_file=settings.token_file,
        username=settings.username,
        known_hosts_file=settings.known_hosts_file,
    )


def limits_of(settings: Settings) -> Limits:
    """Return what files of manifests and configurations may hold."""
    limits = settings.limits
    return Limits(
        file_bytes=limits.file_size,
        project_bytes=limits.project_size,
        files=limits.files,
        paths=limits.paths,
        yaml_nodes=limits.yaml_nodes,
        yaml_depth=limits.yaml_depth,
    )


def quotas_of(settings: Settings) -> Quotas:
    """Return how much of the database one agent may take."""
    reports = settings.reports
    return Quotas(spare=reports.spare_objects, text=reports.object_texts, events=settings.retention.events)


def listener_settings(settings: Settings, *, others: bool) -> ListenerSettings:
    """Return the listener's settings; without other replicas there is nowhere that agents could move to."""
    listener = settings.agent_listener
    return ListenerSettings(
        host=listener.websocket_address.host,
        websocket_port=listener.websocket_address.port,
        grpc_port=listener.grpc_address.port if listener.grpc_address else None,
        grpc_host=listener.grpc_address.host if listener.grpc_address else "",
        tls=tls_files(listener),
        age=listener.max_connection_age,
        drain=listener.drain_period if others else 0.0,
        newcomers=newcomers_of(settings),
        admission=AdmissionLimits(per_second=listener.new_sessions_per_second, per_token=listener.sessions_per_token),
        rates=RateLimits(per_second=settings.reports.rate, burst=settings.reports.burst),
    )


def newcomers_of(settings: Settings) -> NewcomerLimits:
    """Return what is held of those who have shown no token."""
    bounds = settings.unauthenticated
    return NewcomerLimits(
        in_all=bounds.connections, of_an_address=bounds.connections_per_address, seconds=bounds.timeout
    )


def tls_files(settings: ApiSettings | AgentListenerSettings) -> TlsFiles | None:
    """Return the files of a certificate; None where there is none."""
    if settings.certificate_file is None or settings.key_file is None:
        return None
    return TlsFiles(settings.certificate_file, settings.key_file)
