"""``--scope namespace=a,b``, ``kinds=deployments.apps,configmaps``, ``impersonate=a/deployer``: least privilege."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kas.install.values import Finding, ValuesError

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEYS = {
    "namespace": "namespaces",
    "namespaces": "namespaces",
    "kind": "kinds",
    "kinds": "kinds",
    "impersonate": "impersonate",
}


def parse_scope(texts: Iterable[str]) -> dict[str, list[str]]:
    """Return the ``scope`` of the values; what is said several times adds up.

    Raises:
        ValuesError: a text is no scope.
    """
    scope: dict[str, list[str]] = {}
    for text in texts:
        word, _, listed = text.partition("=")
        parts = [part.strip() for part in listed.split(",") if part.strip()]
        if word.strip() not in _KEYS or not parts:
            raise ValuesError(
                Finding("scope", "expected namespace=a,b, kinds=deployments.apps,configmaps or impersonate=a/deployer")
            )
        scope.setdefault(_KEYS[word.strip()], []).extend(parts)
    return scope
