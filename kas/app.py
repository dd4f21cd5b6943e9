"""Wires kas together. The only place that knows every room; each part starts after what it stands on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from agentlink import logs
from agentlink.lifecycle import STOP_SECONDS, run
from agentlink.manifests.model import Limits
from kas.descriptors import take_all_descriptors
from kas.first_token import first_api_token
from kas.git import remotes
from kas.git.mirrors import Mirrors
from kas.git.reach import doubt_about
from kas.git.watcher import RefWatcher
from kas.gitops.commands import LocalCommands
from kas.gitops.holds import HoldBoard
from kas.gitops.identify import Identifier
from kas.gitops.operating import Operator
from kas.gitops.publisher import Publisher
from kas.replicas.everybody import Everybody, Observing
from kas.replicas.joined import Replicas
from kas.replicas.redis_client import RedisSettingsError
from kas.reports.feed import Feed
from kas.reports.session_events import SessionEvents
from kas.reports.sink import ReportSink
from kas.reports.sync_log import SyncLog
from kas.rpc.admission import AdmissionLimits
from kas.rpc.listener import AgentListener, ListenerError, ListenerSettings
from kas.rpc.revocations import follow_revocations
from kas.store.errors import StoreError
from kas.store.store import Store
from kas.store.times import utc_now
from kas.tls import Certificate, CertificateError, TlsFiles
from kas.web.install import InstallDefaults
from kas.web.listener import api_app, listening
from kas.web.metrics import Metrics
from kas.web.observability import Check, observability_app, syncs_by_state

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Sequence

    from agentlink.lifecycle import Lifecycle
    from kas.settings import Settings
    from kas.settings.git import CredentialSettings
    from kas.settings.model import AgentListenerSettings, ApiSettings
    from kas.web.registration import DoubtAbout

log = logs.get_logger("app")


class StartError(Exception):
    """kas cannot start. The text names the setting or the thing to look at."""


def serve(settings: Settings) -> int:
    """Run kas until it is told to stop; return its exit code.

    Raises:
        StartError: Something it stands on cannot be used.
    """
    logs.configure(level=settings.logging.level, log_format=logs.LogFormat(settings.logging.format))
    take_all_descriptors()
    refused: list[StartError] = []

    async def program(life: Lifecycle) -> None:
        try:
            await _serve(settings, life)
        except StartError as error:
            # Kept for after the parts that had started have stopped; it is no defect to be logged with a traceback.
            refused.append(error)

    code = run(program)
    if refused:
        raise refused[0]
    return code


async def _serve(settings: Settings, life: Lifecycle) -> None:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        store = await life.start("store", _store(settings))
        await _pin_projects(settings, store)
        await first_api_token(settings.data_dir, store)
        key = await store.keys.of("parcels") if settings.redis is not None else b""
    except StoreError as error:
        raise StartError(f"database: {error}") from error
    feed = Feed()
    try:
        git = git_settings(settings)
    except ValueError as error:
        raise StartError(f"git: {error}") from error
    mirrors = Mirrors(git, settings.data_dir)
    await life.start("mirrors", _closing(mirrors))
    try:
        replicas = Replicas(
            settings.redis,
            password_file=settings.redis_password_file,
            ca_file=settings.redis_ca_file,
            name=settings.replica_name,
            key=key,
        )
    except RedisSettingsError as error:
        raise StartError(f"redis: {error}") from error
    await replicas.start(life)
    watcher = RefWatcher(mirrors, poll_interval=git.poll_interval, sharing=replicas.refs)
    limits = _limits(settings)
    commands, holds = LocalCommands(), HoldBoard(store.holds)
    publisher = Publisher(
        watcher=watcher,
        mirrors=mirrors,
        store=store,
        sync_log=SyncLog(store, feed),
        limits=limits,
        commands=commands,
        holds=holds,
    )
    events = SessionEvents(store, feed)
    observing = Observing(events)
    metrics = Metrics(CollectorRegistry())
    listener = AgentListener(
        _listener_settings(settings, others=store.shared),
        tokens=store.tokens,
        publisher=publisher,
        sink=ReportSink(store, feed, count=metrics.report_batch),
        observer=observing,
        identifier=Identifier(watcher=watcher, mirrors=mirrors, limits=limits),
        answers=commands,
    )
    await life.background("session-events", events.run())
    await life.background("retention", _clean(settings, store, mirrors))
    if store.shared:
        following = follow_revocations(store.tokens, listener.sessions, listener.token_revoked)
        await life.background("revocations", following)
        await life.background("holds", holds.follow_others())
    await life.background("watcher", watcher.run())
    doubt = partial(doubt_about, mirrors)
    everybody = await replicas.join(life, listener, observing, holds, feed)
    operator = Operator(publisher, await replicas.route(life, commands, everybody))
    await _start_http(
        settings,
        life,
        store=store,
        feed=feed,
        watcher=watcher,
        listener=listener,
        metrics=metrics,
        doubt=doubt,
        operator=operator,
        everybody=everybody,
        trouble=lambda: replicas.trouble,
    )
    try:
        stop_seconds = settings.agent_listener.drain_period + STOP_SECONDS
        await life.start("agent-listener", listener.listening(), stop_seconds=stop_seconds)
    except ListenerError as error:
        raise StartError(f"agent_listener: {error}") from error
    log.info("kas is ready", data_dir=str(settings.data_dir))
    await life.wait()
    feed.close()


async def _start_http(
    settings: Settings,
    life: Lifecycle,
    *,
    store: Store,
    feed: Feed,
    watcher: RefWatcher,
    listener: AgentListener,
    metrics: Metrics,
    doubt: DoubtAbout,
    operator: Operator,
    everybody: Everybody,
    trouble: Callable[[], str | None],
) -> None:
    """Start the API and observability listeners."""
    metrics.count_agents_by(lambda: len({session.identity.agent_id for session in listener.sessions.list()}))
    metrics.count_everywhere_by(
        lambda: len({session.identity.agent_id for session in everybody.list()}),
        lambda: len(everybody.presence.replicas) + 1,
    )

    async def readiness() -> Sequence[Check]:
        why = ""
        try:
            await store.ping()
        except StoreError as error:
            why = str(error)
        checks = [Check("database", ok=not why, message=why), Check("running", ok=not life.stopping)]
        away = trouble()
        if away is not None:  # agents are served without it, so it does not make kas unready
            checks.append(Check("redis", ok=True, message=away and f"away, this replica goes on by itself: {away}"))
        return checks

    app = api_app(
        store=store,
        sessions=everybody,
        feed=feed,
        poke=watcher.poke,
        webhook_secret_files=settings.webhooks.secret_files,
        token_revoked=everybody.token_revoked,
        metrics=metrics,
        doubt_about=doubt,
        operator=operator,
        install=InstallDefaults(
            kas_address=settings.install.kas_address or "",
            image=settings.install.image,
            ca_cert_file=settings.install.ca_cert_file,
        ),
    )
    api = settings.api.address
    observability = settings.observability.address
    watching = observability_app(metrics=metrics, readiness=readiness, count_syncs=syncs_by_state(store))
    try:
        tls = await _api_certificate(settings.api, life)
        host, port = await life.start("api", listening(app, api.host, api.port, tls=tls))
        await life.start("observability", listening(watching, observability.host, observability.port))
    except OSError as error:
        raise StartError(
            f"api.address {api.host}:{api.port} or observability.address {observability.host}:{observability.port}: "
            f"cannot listen: {error}; is another kas running?"
        ) from error
    log.info("Listening for people and webhooks", address=f"{'https' if tls else 'http'}://{host}:{port}")


async def _api_certificate(settings: ApiSettings, life: Lifecycle) -> ssl.SSLContext | None:
    files = _tls_files(settings)
    if files is None:
        return None
    try:
        certificate = Certificate(files)
    except CertificateError as error:
        raise StartError(f"api.certificate_file, api.key_file: {error}") from error
    await life.start("api-certificate", certificate.following())
    return certificate.context


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    store = await Store.open(settings.database_url, password_file=settings.database_password_file)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _closing(mirrors: Mirrors) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await mirrors.close()


async def _pin_projects(settings: Settings, store: Store) -> None:
    for path, project in settings.git.projects.items():
        if project.id is not None:
            await store.projects.pin(path, project.id)


async def _clean(settings: Settings, store: Store, mirrors: Mirrors) -> None:
    """Keep history and mirrors bounded, for ever."""
    retention = settings.retention
    while True:
        try:
            await store.retention.clean(
                keep_syncs=retention.syncs,
                keep_events=retention.events,
                pruned_before=utc_now() - timedelta(seconds=retention.pruned_objects),
            )
            audited_before = utc_now() - timedelta(seconds=retention.audit)
            await store.audit.clean(keep=retention.audit_lines, before=audited_before)
        except StoreError as error:
            log.warning("Old records could not be deleted", why=str(error))
        if removed := await mirrors.remove_unused(retention.mirrors):
            log.info("Mirrors that nobody used were deleted", mirrors=removed)
        await asyncio.sleep(retention.interval)


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


def _limits(settings: Settings) -> Limits:
    limits = settings.limits
    return Limits(
        file_bytes=limits.file_size,
        project_bytes=limits.project_size,
        files=limits.files,
        paths=limits.paths,
        yaml_nodes=limits.yaml_nodes,
        yaml_depth=limits.yaml_depth,
    )


def _listener_settings(settings: Settings, *, others: bool) -> ListenerSettings:
    """Return the listener's settings; without other replicas there is nowhere that agents could move to."""
    listener = settings.agent_listener
    return ListenerSettings(
        host=listener.websocket_address.host,
        websocket_port=listener.websocket_address.port,
        grpc_port=listener.grpc_address.port if listener.grpc_address else None,
        grpc_host=listener.grpc_address.host if listener.grpc_address else "",
        tls=_tls_files(listener),
        age=listener.max_connection_age,
        drain=listener.drain_period if others else 0.0,
        admission=AdmissionLimits(per_second=listener.new_sessions_per_second, per_token=listener.sessions_per_token),
    )


def _tls_files(settings: ApiSettings | AgentListenerSettings) -> TlsFiles | None:
    if settings.certificate_file is None or settings.key_file is None:
        return None
    return TlsFiles(settings.certificate_file, settings.key_file)
