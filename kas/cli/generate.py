"""``kas generate``: the YAML that installs agentk. Needs no kas and no cluster; what it writes is ``kas.install``'s."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kas.cli.options import Failure, examples

if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST_FILE = 1 << 20

_OTHER_FLAGS = {
    "rbac": "--no-rbac",
    "caCert": "--ca-cert-file",
    "token": "--agent-token-file",
    "networkPolicy.enabled": "--no-network-policy",
}
_FLAGS = frozenset({"kasAddress", "agentVersion", "namespace", "namePrefix", "image", "replicas", "scope"})


@click.command(
    epilog=examples(
        "kas token create --agent my-agent | kas generate --agent-token - --kas-address wss://kas.example.com |"
        " kubectl apply -f -",
        "kas generate --agent-token-file token --kas-address wss://kas.example.com --scope namespace=shop,blog",
        "kas generate --agent-token-file token --values values.yaml | kubectl diff -f -",
    )
)
@click.option(
    "--agent-token",
    metavar="TOKEN",
    help="The agent's token, or - to read it from standard input. Others on this machine can see arguments: better a"
    " file, - or AGENTK_TOKEN.",
)
@click.option("--agent-token-file", metavar="FILE", type=click.Path(path_type=Path), help="Holds the agent's token.")
@click.option("--kas-address", metavar="URL", help="Where agents reach kas: wss://, ws://, grpcs:// or grpc://.")
@click.option("--agent-version", metavar="VERSION", help="agentk's version: the image's tag. [that of this kas]")
@click.option("--namespace", metavar="NAME", default=None, help="Where agentk runs. [gitlab-kubernetes-agent]")
@click.option("--name-prefix", metavar="TEXT", help="Put before the names of all objects but the namespace.")
@click.option("--no-rbac", is_flag=True, help="Leave roles and bindings out: bring your own.")
@click.option("--no-network-policy", is_flag=True, help="Leave the NetworkPolicy out.")
@click.option(
    "--ca-cert-file", metavar="FILE", type=click.Path(path_type=Path), help="Certificates (PEM) to trust for kas."
)
@click.option("--image", metavar="IMAGE", help="agentk's image, with its registry.")
@click.option("--replicas", type=int, metavar="COUNT", help="Of several one writes; 0 to pause.")
@click.option(
    "--scope",
    metavar="WHAT=A,B",
    multiple=True,
    help="namespace=a,b: rights in these namespaces only. kinds=deployments.apps,configmaps: for these kinds only."
    " impersonate=a/deployer: only act as this service account.",
)
@click.option(
    "--values",
    "values_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="More that may be chosen (YAML), as the Helm chart has it; options go before it.",
)
def generate(
    *,
    agent_token: str | None,
    agent_token_file: Path | None,
    namespace: str | None,
    ca_cert_file: Path | None,
    scope: tuple[str, ...],
    values_file: Path | None,
    **options: str | int | bool | None,
) -> None:
    """Write the Kubernetes objects that install agentk, as YAML, for `kubectl apply -f -`.

    The same input gives the same output. It holds the agent's token: pipe it, or keep it as you keep the token.
    """
    # Loaded here: no other command needs them.
    from kas.install.objects import objects  # noqa: PLC0415 -- see above
    from kas.install.scope import parse_scope  # noqa: PLC0415 -- see above
    from kas.install.values import DEFAULT_NAMESPACE, ValuesError, check_namespace, read_values  # noqa: PLC0415
    from kas.install.yaml_text import to_yaml  # noqa: PLC0415 -- see above

    given = _read_values_file(values_file) if values_file else {}
    token, source = _token(agent_token, agent_token_file)
    if token is not None:
        given |= {"token": token}
        given.pop("existingSecret", None)
    if ca_cert_file is not None:
        given["caCert"] = _read(ca_cert_file, "--ca-cert-file").decode("latin-1")
    _put(given, _from_options(options))
    try:
        _put(given, {"scope": parse_scope(scope)} if scope else {})
        where = check_namespace(namespace if namespace is not None else DEFAULT_NAMESPACE)
        text = to_yaml(objects(read_values(given), where))
    except ValuesError as error:
        lines = [f"{_flag(finding.key, source)}: {finding.message}" for finding in error.findings]
        raise Failure("\n".join(lines), "what each value may be: docs/install.md") from error
    click.echo(text, nl=False)
    if "image" not in given:
        click.echo("note: no image of agentk is published: --image says where yours is (docs/install.md)", err=True)


def _from_options(options: Mapping[str, str | int | bool | None]) -> dict[str, Any]:
    """Return the values of the options that were given."""
    values: dict[str, Any] = {}
    for name, value in options.items():
        match name, value:
            case ("no_rbac", True):
                values["rbac"] = False
            case ("no_network_policy", True):
                values["networkPolicy"] = {"enabled": False}
            case (_, None | False):
                pass
            case _:
                values[re.sub("_(.)", lambda found: found[1].upper(), name)] = value
    return values


def _put(given: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Set values, section by section, before what is given already."""
    for key, value in values.items():
        there = given.get(key)
        given[key] = {**there, **value} if isinstance(there, dict) and isinstance(value, dict) else value


def _flag(key: str, token_source: str) -> str:
    """Return the flag that a finding is about; the value's own name where there is no flag."""
    if key == "token":
        return token_source
    top = re.split(r"[.\[]", key, maxsplit=1)[0]
    if key in _OTHER_FLAGS:
        return _OTHER_FLAGS[key]
    if top in _FLAGS:
        return "--" + re.sub("([A-Z])", lambda found: f"-{found[1].lower()}", top)
    return f"--values: {key}" if key else "--values"


def _token(text: str | None, file: Path | None) -> tuple[str | None, str]:
    """Return the token, or None where it may be in the values, and what to call where it came from."""
    if text is not None and file is not None:
        raise Failure("--agent-token and --agent-token-file: give only one of them")
    if text == "-":
        return sys.stdin.read(_LARGEST_FILE), "--agent-token - (standard input)"
    if text is not None:
        return text, "--agent-token"
    if file is not None:
        return _read(file, "--agent-token-file").decode("latin-1"), "--agent-token-file"
    if environment := os.environ.get("AGENTK_TOKEN"):
        return environment, "the environment variable AGENTK_TOKEN"
    return None, "--agent-token-file"


def _read(file: Path, flag: str) -> bytes:
    """Return what is in a file; of something large or endless only an error."""
    try:
        with file.open("rb") as opened:
            data = opened.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise Failure(f"{flag}: {file} cannot be read: {error.strerror}") from error
    if len(data) > _LARGEST_FILE:
        raise Failure(f"{flag}: {file} is too large for what it should hold")
    return data


def _read_values_file(file: Path) -> dict[str, Any]:
    """Return the values in a YAML file, read as kubectl and Helm read it."""
    from agentlink.manifests.model import Limits, ManifestError  # noqa: PLC0415 -- only where a file is given
    from agentlink.manifests.parse import load_documents  # noqa: PLC0415 -- only where a file is given

    try:
        documents = [value for _, value in load_documents(_read(file, "--values"), Limits())]
    except ManifestError as error:
        raise Failure(f"--values: {file}: {error}") from error
    match documents:
        case [] | [None]:
            return {}
        case [dict() as values]:
            return values
        case _:
            raise Failure(f"--values: {file}: expected one document with names and values")
