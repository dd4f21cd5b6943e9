"""Reads settings and explains mistakes: which key, where it stands, what was expected there.

Values are never quoted in errors: what stands in the wrong place may be a secret.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from kas.settings.model import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

_PREFIX: Final = "KAS_"
_NESTED: Final = "__"

Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. ``where`` is the file with its line, or the variable; ``key`` is written like ``git.timeout``."""

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.message}" if self.key else f"{self.where}: {self.message}"


class SettingsError(Exception):
    """The settings cannot be used; ``str()`` of it has a line for each problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def load_settings(file: Path | None, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a file, with the environment's on top, and defaults for all others.

    Args:
        file: YAML; None for none.
        environment: None for the process's own. ``KAS_DATA_DIR`` and ``KAS_DATABASE`` set these, and
            ``KAS_GIT__POLL_INTERVAL=5s`` sets ``git.poll_interval``; values are read as in YAML.

    Raises:
        SettingsError: naming every mistake.
    """
    tree = _read(file) if file is not None else None
    values = _values(tree, file)
    variables = _overrides(os.environ if environment is None else environment)
    sources: dict[Key, str] = {}
    for name, (key, value) in variables.items():
        _put(values, key, value, name)
        sources[key] = name
    folder = file.absolute().parent if file is not None else Path.cwd()
    try:
        return Settings.model_validate(values, context={"folder": folder})
    except ValidationError as error:
        raise SettingsError([_problem(detail, file, tree, sources) for detail in error.errors()]) from None


def _read(file: Path) -> yaml.Node | None:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError([Problem(str(file), "", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError:
        raise SettingsError([Problem(str(file), "", "cannot be read: it is not UTF-8 text")]) from None
    try:
        tree: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}" if mark else str(file)
        raise SettingsError([Problem(where, "", f"is not valid YAML: {error.problem}")]) from None
    except yaml.YAMLError:
        raise SettingsError(
            [Problem(str(file), "", "is not valid YAML: it holds a character that may not be")]
        ) from None
    return tree


def _values(tree: yaml.Node | None, file: Path | None) -> dict[str, Any]:
    """Return the tree's values.

    Raises:
        SettingsError: it is no mapping, or says something twice.
    """
    if tree is None:
        return {}
    twice = list(_twice(tree, (), str(file)))
    if twice:
        raise SettingsError(twice)
    loader = yaml.SafeLoader("")
    try:
        values = loader.construct_document(tree)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError([Problem(f"{file}:{line}", "", f"is not valid YAML: {error.problem}")]) from None
    except ValueError:  # a date that does not exist
        raise SettingsError([Problem(str(file), "", "is not valid YAML: it holds an impossible date")]) from None
    finally:
        loader.dispose()
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError([Problem(f"{file}:1", "", "expected settings such as 'data_dir: /var/lib/kas'")])
    return values


def _twice(node: yaml.Node, key: Key, file: str) -> list[Problem]:
    problems = []
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for name, value in node.value:
            inner = (*key, str(name.value))
            if name.value in seen:
                line = name.start_mark.line + 1
                problems.append(Problem(f"{file}:{line}", _dotted(inner), "is set twice; keep one of them"))
            seen.add(name.value)
            problems += _twice(value, inner, file)
    return problems


def _overrides(environment: Mapping[str, str]) -> dict[str, tuple[Key, object]]:
    """Return the variables that are settings, with their key and value.

    Others that begin alike are left alone: ``KAS_TOKEN`` is the command line's, ``KAS_PORT`` is Kubernetes'.
    """
    plain = {f"{_PREFIX}{name.upper()}" for name, field in Settings.model_fields.items() if not _is_section(field)}
    found: dict[str, tuple[Key, object]] = {}
    for name, text in sorted(environment.items()):
        if name in plain or (name.startswith(_PREFIX) and _NESTED in name):
            try:
                value: object = yaml.safe_load(text)
            except (yaml.YAMLError, ValueError):
                value = text
            found[name] = (tuple(name.removeprefix(_PREFIX).lower().split(_NESTED)), value)
    return found


def _is_section(field: object) -> bool:
    annotation = getattr(field, "annotation", None)
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _put(values: dict[str, Any], key: Key, value: object, variable: str) -> None:
    for part in key[:-1]:
        inner = values.setdefault(str(part), {})
        if inner is None:
            inner = values[str(part)] = {}
        if not isinstance(inner, dict):
            raise SettingsError([Problem(variable, _dotted(key), "the settings' file has a single value above it")])
        values = inner
    values[str(key[-1])] = value


def _problem(detail: ErrorDetails, file: Path | None, tree: yaml.Node | None, sources: Mapping[Key, str]) -> Problem:
    key = detail["loc"]
    variable = next((name for source, name in sources.items() if key[: len(source)] == source), None)
    where = variable or (f"{file}:{_line(tree, key)}" if tree is not None else str(file or "settings"))
    return Problem(where, _dotted(key), _message(detail))


def _message(detail: ErrorDetails) -> str:
    match detail["type"]:
        case "extra_forbidden":
            known = _known(detail["loc"][:-1])
            close = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1)
            if close:
                return f"there is no such setting; did you mean {close[0]}?"
            return f"there is no such setting; there are {', '.join(known)}"
        case "missing":
            return "is needed here"
        case "model_type" | "dict_type" | "model_attributes_type":
            return "expected settings with a name each, not a single value"
        case "value_error":
            return str(detail.get("ctx", {}).get("error", detail["msg"]))
        case _:
            return detail["msg"].replace("Input should be", "expected")


def _known(key: Key) -> list[str]:
    """Return the names of the settings that there are below a key."""
    here: Any = Settings
    for part in key:
        if get_origin(here) is dict:
            here = get_args(here)[1]  # any name leads to what the dict holds
            continue
        here = here.model_fields[str(part)].annotation
        if get_origin(here) is not dict:  # of ``Section | None`` the section
            here = next((choice for choice in get_args(here) if choice is not type(None)), here)
    return list(here.model_fields)


def _line(node: yaml.Node | None, key: Key) -> int:
    """Return the line on which a key stands, or the nearest one above it that does."""
    line = node.start_mark.line + 1 if node is not None else 1
    for part in key:
        if isinstance(node, yaml.MappingNode):
            found = next(((name, value) for name, value in node.value if name.value == str(part)), None)
            if found is None:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _dotted(key: Key) -> str:
    return ".".join(str(part) for part in key)
