"""``kas check``: whether kas can do its work on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from agentlink.loading import loading
from kas.cli.options import examples


@click.command(
    epilog=examples(
        "kas check",
        "kas check --config /etc/kas/kas.yaml",
        "kas check --project group/config --project group/manifests -o json",
        exit_codes="0 nothing failed, 1 something did, 2 wrong usage",
    )
)
@click.option(
    "--config",
    metavar="FILE",
    envvar="KAS_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The settings that `kas serve` is given. [KAS_CONFIG]",
)
@click.option("--project", "projects", metavar="PATH", multiple=True, help="Check Git access to this project as well.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(config: Path | None, projects: tuple[str, ...], output: str) -> None:
    """Say whether kas can work here: settings, files, certificates, ports, database, Redis, Git access.

    Needs no running kas and does not disturb one. Run it as the user that kas runs as.
    """
    # Loaded here: the server's parts take a while, and no other command needs them.
    with loading():
        from agentlink import logs  # noqa: PLC0415 -- see above
        from agentlink.findings import as_json, as_text, exit_code  # noqa: PLC0415 -- see above
        from kas.check.run import check as run_checks  # noqa: PLC0415 -- see above

    logs.configure(level="error")  # parts of kas are tried, and findings say how that went
    findings = run_checks(config, projects)
    click.echo(as_json(findings) if output == "json" else as_text(findings))
    sys.exit(exit_code(findings))
