"""Options that several commands of ``agentk`` have."""

from __future__ import annotations

import click

kubeconfig_option = click.option(
    "--kubeconfig", metavar="FILE", help="[in-cluster where there is a service account, else KUBECONFIG]"
)
context_option = click.option("--context", metavar="NAME", help="Context in the kubeconfig. [its current one]")
