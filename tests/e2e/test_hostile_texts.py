"""Names and messages that would act on whoever shows them: through Git, kas, an agent and a cluster they stay text."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.git_repository import git
from tests.support.installation import Installation
from tests.support.manifests import config_files, config_map

if TYPE_CHECKING:
    from pathlib import Path

    from tests.controlplane.cluster import Cluster
    from tests.support.git_server import GitServer

pytestmark = pytest.mark.cluster

AGENT = "inert"
HTML = "<script>alert(1)</script>"
HOSTILE = f"\x1b]0;owned\x07\x1b[2J{HTML}\u202e\x9b31m"
ACTIVE = set("\x1b\x07\x9b\u202e\r\x00")
SETTING = "logging: {format: text, level: debug}\n"


def test_hostile_names_and_messages_are_inert_wherever_they_are_shown(
    tmp_path: Path, git_server: GitServer, control_plane: Cluster, namespace: str
) -> None:
    repository = git_server.create("group/config")
    bad = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": HOSTILE}, "data": {"a": HOSTILE}}
    files = {
        **config_files(AGENT, namespace),
        "manifests/good.yaml": config_map("good"),
        "manifests/\x1b[31m<script>.yaml": yaml.safe_dump(bad),
    }
    with Installation(tmp_path, git_server, control_plane.kubeconfig, settings=SETTING) as installation:
        kas = installation.kas
        repository.push_files(files)
        git(
            "commit", "--amend", "-m", HOSTILE, "--author", f"{HTML[1:-1]}\x1b[31m <a@example.com>", cwd=repository.path
        )
        git("push", "--force", "origin", "HEAD:main", cwd=repository.path)
        agent = installation.agent(AGENT, project="group/config")
        sync = kas.wait_sync(AGENT, state="failed", commit=git("rev-parse", "HEAD", cwd=repository.path))
        assert "script" in json.dumps([sync, kas.get("events")]), "the name has to be shown for this to prove anything"

        shown: dict[str, str] = {}
        for words in (
            ("get", "agents"),
            ("get", "syncs"),
            ("tree", "--agent", AGENT),
            ("events",),
            ("history", "group/config", "--agent", AGENT),
        ):
            for output in ("table", "wide", "json", "yaml"):
                shown[f"{words} -o {output}"] = kas.cli(*words, "-o", output)
        text_log, json_log = kas.log.read_text(), agent.log.read_text()
        graphql = urllib.request.Request(  # noqa: S310 -- loopback
            f"{kas.api}/api/graphql",
            data=json.dumps({"query": f"query {{ {HOSTILE} }}"}).encode(),
            headers={
                "Authorization": f"Bearer {kas.admin_token.read_text().strip()}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(graphql) as answer:  # noqa: S310 -- loopback
            assert answer.headers.get_content_type() == "application/json"
            answered = answer.read().decode()
        with urllib.request.urlopen(f"{kas.api}/-/graphql-explorer") as page:  # noqa: S310 -- loopback
            assert "default-src 'none'" in page.headers["Content-Security-Policy"]
            assert HTML not in page.read().decode()

    shown |= {"text log": text_log, "json log": json_log, "graphql": answered}
    for what, text in shown.items():
        assert not ACTIVE & set(text), (what, text)
    assert '{"level"' not in text_log
    assert all(json.loads(line) for line in json_log.splitlines() if line.startswith("{"))
    assert any("script" in text for text in shown.values())
