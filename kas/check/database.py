"""The database: reachable, private, and of a schema that this kas knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentlink.findings import Finding, failed, ok, warning
from kas.check.files import check_secret_file
from kas.store.errors import StoreError
from kas.store.looking import look

if TYPE_CHECKING:
    from pathlib import Path

_AREA = "database"


async def check_database(url: str, password_file: Path | None) -> tuple[list[Finding], tuple[tuple[str, str], ...]]:
    """Look at the database without changing it.

    Returns:
        The findings, and the names of the agents in it with their configuration projects, as far as they can be read.
    """
    try:
        seen = await look(url, password_file=password_file)
    except StoreError as error:
        remedy = "look at `database` in the settings, at the disk or server, and at kas' rights there"
        return [failed(_AREA, "connection", str(error), remedy)], ()
    findings = [check_secret_file("file", seen.file)] if seen.file is not None and seen.exists else []
    if not seen.exists:
        return [ok(_AREA, "connection", f"{seen.where} is empty; the first start fills it")], ()
    findings.append(ok(_AREA, "connection", f"{seen.where} answers"))
    if seen.unknown:
        remedy = "start a kas at least as new as the one that wrote it, or restore a backup from before the upgrade"
        findings.append(
            failed(
                _AREA, "schema", f"schema {seen.schema} is of a newer kas; this one knows up to {seen.newest}", remedy
            )
        )
    elif seen.schema != seen.newest:
        message = f"schema {seen.schema or 'none'} is older than {seen.newest}"
        findings.append(
            warning(_AREA, "schema", message, "nothing: the next start brings it up to date; back it up first")
        )
    else:
        findings.append(ok(_AREA, "schema", f"schema {seen.schema} is current"))
    return findings, seen.agents
