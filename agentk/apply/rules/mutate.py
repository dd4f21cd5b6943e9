"""What the annotation ``config.kubernetes.io/apply-time-mutation`` says, and filling the fields that it names.

The syntax is cli-utils': a YAML list of ``sourceRef``, ``sourcePath``, ``targetPath`` and ``token``. Reading the
sources from the cluster is ``agentk.apply.applying``'s. No text made here quotes a value: a source may be a Secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from agentk.apply.jsonpath import PathError, get, parse, put
from agentk.apply.model import Mutation
from agentk.apply.names import APPLY_TIME_MUTATION
from agentk.apply.rules.depend import InvalidOrderError
from agentk.apply.rules.identity import is_fixed
from agentlink.manifests.documents import read_documents
from agentlink.manifests.model import Limits, ManifestError
from agentlink.refs import ObjectRef, group_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentk.apply.kinds import Kinds

MOST: Final = 50
"""Mutations of one object."""

MAX_LENGTH: Final = 64 << 10
"""Characters of the annotation; Kubernetes takes 256 KiB of all annotations together."""

MAX_BODY: Final = 2 << 20
"""Bytes of an object with its fields filled; etcd takes 1.5 MiB, and a token may stand there often."""

_LIMITS: Final = Limits(yaml_nodes=2000, yaml_depth=8)


class MutationError(ValueError):
    """A field cannot be filled. The text names source and paths, and no value."""


def read_mutations(text: str, own: ObjectRef, kinds: Kinds | None = None) -> tuple[Mutation, ...]:
    """Read the annotation of the object ``own``.

    A source that names no namespace is in that of ``own``, unless ``kinds`` says that its kind has none.

    Raises:
        InvalidOrderError: It is malformed, too long, or its source is the object itself.
    """
    if len(text) > MAX_LENGTH:
        raise _invalid(f"has more than {MAX_LENGTH} characters")
    try:
        documents = [one.value for one in read_documents(text.encode(), _LIMITS) if one.value is not None]
    except ManifestError as error:
        raise _invalid(f"is no YAML: {error.message}") from None
    match documents:
        case [[*entries]] if entries:
            pass
        case _:
            raise _invalid("is no YAML list of substitutions")
    if len(entries) > MOST:
        raise _invalid(f"{len(entries)} substitutions are more than {MOST}")
    return tuple(_read_one(number, entry, own, kinds) for number, entry in enumerate(entries, 1))


def _read_one(number: int, entry: object, own: ObjectRef, kinds: Kinds | None) -> Mutation:
    match entry:
        case {
            "sourceRef": {"kind": str(kind), "name": str(name)} as ref,
            "sourcePath": str(source_path),
            "targetPath": str(target_path),
            **rest,
        } if kind and name:
            token = rest.get("token") or ""
        case _:
            raise _invalid(f"entry {number} needs sourceRef with kind and name, sourcePath and targetPath")
    group = ref.get("group") or group_of(str(ref.get("apiVersion") or ""))
    namespace = ref.get("namespace") or own.namespace
    if not (isinstance(token, str) and isinstance(group, str) and isinstance(namespace, str)):
        raise _invalid(f"in entry {number} token, group and namespace must be texts")
    try:
        parse(source_path)
        if is_fixed(parse(target_path)):
            what = "what an object is, whose it is and how agentk treats it is Git's alone to decide"
            raise _invalid(f"entry {number}: {target_path} may not be filled: {what}")
    except PathError as error:
        raise _invalid(f"entry {number}: {error}") from None
    served = kinds.find(group, kind, "") if kinds is not None else None
    source = ObjectRef(group, kind, namespace if served is None or served.namespaced else "", name)
    if source == own:
        raise _invalid(f"entry {number}: the source is the object itself")
    return Mutation(source, source_path, target_path, token)


def _invalid(message: str) -> InvalidOrderError:
    return InvalidOrderError("InvalidMutation", f"annotation {APPLY_TIME_MUTATION}: {message}")


def substitute(
    document: dict[str, Any], mutations: Sequence[Mutation], sources: Mapping[ObjectRef, object]
) -> dict[str, Any]:
    """Fill the fields of an object, and return it.

    Args:
        document: The object; is changed.
        mutations: In this order.
        sources: The whole objects.

    Raises:
        MutationError: A path leads nowhere, or what is there does not fit.
    """
    filled_in = 0
    for one in mutations:
        try:
            value = get(sources[one.source], one.source_path)
        except PathError as error:
            raise MutationError(f"source {one.source}: {error}") from None
        # A copy, or what is put into it later would change the source, which could then hold itself, or itself twice at
        # every step.
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        target = f"target of {one.source} {one.source_path}"
        try:
            place = _text_at(document, one) if one.token else ""
            filled_in += len(text) * (place.count(one.token) if one.token else 1)
            if filled_in <= MAX_BODY:
                replacement = value if isinstance(value, str) else text.decode()
                put(
                    document,
                    one.target_path,
                    place.replace(one.token, replacement) if one.token else orjson.loads(text),
                )
        except PathError as error:
            raise MutationError(f"{target}: {error}") from None
        if filled_in > MAX_BODY:
            raise MutationError(f"{target}: with {one.target_path!r} more than {MAX_BODY} bytes would be filled in")
    if len(orjson.dumps(document)) > MAX_BODY:
        raise MutationError(f"the object has more than {MAX_BODY} bytes once its fields are filled")
    return document


def _text_at(document: object, one: Mutation) -> str:
    """Return the text in which the token stands."""
    text = get(document, one.target_path)
    if not isinstance(text, str):
        raise PathError(f"{one.target_path!r} leads to no text, in which the token could stand")
    if one.token not in text:
        raise PathError(f"the text at {one.target_path!r} does not hold the token {one.token!r}")
    return text
