"""Keys of ``config.yaml`` whose loss would let more happen than its author meant, and how such a key gets lost. Pure.

An unknown key is a warning, as in GitLab. One that may be a protective key, misspelt or in the wrong place, is an
error: the configuration before it stays in force. So is a protective key that says nothing or is said twice.
"""

from __future__ import annotations

from collections import Counter
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Final

from kas.desired.agent_schema import File, GitOps, GlobPath, Health, Ignore, Impersonate, ManifestProject, Ref

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pydantic import BaseModel

    from agentlink.manifests.positions import Path

GITLABS: Final = frozenset(
    {"id", "ref", "default_namespace", "paths", "prune", "dry_run_strategy", "prune_propagation_policy"}
)
"""Protective keys that GitLab has, too: they say which files go where, and what is not deleted."""

OWN: Final = frozenset(
    {
        "impersonate",
        "allowed_namespaces",
        "suspend",
        "drift",
        "ignore",
        "inventory_namespace",
        "prune_confirmation",
        "prune_large_percent",
    }
)
"""Protective keys that GitLab does not have, so that no file of GitLab's uses them otherwise."""

PROTECTIVE: Final = GITLABS | OWN

_NESTED: Final[Mapping[str, type[BaseModel]]] = {
    "ref": Ref,
    "paths": GlobPath,
    "impersonate": Impersonate,
    "ignore": Ignore,
    "health": Health,
}
_BELOW: Final = {
    name: key for key in ("ref", "paths", "impersonate") for name in _NESTED[key].model_fields if name not in PROTECTIVE
}
"""What stands in an entry though it belongs into a mapping there."""

_OTHER_WORDS: Final = {
    "confirm_prune": "prune_confirmation",
    "drift_correction": "drift",
    "drift_policy": "drift",
    "dry_run": "dry_run_strategy",
    "namespaces": "allowed_namespaces",
    "path": "paths",
    "paused": "suspend",
    "project": "id",
    "project_id": "id",
    "run_as": "impersonate",
}
"""What people write who have another tool in mind."""

_NEAR: Final = 0.8
"""Two letters wrong in ten; ``impersonation`` is nearer than that to ``impersonate``."""
MAX_UNKNOWN: Final = 200
"""Unknown keys of a file; each is compared with all that are known."""
_LONGEST: Final = 64
_PART: Final = 7
"""A word of so many letters that is a part of a key, or has one as a part, may mean it: ``confirmation``."""

ENTRIES: Final[Path] = ("gitops", "manifest_projects")
"""Where the list of projects is."""
_DEEPEST: Final = len(ENTRIES) + 4
"""Parts of the path of the deepest protective key: the name of the account that a project is impersonated by."""

_REFUSED: Final = "; what may protect something is not ignored"
_PLACE: Final = "an entry of gitops.manifest_projects"


def meant(key: str, known: Collection[str]) -> str | None:
    """Return which of the ``known`` keys an unknown one may be, None where it is like none of them."""
    if len(key) > _LONGEST:
        return None
    written = _letters(key)
    if (other := _OTHER_WORDS.get(key.lower().replace("-", "_"))) in known:
        return other
    best, score = None, 0.0
    for one in sorted(known):
        letters = _letters(one)
        near = SequenceMatcher(None, written, letters, autojunk=False).ratio()
        contained = min(len(written), len(letters)) >= _PART and (written in letters or letters in written)
        if (near >= _NEAR or contained) and near > score:
            best, score = one, near
    return best


def is_looked_at(path: Path) -> bool:
    """Tell whether a place of the file is one where the order of keys, and how often they are set, matters."""
    return len(path) <= _DEEPEST and path[:2] in {(), ENTRIES[:1], ENTRIES}


