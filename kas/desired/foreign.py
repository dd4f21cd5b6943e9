"""Selected files that are no manifests: which of them are left out of a revision, and which keep it from being used.

Repositories hold charts, kustomizations and settings of other tools beside manifests, all of them YAML. A file is left
out where it is sure that it never was a manifest of the project. A typo must not delete anything, so what was one
before, and what has ``apiVersion`` or ``kind``, stays an error. Why: docs/decisions/0029-what-is-left-out.md. Pure.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentlink.manifests.model import ManifestError
from kas.desired.reading import Unusable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from agentlink.manifests.model import ManifestFile

SHOWN: Final = 20
"""Files that an error, or a notice, names."""

_CHART: Final = "Chart.yaml"
_OF_CHART: Final = re.compile(r"(?:Chart\.(?:yaml|lock)|values[^/]*|(?:templates|charts|crds|ci)/.*)", re.DOTALL)
_KUSTOMIZATIONS: Final = frozenset({"kustomization.yaml", "kustomization.yml"})
_CHART_KEYS: Final = frozenset({"name", "version"})

_KNOWN: Final = (
    (re.compile(r"\.gitlab-ci.*\.ya?ml"), "a configuration of GitLab CI"),
    (re.compile(r"(?:docker-)?compose.*\.ya?ml"), "a Compose file"),
    (re.compile(r"values.*\.ya?ml"), "values of a chart"),
    (re.compile(r"\.(?:yamllint|pre-commit-config|markdownlint|golangci|prettierrc).*"), "settings of a tool"),
)
_OTHER: Final = "no Kubernetes object, with neither apiVersion nor kind"
_EXCLUDE: Final = "to leave it out, exclude it: `paths: [{glob: …, exclude: [/PATH]}]`"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is left out, and ``what`` it is."""

    path: str
    what: str


def left_out_of(files: Sequence[ManifestFile | Unusable]) -> Mapping[str, str]:
    """Return what of all selected files is no manifest, by path, and what it is instead."""
    unusable = [file for file in files if isinstance(file, Unusable)]
    left = dict(_of_charts(files, unusable))
    for path, what in _of_kustomizations(files, unusable):
        left.setdefault(path, what)
    for file in unusable:
        if file.content is not None and file.content.bare:
            left.setdefault(file.path, _named(file.path))
    return left


def sort_out(
    files: Sequence[ManifestFile | Unusable], left: Mapping[str, str], lost: Collection[str]
) -> tuple[list[ManifestFile], tuple[LeftOut, ...]]:
    """Return the manifests among the files of a revision, and what is left out.

    Args:
        files: All that is selected.
        left: What ``left_out_of`` says of them.
        lost: Those of these paths from which objects came before.

    Raises:
        ManifestError: Files that cannot be used, all of them in one.
    """
    errors = [_lost(path, left[path]) for path in left if path in lost]
    errors += [_explained(file) for file in files if isinstance(file, Unusable) and file.path not in left]
    if errors:
        raise together(errors)
    kept = [file for file in files if not isinstance(file, Unusable) and file.path not in left]
    out = tuple(LeftOut(path, left[path]) for path in sorted(left))
    if out and not kept:
        raise ManifestError("EmptySelection", f"no manifest is among the selected files; {notice(out)}")
    return kept, out


def touches(paths: Iterable[str], left: Sequence[LeftOut]) -> bool:
    """Tell whether what is left out may be other than this once files of these paths have changed."""
    out = {one.path for one in left}
    charts = [posixpath.dirname(path) for path in out if posixpath.basename(path) == _CHART]
    kustomized = any(posixpath.basename(path) in _KUSTOMIZATIONS for path in out)
    return any(
        kustomized
        or path in out
        or posixpath.basename(path) in {_CHART, *_KUSTOMIZATIONS}
        or any(path.startswith(f"{chart}/" if chart else "") for chart in charts)
        for path in paths
    )


def notice(left: Sequence[LeftOut]) -> str:
    """Say what was left out."""
    shown = ", ".join(f"{one.path} ({one.what})" for one in left[:SHOWN])
    more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
    return f"left out: {shown}{more}"


def together(errors: Sequence[ManifestError]) -> ManifestError:
    """Return one error that tells all of them; of many, the first."""
    if len(errors) == 1:
        return errors[0]
    lines = [str(error) for error in errors[:SHOWN]]
    if len(errors) > SHOWN:
        lines.append(f"and {len(errors) - SHOWN} more errors")
    return ManifestError(errors[0].reason, "\n".join(lines))


def _of_charts(files: Iterable[ManifestFile | Unusable], unusable: Iterable[Unusable]) -> Iterator[tuple[str, str]]:
    charts = [
        posixpath.dirname(file.path)
        for file in unusable
        if posixpath.basename(file.path) == _CHART and file.content is not None and file.content.keys >= _CHART_KEYS
    ]
    if not charts:
        return
    # The outermost first: what belongs to a chart in it belongs to it too.
    prefixes = sorted((f"{chart}/" if chart else "" for chart in charts), key=len)
    for file in files:
        chart = next((one for one in prefixes if file.path.startswith(one) and _is_part(file.path, one)), None)
        if chart is not None:
            yield file.path, f"a part of the Helm chart {chart or '/'}, which is not rendered"


def _is_part(path: str, chart: str) -> bool:
    return _OF_CHART.fullmatch(path[len(chart) :]) is not None


def _of_kustomizations(
    files: Sequence[ManifestFile | Unusable], unusable: Iterable[Unusable]
) -> Iterator[tuple[str, str]]:
    for file in unusable:
        if posixpath.basename(file.path) not in _KUSTOMIZATIONS or file.content is None or not file.content.kustomizes:
            continue
        yield file.path, "a kustomization, which is not rendered"
        directory = posixpath.dirname(file.path)
        named = {posixpath.normpath(posixpath.join(directory, name)) for name in file.content.names}
        named -= {".", directory}
        for other in files if named else ():
            parts = other.path.split("/")
            if any("/".join(parts[:end]) in named for end in range(1, len(parts) + 1)):
                yield other.path, f"changed by the kustomization {file.path}, which is not rendered"


def _named(path: str) -> str:
    name = posixpath.basename(path)
    return next((what for pattern, what in _KNOWN if pattern.fullmatch(name)), _OTHER)


def _lost(path: str, what: str) -> ManifestError:
    return ManifestError(
        "ManifestLost",
        f"was a manifest in the revision before, and is {what}; correct it, or delete it if its objects are to go",
        path=path,
    )


def _explained(file: Unusable) -> ManifestError:
    error = file.error
    if file.templated:
        message = f"looks like a template, which is not rendered ({error.message}); {_EXCLUDE}"
    elif file.reason == "InvalidManifest":
        message = f"{error.message}; {_EXCLUDE}"
    else:
        return error
    return ManifestError(error.reason, message.replace("PATH", file.path), path=file.path, line=file.line)
