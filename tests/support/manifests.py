"""Manifests that tests push."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def config_map(name: str, value: str = "1", *, namespace: str = "") -> str:
    """Return a small ConfigMap."""
    space = f"  namespace: {namespace}\n" if namespace else ""
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n{space}data:\n  value: '{value}'\n"


def deployment(name: str, replicas: int = 1, *, namespace: str = "") -> str:
    """Return an nginx Deployment."""
    space = f"  namespace: {namespace}\n" if namespace else ""
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
{space}spec:
  replicas: {replicas}
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
      - name: nginx
        image: nginx:1.27
"""


def config_files(
    agent: str,
    namespace: str,
    *projects: str,
    glob: str = "/manifests/**/*.yaml",
    more: str = "",
    refs: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the configuration file of an agent, by its path.

    Args:
        agent: its name.
        namespace: the default one of every project.
        projects: the manifest projects; none: the configuration project itself.
        glob: what is selected of each.
        more: further keys of each project, as lines indented by four spaces.
        refs: the ref of a project that is not to have the default branch, such as ``branch: main``.
    """
    refs = refs or {}
    entries = "".join(
        (f"  - id: {project}\n    " if project else "  - ")
        + f"default_namespace: {namespace}\n    paths: [{{glob: '{glob}'}}]\n{more}"
        + (f"    ref: {{{refs[project]}}}\n" if project in refs else "")
        for project in projects or ("",)
    )
    return {f".gitlab/agents/{agent}/config.yaml": f"gitops:\n  manifest_projects:\n{entries}"}
