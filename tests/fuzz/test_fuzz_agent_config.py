"""Whatever an agent's ``config.yaml`` holds: a configuration and warnings, or ``ConfigError`` with lines."""

from __future__ import annotations

from agentlink.manifests.documents import decode
from agentlink.manifests.model import Limits
from kas.desired.agent_config import AgentConfig, ConfigError, parse_agent_config
from kas.desired.globs import compile_patterns
from tests.fuzz.inputs import fuzz

LIMITS = Limits(yaml_nodes=2000, yaml_depth=20, paths=10)
TOKENS = (
    b"gitops:\n  manifest_projects:\n", b"- id: a/b\n", b"paths:\n", b"glob: ", b"ref: ", b"commit: ", b"branch: ",
    b"null", b"~", b"prune: ", b"impersonate: ", b"{}", b"[]", b"999999999999h", b"-1", b"1e99", b"true",
    b"{a,b}" * 12, b"\\ud800", b": ", b"- ", b"<<: ", b"&a ", b"*a", b"\xe2\x80\xae", b"allowed_namespaces: ",
    b"inventory_policy: ", b'"', b"\n      ", b"/" * 40,
)  # fmt: skip


@fuzz("agent_config", tokens=TOKENS)
def test_it_is_a_configuration_or_errors_with_their_lines(data: bytes) -> None:
    lines = len(decode(data)) + 2
    try:
        config, warnings = parse_agent_config(data, path=".gitlab/a", own_project="group/own", limits=LIMITS)
    except ConfigError as error:
        assert error.findings
        findings = error.findings
        assert str(error).isascii() or str(error).replace("\n", "").isprintable()
    else:
        assert isinstance(config, AgentConfig)
        findings = warnings
        for project in config.projects:
            assert project.project
            assert 0 <= project.reconcile_timeout < float("inf")
            compile_patterns(project.globs)
    assert all(1 <= finding.line <= lines for finding in findings)
    assert sum(len(str(finding)) for finding in findings) <= 200 * len(data) + 1000
    "".join(map(str, findings)).encode()  # text that every protocol can carry
