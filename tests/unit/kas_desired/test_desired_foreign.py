"""What of a repository is left out, what keeps a revision from being used, and what is said of each."""

from __future__ import annotations

import pytest

from agentlink.manifests.model import Limits, ManifestError, ManifestFile
from kas.desired.foreign import LeftOut, left_out_of, sort_out, touches
from kas.desired.reading import Unusable, read_file

MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"
CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
TEMPLATE = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-web\n{{- if .Values.x }}\n"


def read(files: dict[str, str]) -> list[ManifestFile | Unusable]:
    return [read_file(path, f"blob-{path}", text.encode(), Limits()) for path, text in files.items()]


def sorted_out(files: dict[str, str], *lost: str) -> tuple[list[str], dict[str, str]]:
    found = read(files)
    kept, left = sort_out(found, left_out_of(found), lost)
    return [file.path for file in kept], {one.path: one.what for one in left}


def refused(files: dict[str, str], *lost: str) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        sorted_out(files, *lost)
    return caught.value


def test_every_kind_of_file_that_repositories_hold_beside_manifests_is_left_out_and_named() -> None:
    kept, left = sorted_out(
        {
            "web.yaml": MAP % "web",
            ".gitlab-ci.yml": "stages: [a]\n",
            "docker-compose.yml": "services: {web: {image: nginx}}\n",
            ".yamllint.yaml": "extends: default\n",
            "mkdocs.yml": "site_name: x\n",
            "package.json": '{"name": "x", "version": "1"}',
            "patch.json": '[{"op": "add"}]',
            "chart/Chart.yaml": CHART,
            "chart/values.yaml": "replicas: 1\n",
            "chart/values-prod.yaml": "replicas: 3\n",
            "chart/templates/web.yaml": TEMPLATE,
            "chart/templates/plain.yaml": MAP % "plain",
            "chart/crds/crd.yaml": MAP % "crd",
            "chart/charts/sub/Chart.yaml": CHART,
            "chart/charts/sub/templates/x.yaml": TEMPLATE,
            "chart/beside.yaml": MAP % "beside",
            "kustomize/base/kustomization.yaml": "resources: [app.yaml]\n",
            "kustomize/base/app.yaml": MAP % "app",
            "kustomize/prod/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
            "resources: [../base]\npatches: [{path: patch.yaml}]\n",
            "kustomize/prod/patch.yaml": MAP % "app",
            "plain/kustomization.yaml": "kind: Kustomization\napiVersion: kustomize.config.k8s.io/v1beta1\n"
            "metadata: {name: x}\nresources: [plain.yaml]\n",
            "plain/plain.yaml": MAP % "in-plain",
        }
    )
    assert kept == ["web.yaml", "chart/beside.yaml", "plain/plain.yaml"]
    assert left[".gitlab-ci.yml"] == "a configuration of GitLab CI"
    assert left["docker-compose.yml"] == "a Compose file"
    assert left[".yamllint.yaml"] == "settings of a tool"
    for path in ("mkdocs.yml", "package.json", "patch.json"):
        assert left[path] == "no Kubernetes object, with neither apiVersion nor kind"
    for path in ("Chart.yaml", "values.yaml", "values-prod.yaml", "templates/web.yaml", "templates/plain.yaml"):
        assert left[f"chart/{path}"] == "a part of the Helm chart chart/, which is not rendered"
    assert left["chart/charts/sub/templates/x.yaml"] == "a part of the Helm chart chart/, which is not rendered"
    assert left["kustomize/base/app.yaml"].startswith("changed by the kustomization kustomize/prod/kustomization.yaml")
    assert left["kustomize/prod/patch.yaml"].startswith("changed by the kustomization")
    assert left["plain/kustomization.yaml"] == "a kustomization, which is not rendered"


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nmetadata: {name: x}\n",
        "kind: ConfigMap\nmetadata: {name: x}\n",
        "apiVersion: v2\nname: x\n",
        "a: 1\n---\n" + MAP % "x",
        "kind: Kustomization\napiVersion: example.com/v1\n",
        "apiVersion v1\nkind ConfigMap\n",
    ],
)
def test_what_has_one_of_the_two_or_a_manifest_beside_it_stays_an_error(text: str) -> None:
    error = refused({"a.yaml": MAP % "a", "b.yaml": text})
    assert error.reason == "InvalidManifest"
    assert error.path == "b.yaml"
    assert "exclude: [/b.yaml]" in error.message


def test_what_was_a_manifest_before_is_not_left_out() -> None:
    error = refused({"a.yaml": MAP % "a", "b.yaml": "apiversion: v1\nknd: ConfigMap\n"}, "b.yaml")
    assert (error.reason, error.path) == ("ManifestLost", "b.yaml")
    assert "delete it if its objects are to go" in error.message
    assert refused({"a.yaml": MAP % "a", "Chart.yaml": CHART, "templates/b.yaml": MAP % "b"}, "templates/b.yaml")


def test_every_finding_of_a_revision_is_told_and_of_very_many_the_first() -> None:
    error = refused({f"{number:03}.yaml": f"kind: K{number}\n" for number in range(50)} | {"t.yaml": "a: {{ b }}\n"})
    lines = str(error).splitlines()
    assert len(lines) == 21
    assert lines[0].startswith("000.yaml:1: apiVersion is missing; to leave it out, exclude it")
    assert lines[-1] == "and 31 more errors"


def test_a_template_outside_a_chart_is_told_as_one() -> None:
    error = refused({"a.yaml": MAP % "a", "t.yaml": TEMPLATE})
    assert "t.yaml:4: looks like a template, which is not rendered" in str(error)
    assert "exclude: [/t.yaml]" in error.message


def test_of_files_that_are_all_left_out_it_is_said_what_they_are() -> None:
    error = refused({"a.json": "{}", ".gitlab-ci.yml": "a: b\n"})
    assert error.reason == "EmptySelection"
    assert ".gitlab-ci.yml (a configuration of GitLab CI), a.json (no Kubernetes object" in error.message


@pytest.mark.parametrize(
    ("path", "may_change"),
    [
        ("a.yaml", False),
        ("ci.yml", True),
        ("new/Chart.yaml", True),
        ("new/kustomization.yaml", True),
        ("chart/templates/new.yaml", True),
        ("chart-2/templates/new.yaml", False),
    ],
)
def test_it_is_looked_at_anew_when_what_it_hangs_on_has_changed(path: str, *, may_change: bool) -> None:
    left = (LeftOut("chart/Chart.yaml", "x"), LeftOut("ci.yml", "y"))
    assert touches([path], left) is may_change
    assert touches([path], (*left, LeftOut("k/kustomization.yaml", "z")))
