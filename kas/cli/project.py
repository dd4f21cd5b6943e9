"""``kas project``: what a project is called and numbered, corrected in the database while kas is stopped."""

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

    from kas.store.projects import Projects

T = TypeVar("T")

config_option = click.option(
    "--config",
    metavar="FILE",
    envvar="KAS_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings of the kas whose database it is. [KAS_CONFIG]",
)


@click.group()
def project() -> None:
    """Tell kas that a project has another path, or another id. Stop kas first, every replica of it.

    These commands open the database that the settings name, on the machine where they run.
    """


@project.command(epilog=examples("kas project rename --config kas.yaml Group/Project group/project"))
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@config_option
def rename(old: str, new: str, config: Path | None) -> None:
    """Take NEW for the project that was called OLD, with its history, its id and what it owns in clusters.

    Change config.yaml and kas.yaml to NEW, too. A project whose id in GitLab is in kas.yaml is followed by that.
    """
    _on(config, lambda projects: projects.rename(old, new))
    click.echo(f"project {old} is {new} from now on")


@project.command("set-id", epilog=examples("kas project set-id --config kas.yaml group/project 42"))
@click.argument("path", metavar="PATH")
@click.argument("number", metavar="ID", type=click.IntRange(min=1, max=2**53 - 1))
@config_option
def set_id(path: str, number: int, config: Path | None) -> None:
    """Give the project PATH the ID that it has in GitLab, though it has applied objects under another one.

    What it owns in a cluster it goes on owning under the id of before; in others it begins with this one.
    """
    before = _on(config, lambda projects: projects.set_id(path, number))
    click.echo(f"project {path} has id {number} (was {before})")


def _on(config: Path | None, work: Callable[[Projects], Coroutine[Any, Any, T]]) -> T:
    """Do something with the projects of the settings' database, which no kas uses on this machine."""
    # Loaded here: no other command needs them, and they take a while.
    with loading():
        from kas.data_directory import DataDirectoryError, locked  # noqa: PLC0415 -- see above
        from kas.settings import SettingsError, load_settings  # noqa: PLC0415 -- see above
        from kas.store.errors import StoreError  # noqa: PLC0415 -- see above
        from kas.store.store import Store  # noqa: PLC0415 -- see above

    async def do() -> T:
        store = await Store.open(settings.database_url, password_file=settings.database_password_file)
        try:
            return await work(store.projects)
        finally:
            await store.close()

    try:
        settings = load_settings(config)
        with locked(settings.data_dir):
            return asyncio.run(do())
    except SettingsError as error:
        raise Failure(str(error), "every setting is described in docs/kas-settings.md") from error
    except (DataDirectoryError, StoreError) as error:
        raise Failure(str(error)) from error
