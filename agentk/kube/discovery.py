"""Which kinds the cluster serves, and how: the way from a manifest's ``apiVersion`` and ``kind`` to a URL.

Aggregated discovery gives all of it in two requests; servers without it are asked group by group. A group whose own
server is down (an aggregated API such as metrics) is remembered as it was, and named in ``stale``; the rest goes on.
Reading the documents is in ``discovery_documents``.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from agentk.kube.discovery_documents import Served, from_aggregated, from_resource_list, versions_of
from agentk.kube.errors import KubeError
from agentk.kube.failures import read_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentk.apply.model import Kind
    from agentk.kube.client import KubeClient

_AGGREGATED: Final = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)
_TIMEOUT: Final = 30.0
_NOTHING: Final[frozenset[str]] = frozenset()


class Discovery:
    """What the cluster served when it was last asked. Empty until the first ``refresh``."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._exact: dict[tuple[str, str, str], Served] = {}
        self._preferred: dict[tuple[str, str], Kind] = {}
        self._stale: frozenset[str] = frozenset()
        self._former: dict[tuple[str, str], str] = {}
        self.generation = 0
        """Grows when the cluster serves something else: what was decided before may be decided otherwise now."""

    @property
    def kinds(self) -> Mapping[tuple[str, str], Kind]:
        """The preferred version of every kind, by (group, kind)."""
        return MappingProxyType(self._preferred)

    @property
    def stale(self) -> frozenset[str]:
        """The ``group/version`` whose server did not answer; their kinds are as they were before, if known at all."""
        return self._stale

    @property
    def former(self) -> Mapping[tuple[str, str], str]:
        """The plurals of kinds that were served once, as this process has seen, and are no more, by (group, kind)."""
        return MappingProxyType(self._former)

    def find(self, group: str, kind: str, version: str) -> Kind | None:
        """Return how a kind is served: in that version if it is, else in the preferred one; None if not at all."""
        served = self._exact.get((group, kind, version))
        return served.kind if served is not None else self._preferred.get((group, kind))

    def verbs(self, kind: Kind) -> frozenset[str]:
        """Return what can be done with a kind: ``get``, ``list``, ``watch``, ``patch``, ``delete`` and so on."""
        served = self._exact.get((kind.group, kind.kind, kind.version))
        return served.verbs if served is not None else _NOTHING

    async def refresh(self) -> None:
        """Ask the cluster again; what was known stays if it cannot be reached.

        Raises:
            KubeError: When the server itself, not only one of its groups, does not answer.
        """
        served: list[Served] = []
        stale: set[str] = set()
        for root in ("/api", "/apis"):
            document = read_document(await self._client.request("GET", root, accept=_AGGREGATED, timeout=_TIMEOUT))
            if document.get("kind") == "APIGroupDiscoveryList":
                more, missing = from_aggregated(document)
            elif document.get("kind") in {"APIVersions", "APIGroupList"}:
                more, missing = await self._one_by_one(root, document)
            else:
                raise KubeError(0, "Unreachable", "what was answered is not what an API server serves")
            served += more
            stale |= missing
        # What a group served before its server went away is the best guess at what it serves when it is back.
        served += [known for known in self._exact.values() if known.kind.api_version in stale]
        exact: dict[tuple[str, str, str], Served] = {}
        preferred: dict[tuple[str, str], Kind] = {}
        for one in served:
            kind = one.kind
            exact.setdefault((kind.group, kind.kind, kind.version), one)
            preferred.setdefault((kind.group, kind.kind), kind)
        if (exact, preferred) != (self._exact, self._preferred):
            self.generation += 1
        self._former |= {key: kind.plural for key, kind in self._preferred.items() if key not in preferred}
        self._exact, self._preferred, self._stale = exact, preferred, frozenset(stale)

    async def _one_by_one(self, root: str, document: dict[str, object]) -> tuple[list[Served], set[str]]:
        """Ask for each group and version by itself, as servers before 1.26 want it."""
        versions = versions_of(document)
        answers: dict[str, list[Served]] = {}
        stale: set[str] = set()

        async def ask(group_version: str) -> None:
            try:
                answer = await self._client.request("GET", f"{root}/{group_version}", timeout=_TIMEOUT)
            except KubeError as error:
                if error.retryable or error.status == 404:  # noqa: PLR2004 - a group that has just gone
                    stale.add(group_version)
                    return
                raise
            answers[group_version] = from_resource_list(group_version, read_document(answer))

        try:
            async with asyncio.TaskGroup() as group:
                for group_version in versions:
                    group.create_task(ask(group_version))
        except* KubeError as errors:
            error = errors.exceptions[0]
            raise (error if isinstance(error, KubeError) else errors) from None
        return [one for group_version in versions for one in answers.get(group_version, ())], stale
