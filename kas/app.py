"""Wires kas together. The only place that knows every room; each part starts after what it stands on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from agentlink import logs
from agentlink.lifecycle import STOP_SECONDS, run
from kas.data_directory import DataDirectoryError, locked
from kas.descriptors import take_all_descriptors
from kas.desired.project_access import ProjectAccess
from kas.doorkeeper import Doorkeeper
from kas.first_token import first_api_token
from kas.git.errors import GitError
from kas.git.mirrors import Mirrors
from kas.git.program import check_program
from kas.git.reach import doubt_about
from kas.git.watcher import RefWatcher
from kas.gitops.commands import LocalCommands
from kas.gitops.holds import HoldBoard
from kas.gitops.identify import Identifier
from kas.gitops.operating import Operator
from kas.gitops.publisher import Publisher
from kas.gitops.tidying import tidy_for_ever
from kas.replicas.everybody import Everybody, Observing
from kas.replicas.joined import Replicas
from kas.replicas.redis_client import RedisSettingsError
from kas.reports.feed import Feed
from kas.reports.session_events import SessionEvents
from kas.reports.sink import ReportSink
from kas.reports.sync_id import SYNCS_KEY, SyncIds
from kas.reports.sync_log import SyncLog
from kas.room_settings import git_settings, limits_of, listener_settings, newcomers_of, quotas_of, tls_files
from kas.rpc.listener import AgentListener, ListenerError
from kas.rpc.revocations import Doubts, follow_revocations
from kas.store.errors import ProjectPinned, StoreError
from kas.store.keys import REPLICAS
from kas.store.store import Store
from kas.store.times import utc_now
from kas.tls import Certificate, CertificateError
from kas.web.install import InstallDefaults
from kas.web.listener import REQUEST_SECONDS, api_app, listening
from kas.web.metrics import Metrics
from kas.web.observability import Check, observability_app, syncs_by_state

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from agentlink.lifecycle import Lifecycle
    from kas.settings import Settings
    from kas.settings.model import ApiSettings
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
    store, sync_ids, key, installation = await _open(settings, life)
    feed = Feed()
    try:
        check_program()
        git = git_settings(settings)
    except (GitError, ValueError) as error:
        raise StartError(f"git: {error}") from error
    mirrors = Mirrors(git, settings.data_dir)
    await life.start("mirrors", _closing(mirrors))
    metrics = Metrics(CollectorRegistry())
    try:
        replicas = Replicas(
            settings.redis,
            password_file=settings.redis_password_file,
            ca_file=settings.redis_ca_file,
            name=settings.replica_name,
            key=key,
            refused=metrics.redis_refused,
        )
    except RedisSettingsError as error:
        raise StartError(f"redis: {error}") from error
    await replicas.start(life)
    watcher = RefWatcher(mirrors, poll_interval=git.poll_interval, sharing=replicas.refs)
    limits = limits_of(settings)
    access = ProjectAccess(settings.project_access)
    commands, holds = LocalCommands(), HoldBoard(store.holds)
    publisher = Publisher(
        watcher=watcher,
        mirrors=mirrors,
        store=store,
        sync_log=SyncLog(store, feed),
        sync_ids=sync_ids,
        limits=limits,
        commands=commands,
        holds=holds,
        access=access,
        installation=installation,
    )
    events = SessionEvents(store, feed, keep=settings.retention.events)
    observing = Observing(events)
    doorkeeper = Doorkeeper()
    listener = AgentListener(
        listener_settings(settings, others=store.shared),
        tokens=store.tokens,
        publisher=publisher,
        sink=ReportSink(store, feed, sync_ids, quotas=quotas_of(settings), count=metrics.report_batch),
        observer=observing,
        identifier=Identifier(
            watcher=watcher, mirrors=mirrors, limits=limits, known=publisher.configurations, access=access
        ),
        answers=commands,
        doorkeeper=doorkeeper,
    )
    await life.background("session-events", events.run())
    await life.background("retention", _clean(settings, store, mirrors))
    doubts = Doubts()
    if store.shared:
        following = follow_revocations(store.tokens, listener.sessions, listener.token_revoked, doubts)
        await life.background("revocations", following)
        await life.background("holds", holds.follow_others())
    await life.background("watcher", watcher.run())
    doubt = partial(doubt_about, mirrors)
    everybody = await replicas.join(life, listener, observing, holds=holds, feed=feed, doubts=doubts)
    operator = Operator(publisher, await replicas.route(life, commands, everybody))
    tidying = tidy_for_ever(publisher, operator, partial(_pruned_before, settings), settings.retention.interval)
    await life.background("tidying", tidying)
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
        doorkeeper=doorkeeper,
    )
    try:
        stop_seconds = settings.agent_listener.drain_period + STOP_SECONDS
        await life.start("agent-listener", listener.listening(), stop_seconds=stop_seconds)
    except ListenerError as error:
        raise StartError(f"agent_listener: {error}") from error
    log.info("kas is ready", data_dir=str(settings.data_dir))
    await life.wait()
    feed.close()


async def _open(settings: Settings, life: Lifecycle) -> tuple[Store, SyncIds, bytes, str]:
    """Open what kas keeps, and what is made of the keys in it: names of syncs, and what replicas have in common."""
    try:
        await life.start("data-directory", _locked(settings.data_dir))
    except DataDirectoryError as error:
        raise StartError(f"data_dir: {error}") from error
    try:
        store = await life.start("store", _store(settings))
        await _pin_projects(settings, store)
        await first_api_token(settings.data_dir, store)
        sync_ids = SyncIds(await store.keys.of(SYNCS_KEY))
        key = await store.keys.of(REPLICAS) if settings.redis is not None else b""
        installation = await store.keys.installation()
    except StoreError as error:
        raise StartError(f"database: {error}") from error
    return store, sync_ids, key, installation


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
    doorkeeper: Doorkeeper,
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

    waiting = newcomers_of(settings)
    waiting = replace(waiting, seconds=max(waiting.seconds, REQUEST_SECONDS))
    api_door, watching_door = doorkeeper.door(waiting), doorkeeper.door(waiting)
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
        door=api_door,
        install=InstallDefaults(
            kas_address=settings.install.kas_address or "",
            image=settings.install.image,
            ca_cert_file=settings.install.ca_cert_file,
        ),
    )
    api = settings.api.address
    observability = settings.observability.address
    watching = observability_app(
        metrics=metrics, readiness=readiness, count_syncs=syncs_by_state(store), door=watching_door
    )
    try:
        tls = await _api_certificate(settings.api, life)
        host, port = await life.start("api", listening(app, api.host, api.port, tls=tls))
        _, watching_port = await life.start(
            "observability", listening(watching, observability.host, observability.port)
        )
    except OSError as error:
        raise StartError(
            f"api.address {api.host}:{api.port} or observability.address {observability.host}:{observability.port}: "
            f"cannot listen: {error}; is another kas running?"
        ) from error
    doorkeeper.open(api_door, port)
    doorkeeper.open(watching_door, watching_port)
    log.info("Listening for people and webhooks", address=f"{'https' if tls else 'http'}://{host}:{port}")


async def _api_certificate(settings: ApiSettings, life: Lifecycle) -> ssl.SSLContext | None:
    files = tls_files(settings)
    if files is None:
        return None
    try:
        certificate = Certificate(files)
    except CertificateError as error:
        raise StartError(f"api.certificate_file, api.key_file: {error}") from error
    await life.start("api-certificate", certificate.following())
    return certificate.context


@asynccontextmanager
async def _locked(data_dir: Path) -> AsyncIterator[None]:
    with locked(data_dir):
        yield


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
    """Give projects the ids of kas.yaml; one that it cannot have is no reason for all the others to stand still."""
    pins = {path: project.id for path, project in settings.git.projects.items() if project.id is not None}
    for path, project_id in pins.items():
        try:
            await store.projects.pin(path, project_id, among=pins)
        except ProjectPinned as error:
            log.error("An id in kas.yaml has no effect", setting=f"git.projects.{path}.id", why=str(error))  # noqa: TRY400 - no defect here


async def _clean(settings: Settings, store: Store, mirrors: Mirrors) -> None:
    """Keep history and mirrors bounded, for ever."""
    retention = settings.retention
    while True:
        try:
            await store.retention.clean(
                keep_syncs=retention.syncs,
                keep_events=retention.events,
                pruned_before=_pruned_before(settings),
            )
            audited_before = utc_now() - timedelta(seconds=retention.audit)
            await store.audit.clean(keep=retention.audit_lines, before=audited_before)
        except StoreError as error:
            log.warning("Old records could not be deleted", why=str(error))
        if removed := await mirrors.remove_unused(retention.mirrors):
            log.info("Mirrors that nobody used were deleted", mirrors=removed)
        await asyncio.sleep(retention.interval)


def _pruned_before(settings: Settings) -> datetime:
    return utc_now() - timedelta(seconds=settings.retention.pruned_objects)
