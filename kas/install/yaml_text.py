"""Objects as YAML that every reader reads alike.

Readers disagree on plain scalars: ``y`` is a boolean for kubectl and text for PyYAML, ``1e3`` the other way round. So
text stays plain only where it begins with a letter and is no word that any reader knows; the rest is quoted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


class _Dumper(yaml.SafeDumper):
    """Never writes anchors: kubectl reads them, people do not."""

    def ignore_aliases(self, _: Any) -> bool:  # noqa: ANN401 -- as inherited
        """Write every value out."""
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = '"'
    if "\n" in value:
        style = "|"
    elif _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        style = ""
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(objects: Iterable[dict[str, Any]]) -> str:
    """Return the objects as documents, the same text for the same objects."""
    return yaml.dump_all(
        objects, Dumper=_Dumper, sort_keys=False, explicit_start=True, default_flow_style=False, width=10_000
    )