def lost_protection(value: Mapping[str, Any], order: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each place of the file where a protective key may have got lost, and what to do there.

    Args:
        value: the file as it was read, with its nulls.
        order: the paths of the keys that ``is_looked_at``, in the order of the file.
    """
    yield from _twice(path for path, times in Counter(order).items() if times > 1)
    unknown = sum(len(mapping.keys() - model.model_fields.keys()) for mapping, model in _mappings(value))
    if unknown > MAX_UNKNOWN:
        yield (), f"{unknown} unknown keys; at most {MAX_UNKNOWN} are looked at"
        return
    yield from _unknown(value, (), File, {"gitops"})
    gitops = value.get("gitops")
    if not isinstance(gitops, dict):
        return
    yield from _unknown(gitops, ("gitops",), GitOps, {"manifest_projects"})
    entries = gitops.get("manifest_projects")
    entries = entries if isinstance(entries, list) else []
    for key in gitops.keys() - GitOps.model_fields.keys():
        for where, name, said in _own_keys(gitops[key], ("gitops", key)):
            # A mapping to be merged into entries may stand anywhere.
            if not any(isinstance(entry, dict) and entry.get(name) == said for entry in entries):
                yield where, f"means nothing here; put it into {_PLACE}"
    rank = {path: number for number, path in reversed([*enumerate(order)])}  # of one that is set twice, the first
    for index, entry in enumerate(entries):
        if isinstance(entry, dict):
            yield from _entry(entry, (*ENTRIES, index), rank)


def _entry(entry: Mapping[str, Any], where: Path, rank: Mapping[Path, int]) -> Iterator[tuple[Path, str]]:
    """Yield what is wrong in one entry of ``manifest_projects``."""
    for key in entry.keys() - ManifestProject.model_fields.keys():
        if (section := _BELOW.get(key)) is not None:
            yield (*where, key), f"means nothing here; put it into {section}"
            continue
        name = meant(key, PROTECTIVE)
        if name is not None and (name in OWN or name not in entry):
            yield (*where, key), f"unknown key; did you mean {name}?{_REFUSED}"
        for inside, _, _ in _own_keys(entry[key], (*where, key)):
            yield inside, f"means nothing here; put it into the entry itself, beside {key}"
    for path in _silent(entry, where):
        yield path, "says nothing; give it a value, or leave the key out"
    yield from _merged(entry, where, rank)
    for key, model in _NESTED.items():
        optional = {name for name, one in model.model_fields.items() if not one.is_required()}
        for path, inner in _sections(entry.get(key), (*where, key)):
            yield from _unknown(inner, path, model, optional, f"the entry itself, beside {key}")


def _silent(entry: Mapping[str, Any], where: Path) -> Iterator[Path]:
    """Yield protective keys of ours that have no value."""
    for key in OWN & entry.keys():
        yield from _nulls(entry[key], (*where, key))
    for path, inner in _sections(entry.get("paths"), (*where, "paths")):
        if "exclude" in inner:
            yield from _nulls(inner["exclude"], (*path, "exclude"))


def _mappings(value: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], type[BaseModel]]]:
    """Yield each mapping of the file whose keys are looked at, and what it should be."""
    yield value, File
    gitops = value.get("gitops")
    if isinstance(gitops, dict):
        yield gitops, GitOps
        for _, entry in _sections(gitops.get("manifest_projects"), ENTRIES):
            yield entry, ManifestProject
            for key, model in _NESTED.items():
                for _, section in _sections(entry.get(key), (key,)):
                    yield section, model


def _merged(entry: Mapping[str, Any], where: Path, rank: Mapping[Path, int]) -> Iterator[tuple[Path, str]]:
    """Yield protective keys that a merge key after them may replace: of all keys that are equal, the last counts."""
    merge = rank.get((*where, "<<"), 0)
    for key in OWN & entry.keys():
        if rank.get((*where, key), merge) < merge:
            yield (*where, key), "stands before '<<', whose keys replace those before it; put '<<' first"


def _unknown(
    mapping: Mapping[str, Any], where: Path, model: type[BaseModel], known: Collection[str], place: str = _PLACE
) -> Iterator[tuple[Path, str]]:
    """Yield keys that the mapping does not know and that may be one of the ``known``, or one that belongs elsewhere."""
    for key in mapping.keys() - model.model_fields.keys():
        name = meant(key, known)
        if name is not None and name not in mapping:
            yield (*where, key), f"unknown key; did you mean {name}?{_REFUSED}"
        elif name is None and (other := key if key in PROTECTIVE else meant(key, OWN)) is not None:
            yield (*where, key), f"means nothing here; put {other} into {place}"


def _twice(repeated: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Yield keys that are set twice where the later one would silently take the place of a protection."""
    for path in repeated:
        if path in {("gitops",), ENTRIES} or (path[:2] == ENTRIES and PROTECTIVE & set(path[3:4])):
            yield path, "is set twice; keep one of them"


def _own_keys(value: object, where: Path) -> Iterator[tuple[Path, str, object]]:
    """Yield the protective keys of ours in a part of the file that means nothing."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in OWN:
                yield (*where, key), key, inner
            else:
                yield from _own_keys(inner, (*where, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _own_keys(inner, (*where, index))


def _nulls(value: object, where: Path) -> Iterator[Path]:
    if value is None:
        yield where
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _nulls(inner, (*where, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if inner is not None:  # the schema says what was expected
                yield from _nulls(inner, (*where, index))


def _sections(value: object, where: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the mapping, or each of a list of them."""
    if isinstance(value, dict):
        yield where, value
    elif isinstance(value, list):
        for index, one in enumerate(value):
            if isinstance(one, dict):
                yield (*where, index), one


def _letters(key: str) -> str:
    """Return a key without what people confuse: capitals, dashes, underscores."""
    return "".join(character for character in key.lower() if character.isalnum())
