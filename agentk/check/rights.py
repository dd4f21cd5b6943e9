"""Which rights agentk needs, and how those that it lacks are told. Pure; asking for them is in ``access``."""

from __future__ import annotations

import difflib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentlink.findings import Finding, failed, ok, warning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from agentk.apply.model import Kind

VERBS: Final = ("get", "list", "watch", "create", "patch", "delete")
"""What agentk does with objects: compare and see drift and health; apply (server-side, which creates too); prune."""

_APPLIED: Final = frozenset({"get", "list", "create", "patch", "delete"})
"""A kind without one of these is no kind that a manifest can hold: reviews, bindings, component statuses."""

_AREA: Final = "cluster"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one kind; ``resource`` is as RBAC and kubectl write it: ``deployments.apps``, ``configmaps``.

    ``namespace`` is empty for the whole cluster.
    """

    namespace: str
    resource: str
    verb: str


def resource_of(kind: Kind) -> str:
    """Return a kind as kubectl and ``--scope kinds=`` write it."""
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def applicable(verbs: Mapping[Kind, Collection[str]]) -> dict[Kind, frozenset[str]]:
    """Return the kinds that manifests can hold, with the verbs among ours that each offers."""
    return {kind: frozenset(VERBS) & set(offered) for kind, offered in verbs.items() if set(offered) >= _APPLIED}


def choose(names: Iterable[str], kinds: Collection[Kind]) -> tuple[list[Kind], list[Finding]]:
    """Return the kinds meant by ``deployments.apps``, ``Deployment.apps`` or ``configmaps``, and names of none."""
    known: dict[str, Kind] = {}
    for kind in kinds:
        suffix = f".{kind.group}" if kind.group else ""
        known.setdefault(f"{kind.plural}{suffix}".lower(), kind)
        known.setdefault(f"{kind.kind}{suffix}".lower(), kind)
    chosen: dict[Kind, None] = {}
    findings = []
    for name in names:
        kind_of_name = known.get(name.lower())
        if kind_of_name is not None:
            chosen[kind_of_name] = None
            continue
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
        by_plural = [resource_of(kind) for kind in kinds if kind.plural == name.lower().partition(".")[0]]
        meant = by_plural or near
        remedy = (
            f"did you mean {' or '.join(meant)}?" if meant else "see `kubectl api-resources`; are its CRDs installed?"
        )
        findings.append(failed(_AREA, "kinds", f"the cluster serves no {name} that can be applied", remedy))
    return list(chosen), findings


def judge(asked: Sequence[Right], missing: Collection[Right], *, account: str, narrowed: bool) -> list[Finding]:
    """Tell what is missing: one finding for each place and set of verbs, naming every kind.

    Args:
        asked: every right that agentk was asked to have.
        missing: those of them that it has not.
        account: who agentk is, for the remedy; may be empty.
        narrowed: whether the user named namespaces or kinds.
    """
    lacking: dict[tuple[str, str], set[str]] = defaultdict(set)
    for right in missing:
        lacking[right.namespace, right.resource].add(right.verb)
    grouped: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (namespace, resource), verbs in lacking.items():
        grouped[namespace, tuple(verb for verb in VERBS if verb in verbs)].append(resource)
    findings = [
        failed(
            _AREA,
            "rights",
            f"may not {_listed(verbs)} {_place(namespace)}: {', '.join(sorted(resources))}",
            _remedy(namespace, account=account, narrowed=narrowed),
        )
        for (namespace, verbs), resources in sorted(grouped.items())
    ]
    for namespace in dict.fromkeys(right.namespace for right in asked):
        resources = {right.resource for right in asked if right.namespace == namespace}
        complete = {resource for resource in resources if (namespace, resource) not in lacking}
        if complete:
            all_of = "all " if len(complete) == len(resources) else ""
            message = f"may do everything agentk needs {_place(namespace)} with {all_of}{_count(complete, all_of)}"
            findings.append(ok(_AREA, "rights", message))
    return findings


def judge_inventories(asked: Sequence[Right], missing: Collection[Right]) -> list[Finding]:
    """Tell where agentk cannot keep what it remembers: without that it applies nothing at all."""
    places = dict.fromkeys(right.namespace for right in asked if right.resource == "configmaps")
    lost = [place for place in places if any(r.namespace == place and r.resource == "configmaps" for r in missing)]
    return [
        failed(
            _AREA,
            "inventory",
            f"inventories cannot be kept {_place(place)}: they are ConfigMaps, and without them nothing is applied",
            f"grant {', '.join(VERBS)} on configmaps there, in each project's default_namespace at the least",
        )
        for place in lost
    ] or [ok(_AREA, "inventory", f"inventories can be kept {_place(place)}") for place in places]


def judge_lease(namespace: str, missing: Collection[Right], *, role: str, account: str) -> Finding:
    """Tell whether agentk can have a lease, by which one of its replicas writes: without one it writes nothing.

    Args:
        namespace: where the lease lies, which is where agentk runs.
        missing: the rights on leases there that it has not.
        role: the Role that grants them in an installation of `kas generate`.
        account: who agentk is; may be empty.
    """
    if not missing:
        return ok(_AREA, "lease", f"a lease can be had in namespace {namespace}")
    verbs = sorted(right.verb for right in missing)
    return failed(
        _AREA,
        "lease",
        f"may not {_listed(verbs)} leases.coordination.k8s.io in namespace {namespace}, and writes nothing without one",
        f"bind {account or 'the account of agentk'} to a Role like {role} there, which `kas generate` writes; or say by"
        " POD_NAMESPACE where agentk runs, if not there",
    )


def judge_inventory_key(namespace: str, refused: str) -> Finding:
    """Tell whether what agentk remembers can be sealed; ``refused`` is why not, with what to do about it."""
    if not refused:
        return ok(_AREA, "inventory key", f"inventories are sealed with a key in namespace {namespace}")
    what, _, remedy = refused.partition("; ")
    return warning(
        _AREA,
        "inventory key",
        f"inventories remember names only, and every object is applied anew whenever agentk starts: {what}",
        remedy,
    )


def _count(resources: Collection[str], all_of: str) -> str:
    if not all_of and len(resources) <= 10:  # noqa: PLR2004 - as many as are read at a glance
        return ", ".join(sorted(resources))
    return f"{len(resources)} kind{'' if len(resources) == 1 else 's'}"


def _listed(verbs: Sequence[str]) -> str:
    return verbs[0] if len(verbs) == 1 else f"{', '.join(verbs[:-1])} and {verbs[-1]}"


def _place(namespace: str) -> str:
    return f"in namespace {namespace}" if namespace else "in the whole cluster"


def _remedy(namespace: str, *, account: str, narrowed: bool) -> str:
    role = "Role" if namespace else "ClusterRole"
    grant = f"add these to a {role} that is bound to {account or 'the account of agentk'}"
    if narrowed:
        return f"{grant}; `kas generate` writes such roles"
    return f"{grant}, or name what it is meant to manage: --namespace, --kinds"
