"""``kas db``: the database itself. The only commands besides ``serve`` that do not go through a running kas."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from agentlink.loading import loading
from kas.cli.options import Failure, examples

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from kas.store.maintenance import Maintenance

T = TypeVar("T")

config_option = click.option(
    "--config",
    metavar="FILE",
    envvar="KAS_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings of the kas whose database it is. [KAS_CONFIG]",
)
backup_argument = click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))


@click.group()
def db() -> None:
    """Look at the database, upgrade it, back it up and restore it.

    These commands open the database that the settings name, on the machine where they run.
    """


@db.command(epilog=examples("kas db current --config /etc/kas/kas.yaml"))
@config_option
def current(config: Path | None) -> None:
    """Show which version the database has, and which one this kas works with."""
    schema = _on(config, lambda database: database.current())
    if schema.found == schema.newest:
        click.echo(f"{schema.found} (up to date)")
    else:
        click.echo(f"{schema.found or 'empty'} (this kas works with {schema.newest})")


@db.command(epilog=examples("kas db upgrade --config /etc/kas/kas.yaml"))
@config_option
def upgrade(config: Path | None) -> None:
    """Bring the database up to date now, as `kas serve` does when it starts."""
    before = _on(config, lambda database: database.upgrade())
    if before.found == before.newest:
        click.echo(f"{before.newest} (nothing to do)")
    else:
        click.echo(f"{before.found or 'empty'} -> {before.newest}")


@db.command(epilog=examples("kas db backup --config /etc/kas/kas.yaml /backups/kas-monday"))
@backup_argument
@config_option
def backup(file: Path, config: Path | None) -> None:
    """Write everything that kas keeps into FILE, while kas runs.

    SQLite gives an SQLite file; PostgreSQL an archive, by pg_dump, which must be installed.
    """
    _on(config, lambda database: database.backup(file))
    click.echo(f"written to {file}")


@db.command(epilog=examples("kas db restore --config /etc/kas/kas.yaml /backups/kas-monday"))
@backup_argument
@config_option
@click.option("--force", is_flag=True, help="Replace a database that holds something.")
def restore(file: Path, config: Path | None, *, force: bool) -> None:
    """Put back what `kas db backup` wrote into FILE. Stop kas first.

    Agents and tokens are those of the backup again: one revoked since then is good again, revoke it once more.
    """
    _on(config, lambda database: database.restore(file, force=force))
    click.echo("restored")


@db.command(epilog=examples("kas db renew-key --config /etc/kas/kas.yaml"))
@config_option
def renew_key(config: Path | None) -> None:
    """Make a new key for what several kas say to each other by Redis.

    Whoever has the old one, as from a backup, can speak as one of them. Restart all of them then, one by one.
    """
    _on(config, lambda database: database.renew_key())
    click.echo("renewed: restart every kas on this database, one by one")


def _on(config: Path | None, work: Callable[[Maintenance], Coroutine[Any, Any, T]]) -> T:
    """Do something with the database of the settings."""
    # Loaded here: no other command needs them, and they take a while.
    with loading():
        from kas.settings import SettingsError, load_settings  # noqa: PLC0415 -- see above
        from kas.store.errors import StoreError  # noqa: PLC0415 -- see above
        from kas.store.maintenance import Maintenance  # noqa: PLC0415 -- see above

    try:
        settings = load_settings(config)
        database = Maintenance(settings.database_url, password_file=settings.database_password_file)
        return asyncio.run(work(database))
    except SettingsError as error:
        raise Failure(str(error), "every setting is described in docs/kas-settings.md") from error
    except StoreError as error:
        raise Failure(str(error)) from error
