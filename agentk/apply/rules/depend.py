"""What the annotation ``config.kubernetes.io/depends-on`` says, and whether that can be followed.

The syntax is cli-utils': ``group/namespaces/namespace/Kind/name`` or, cluster-scoped, ``group/Kind/name``, separated by
commas; the core group is empty. When a dependent's turn comes is ``agentk.apply.staging``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentk.apply.model import Refusal
from agentk.apply.names import DEPENDS_ON
from agentlink.refs import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from agentk.apply.kinds import Kinds

MOST: Final = 100
"""Dependencies of one object. More are a mistake, and each costs a look."""

_LISTED: Final = 20
"""Objects of a cycle that a message names."""


class InvalidOrderError(ValueError):
    """An annotation about order cannot be read. ``reason`` is for programs; the text says what is wrong."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_depends_on(text: str, own: ObjectRef) -> tuple[ObjectRef, ...]:
    """Read the annotation of the object ``own``.

    Raises:
        InvalidOrderError: It is malformed, names an object twice, or the object itself.
    """
    found: dict[ObjectRef, None] = {}
    for entry in text.split(","):
        ref = _read_one(entry.strip())
        if ref == own:
            raise _invalid(f"{entry.strip()!r} is the object itself")
        if ref in found:
            raise _invalid(f"{entry.strip()!r} stands there twice")
        found[ref] = None
    if len(found) > MOST:
        raise _invalid(f"{len(found)} dependencies are more than {MOST}")
    return tuple(found)


def _read_one(entry: str) -> ObjectRef:
    match entry.split("/"):
        case [group, kind, name] if kind and name:
            return ObjectRef(group, kind, "", name)
        case [group, "namespaces", namespace, kind, name] if namespace and kind and name:
            return ObjectRef(group, kind, namespace, name)
    raise _invalid(f"{entry[:200]!r} is neither group/namespaces/namespace/Kind/name nor group/Kind/name")


def _invalid(message: str) -> InvalidOrderError:
    return InvalidOrderError("InvalidDependency", f"annotation {DEPENDS_ON}: {message}")


def not_found(ref: ObjectRef, kinds: Kinds) -> Refusal:
    """Say that a dependency exists neither in the revision nor in the cluster."""
    kind = kinds.find(ref.group, ref.kind, "")
    hint = ""
    if kind is None:
        hint = "; the cluster does not serve its kind"
    elif kind.namespaced and not ref.namespace:
        hint = f"; {ref.kind} objects have a namespace: {ref.group}/namespaces/NAMESPACE/{ref.kind}/{ref.name}"
    elif ref.namespace and not kind.namespaced:
        hint = f"; {ref.kind} objects have no namespace: {ref.group}/{ref.kind}/{ref.name}"
    message = f"depends on {ref}, which is neither in the manifests nor in the cluster{hint}"
    return Refusal("DependencyNotFound", message)


def failed(ref: ObjectRef) -> Refusal:
    """Say that an object waits because of one that it depends on."""
    return Refusal("DependencyFailed", f"waits for {ref}, which could not be applied")


def find_cycles(edges: Mapping[ObjectRef, Sequence[ObjectRef]]) -> dict[ObjectRef, Refusal]:
    """Find the objects that depend on themselves through others, each with a cycle among them.

    Args:
        edges: Of each object what it depends on; objects that depend on nothing may be missing.
    """
    found: dict[ObjectRef, Refusal] = {}
    for members in _knots(edges):
        within = frozenset(members)
        if len(members) > _LISTED:
            # To each its own way would cost the square of their number, and say nothing that can be read.
            found |= dict.fromkeys(members, _cycle(_cycle_through(min(members), edges, within)))
        else:
            found |= {ref: _cycle(_cycle_through(ref, edges, within)) for ref in members}
    return found


def _cycle(way: Sequence[ObjectRef]) -> Refusal:
    listed = [str(ref) for ref in way]
    if len(listed) > _LISTED:
        listed = [*listed[: _LISTED - 1], f"… {len(listed) - _LISTED} more …", listed[-1]]
    return Refusal("DependencyCycle", f"depends on itself: {' → '.join(listed)}; break the cycle")


def _cycle_through(
    start: ObjectRef, edges: Mapping[ObjectRef, Sequence[ObjectRef]], within: Collection[ObjectRef]
) -> list[ObjectRef]:
    """Return a shortest way from an object back to itself."""
    came_from: dict[ObjectRef, ObjectRef] = {}
    queue = [start]
    for ref in queue:
        for following in edges.get(ref, ()):
            if following == start:
                way = [start, ref]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1] if ref != start else [start, start]
            if following in within and following not in came_from:
                came_from[following] = ref
                queue.append(following)
    return [start]


def _knots(edges: Mapping[ObjectRef, Sequence[ObjectRef]]) -> Iterable[list[ObjectRef]]:
    """Yield the strongly connected sets with a cycle in them (Tarjan, without recursion)."""
    index: dict[ObjectRef, int] = {}
    low: dict[ObjectRef, int] = {}
    stack: list[ObjectRef] = []
    on_stack: set[ObjectRef] = set()
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            ref, following = work[-1]
            for one in following:
                if one not in index:
                    index[one] = low[one] = len(index)
                    stack.append(one)
                    on_stack.add(one)
                    work.append((one, iter(edges.get(one, ()))))
                    break
                if one in on_stack:
                    low[ref] = min(low[ref], index[one])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[ref])
                if low[ref] == index[ref]:
                    members = stack[stack.index(ref) :]
                    del stack[len(stack) - len(members) :]
                    on_stack.difference_update(members)
                    if len(members) > 1 or ref in edges.get(ref, ()):
                        yield members
