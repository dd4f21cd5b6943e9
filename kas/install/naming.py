"""The names and labels of what is installed: GitLab's, so that what people know is found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kas.install.values import Values

NAME = "gitlab-agent"

READ_ROLE = f"{NAME}-gitops-read-all"
WRITE_ROLE = f"{NAME}-gitops-write-all"
IMPERSONATE_ROLE = f"{NAME}-gitops-impersonate"
LEASE_ROLE = f"{NAME}-leader-election"
TOKEN_SECRET = f"{NAME}-token"
CA_CONFIG_MAP = f"{NAME}-ca"

TOKEN_KEY = "token"  # noqa: S105 -- a key's name
CA_KEY = "ca.crt"


def selector(values: Values) -> dict[str, str]:
    """Return the labels that select the pods; a Deployment's never change, so no version is among them."""
    return {"app.kubernetes.io/name": NAME, "app.kubernetes.io/instance": f"{values.name_prefix}{NAME}"}


def metadata(values: Values, name: str, namespace: str | None = None) -> dict[str, Any]:
    """Return an object's metadata; ``name`` comes without the prefix."""
    where = {} if namespace is None else {"namespace": namespace}
    labels = {**selector(values), "app.kubernetes.io/component": "agentk"}
    return {"name": f"{values.name_prefix}{name}", **where, "labels": labels}


def token_secret(values: Values) -> str:
    """Return the name of the Secret with the token."""
    return values.existing_secret or f"{values.name_prefix}{TOKEN_SECRET}"
