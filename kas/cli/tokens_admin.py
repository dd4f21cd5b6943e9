"""``kas token create --admin``: an administrator's token straight into the database, where no other token opens kas.

For the first one of all, and for whoever locked themselves out: it needs the data, not the API. Whether kas runs
meanwhile does not matter.
"""

from __future__ import annotations

import asyncio
import getpass
import os
from typing import TYPE_CHECKING

import click

from kas.cli.options import Failure

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from kas.settings import Settings
    from kas.store.records import ApiTokenRecord


def create_admin_token(config: Path | None, data_dir: Path | None, name: str, expires: timedelta | None) -> None:
    """Make the token and print its secret.

    Raises:
        Failure: the settings or the database cannot be used.
    """
    # Loaded here: no other command needs the server's parts, and they take a while.
    from kas.settings import SettingsError, load_settings  # noqa: PLC0415 -- see above
    from kas.store.errors import StoreError  # noqa: PLC0415 -- see above
    from kas.web.authentication import new_api_token  # noqa: PLC0415 -- see above

    try:
        given = {} if data_dir is None else {"KAS_DATA_DIR": str(data_dir.absolute())}
        settings = load_settings(config, {**os.environ, **given})
        secret, token_hash = new_api_token()
        record = asyncio.run(_create(settings, name or _user(), token_hash, expires))
    except SettingsError as error:
        raise Failure(str(error), "every setting is described in docs/kas-settings.md") from error
    except StoreError as error:
        hint = "name kas' own settings with --config, or its folder with --data-dir, and run this as the user of kas"
        raise Failure(f"database: {error}", hint) from error
    click.echo(secret)
    where = "the database of the settings" if settings.database else f"the database in {settings.data_dir}"
    click.echo(
        f"API token {record.id} of {record.name}, admin, in {where}. It is shown this once; keep it safe.\n"
        "  use it:     kas login ADDRESS, or KAS_TOKEN\n"
        f"  revoke it:  kas api-token revoke {record.id}",
        err=True,
    )


async def _create(settings: Settings, name: str, token_hash: str, expires: timedelta | None) -> ApiTokenRecord:
    from kas.store.records import Actor  # noqa: PLC0415 -- see above
    from kas.store.store import Store  # noqa: PLC0415 -- see above
    from kas.store.times import utc_now  # noqa: PLC0415 -- see above
    from kas.web.authorization import Role  # noqa: PLC0415 -- see above

    store = await Store.open(settings.database_url, password_file=settings.database_password_file)
    try:
        return await store.api_tokens.create(
            name,
            Role.ADMIN,
            token_hash,
            expires_at=None if expires is None else utc_now() + expires,
            by=Actor(f"{_user()} on kas' machine", None, "local"),
        )
    finally:
        await store.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return "somebody"
