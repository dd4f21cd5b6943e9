"""Writes ``docs/kas-settings.md`` from the model: ``python -m kas.settings.document > docs/kas-settings.md``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from kas.settings.model import Settings
from kas.settings.values import Written, format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

_HEAD = """\
# Settings of kas

<!-- Written by `python -m kas.settings.document`; change the model in kas/settings/ instead. -->

`kas serve --config kas.yaml` reads one YAML file. Nothing has to be set: every default works on one machine. A key that
does not exist, or a value that cannot be, keeps kas from starting, with the file, the line and what was expected.

* Durations have their unit: `500ms`, `20s`, `1m30s`, `2h`, `7d`.
* Sizes are `64KiB`, `5MiB`, `2GiB` or a whole number of bytes.
* A relative path lies beside the settings' file; `~` is the home directory.
* Secrets are never values, always files of their own.
* The environment goes before the file: `KAS_DATA_DIR`, `KAS_DATABASE`, and `KAS_GIT__POLL_INTERVAL=5s` for
  `git.poll_interval`, likewise for every setting in a section.

```yaml
data_dir: /var/lib/kas
agent_listener:
  websocket_address: 0.0.0.0:8150
git:
  url_template: https://gitlab.example.com/{project}.git
  credential:
    kind: access_token
    token_file: /etc/kas/git-token
  projects:
    group/project: {id: 42}
webhooks:
  gitlab: {secret_token_file: /etc/kas/webhook-token}
```

What survives what: a report that kas has answered is on record even if kas is killed the next moment. If the machine
loses power, registered agents, tokens and their revocation are safe as well; of reports, the last moments may be lost.
"""


def render() -> str:
    """Return the document."""
    return _HEAD + "".join(_settings(Settings, "", set()))


def _settings(model: type[BaseModel], key: str, seen: set[type[BaseModel]]) -> Iterator[str]:
    """Yield a table of a model's own settings, then what is inside them."""
    single = [(name, field) for name, field in model.model_fields.items() if _model(field) is None]
    if single:
        yield "\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n"
    for name, field in single:
        yield f"| `{name}` | {_type(field)} | {_default(field)} | {field.description} |\n"
    for name, field in model.model_fields.items():
        inner = _model(field)
        if inner is None:
            continue
        named = f"{name}.<path>" if get_origin(field.annotation) is dict else name
        path = f"{key}.{named}" if key else named
        unset = "" if field.default is not None else " Not set otherwise."
        yield f"\n## {path}\n\n{field.description or inner.__doc__}{unset}\n"
        if inner in seen:
            yield "\nThe same keys as above.\n"
            continue
        seen.add(inner)
        yield from _settings(inner, path, seen)


def _model(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model in ``Model``, ``Model | None`` or ``dict[str, Model]``."""
    for candidate in (field.annotation, *get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _type(field: FieldInfo) -> str:
    if (written := _written(field)) is not None:
        return written
    annotation = field.annotation
    if get_origin(annotation) is tuple:
        return f"list of {_words(get_args(annotation)[0]) or 'text'}"
    return _words(annotation) if get_origin(annotation) is Literal else "text"


def _words(annotation: object) -> str:
    return ", ".join(f"`{word}`" for word in get_args(annotation))


def _written(field: FieldInfo) -> str | None:
    """Return the type's own name; pydantic leaves it with the annotation where that is ``Type | None``."""
    marks = [mark for part in get_args(field.annotation) for mark in getattr(part, "__metadata__", ())]
    return next((mark.as_ for mark in (*field.metadata, *marks) if isinstance(mark, Written)), None)


def _default(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "shown" in extra:
        return str(extra["shown"])
    if field.is_required():
        return "needed"
    return "" if field.default == "" else f"`{_as_set(field.default, _written(field))}`"


def _as_set(value: Any, written: str | None) -> str:  # noqa: ANN401  # defaults have every type there is
    """Return a value as it stands in the settings' file."""
    if value is None:
        return "null"
    if isinstance(value, tuple):
        return f"[{', '.join(value)}]"
    if written == "duration":
        return format_duration(value)
    return format_size(value) if written == "size" else str(value)


if __name__ == "__main__":
    sys.stdout.write(render())
