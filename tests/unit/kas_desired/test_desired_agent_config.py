"""GitLab's config.yaml: what it means, and what is said about mistakes."""

from __future__ import annotations

import pytest

from agentlink.durations import parse_duration
from agentlink.manifests.model import Limits
from kas.desired.agent_config import (
    AgentConfig,
    ConfigError,
    ConfigFinding,
    ManifestProjectConfig,
    parse_agent_config,
)
from kas.desired.globs import compile_patterns
from kas.desired.references import RefSpec, RefSpecKind

PATH = ".gitlab/agents/a/config.yaml"


def parse(text: str) -> tuple[AgentConfig, tuple[ConfigFinding, ...]]:
    return parse_agent_config(text.encode(), path=PATH, own_project="group/config", limits=Limits())


def entry(text: str) -> ManifestProjectConfig:
    config, warnings = parse(f"gitops: {{manifest_projects: [{{{text}}}]}}")
    assert warnings == ()
    return config.projects[0]


def errors(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return [(finding.line, finding.key, finding.message) for finding in caught.value.findings]


def test_everything_that_gitlab_documents_is_read() -> None:
    config, warnings = parse("""\
gitops:
  manifest_projects:
  - id: group/project
    ref: {branch: main}
    default_namespace: my-ns
    paths:
    - glob: '/team/app/**/*.yaml'
    - glob: '*.json'
    reconcile_timeout: 300s
    dry_run_strategy: server
    prune: false
    prune_timeout: 1h30m
    prune_propagation_policy: orphan
    inventory_policy: adopt_all
  - default_namespace: other
observability:
  logging: {level: debug, grpc_level: warn}
ci_access: {projects: [{id: a/b}], groups: []}
user_access: {access_as: {agent: {}}}
""")
    assert warnings == ()
    assert config == AgentConfig(
        projects=(
            ManifestProjectConfig(
                project="group/project",
                ref=RefSpec(RefSpecKind.BRANCH, "main"),
                default_namespace="my-ns",
                globs=("/team/app/**/*.yaml", "*.json"),
                reconcile_timeout=300.0,
                dry_run_strategy="server",
                prune=False,
                prune_timeout=5400.0,
                prune_propagation_policy="orphan",
                inventory_policy="adopt_all",
            ),
            ManifestProjectConfig(project="group/config", default_namespace="other"),
        ),
        log_level="debug",
        grpc_log_level="warn",
        ci_access={"projects": [{"id": "a/b"}], "groups": []},
        user_access={"access_as": {"agent": {}}},
    )


NUMBER = (
    "expected the path of a project, such as group/project: a number is the id that GitLab gives it, which kas does not"
    " know; GitLab's page of the project has the path"
)


@pytest.mark.parametrize("written", ["a/b", "a/b/", "a/b.git", "'a/b.git/'"])
def test_a_slash_or_git_at_the_end_is_no_part_of_a_projects_path(written: str) -> None:
    assert entry(f"id: {written}").project == "a/b"


def test_a_project_that_is_named_twice_is_refused_however_it_is_written() -> None:
    ((_, key, message),) = errors("gitops: {manifest_projects: [{id: a/b}, {id: a/b.git/}]}")
    assert (key, "the same project as entry 1" in message) == ("gitops.manifest_projects[1].id", True)


def test_files_are_excluded_from_what_a_glob_matches() -> None:
    many = entry("id: a/b, paths: [{glob: '**/*.yaml', exclude: ['charts/**', '/x.yaml']}, {glob: charts/keep.yaml}]")
    select = compile_patterns(many.globs).fullmatch
    paths = ("a.yaml", "x.yaml", "sub/x.yaml", "charts/web/values.yaml", "charts/keep.yaml")
    assert [path for path in paths if select(path)] == ["a.yaml", "sub/x.yaml", "charts/keep.yaml"]
    one = entry("id: a/b, paths: [{glob: '*.yaml', exclude: x.yaml}]")
    assert [path for path in paths if compile_patterns(one.globs).fullmatch(path)] == ["a.yaml"]


@pytest.mark.parametrize(
    ("path", "key", "message"),
    [
        ("{glob: '!a/**'}", "paths[0].glob", "write what is not to match as `exclude`"),
        ("{glob: a, exclude: ['!b']}", "paths[0].exclude[0]", "write what is not to match as `exclude`"),
        ("{glob: a, exclude: ['../b']}", "paths[0].exclude[0]", "'.' and '..' cannot be used"),
        ("{glob: a, exclude: [b/]}", "paths[0].exclude[0]", "matches directories only"),
        ("{glob: a, exclude: null}", "paths[0].exclude", "says nothing"),
        ("{glob: a, excludes: [b]}", "paths[0].excludes", "did you mean exclude?"),
        ("{glob: a, exclude: [1]}", "paths[0].exclude[0]", "expected a string"),
    ],
)
def test_what_is_wrong_with_paths_names_the_place_and_the_way_out(path: str, key: str, message: str) -> None:
    found = errors(f"gitops: {{manifest_projects: [{{paths: [{path}]}}]}}")
    assert [(where, message in said) for _, where, said in found] == [(f"gitops.manifest_projects[0].{key}", True)]


def test_what_is_not_said_has_gitlabs_default() -> None:
    assert entry("id: a/b") == ManifestProjectConfig(
        project="a/b",
        ref=RefSpec(RefSpecKind.DEFAULT, ""),
        default_namespace="default",
        globs=("/**/*.{yaml,yml,json}",),
        reconcile_timeout=3600.0,
        dry_run_strategy="none",
        prune=True,
        prune_timeout=3600.0,
        prune_propagation_policy="foreground",
        inventory_policy="must_match",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "gitops:\n",
        "gitops: {}\n",
        "gitops:\n  manifest_projects:\n",
        "gitops: {manifest_projects: []}",
    ],
)
def test_no_gitops_is_no_projects(text: str) -> None:
    assert parse(text) == (AgentConfig(), ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("branch: feature/x-1.2", RefSpec(RefSpecKind.BRANCH, "feature/x-1.2")),
        ("tag: v1.0", RefSpec(RefSpecKind.TAG, "v1.0")),
        ("commit: " + "A" * 40, RefSpec(RefSpecKind.COMMIT, "a" * 40)),
        ("", RefSpec(RefSpecKind.DEFAULT)),
    ],
)
def test_a_ref_is_a_branch_a_tag_a_commit_or_the_default(text: str, expected: RefSpec) -> None:
    assert entry(f"ref: {{{text}}}").ref == expected


def test_unknown_keys_are_warnings_with_their_places() -> None:
    _, warnings = parse("""\
gitops:
  charts: []
  manifest_projects:
  - id: a/b
    paths:
    - glob: a
      recurse: true
    ref: {head: x}
starboard: {}
observability: {logging: {colour: red}}
""")
    assert [(warning.line, warning.key) for warning in warnings] == [
        (2, "gitops.charts"),
        (7, "gitops.manifest_projects[0].paths[0].recurse"),
        (8, "gitops.manifest_projects[0].ref.head"),
        (9, "starboard"),
        (10, "observability.logging.colour"),
    ]


def test_every_mistake_is_reported_with_line_key_and_expectation() -> None:
    found = errors("""\
gitops:
  manifest_projects:
  - id: 12
    ref: {branch: main, tag: x}
    default_namespace: My
    paths: [{glob: '['}, {globb: x}, 3]
    prune: "yes"
    reconcile_timeout: 5
    prune_timeout: -5s
    prune_propagation_policy: no
    inventory_policy: force
    dry_run_strategy: maybe
  - id: ../x
    ref: main
  - x
  - id: a/b
  - id: a/b
observability:
  logging: {level: loud}
ci_access: []
""")
    project = "gitops.manifest_projects"
    assert found == [
        (
            3,
            f"{project}[0].id",
            NUMBER,
        ),
        (4, f"{project}[0].ref", "expected only one of branch, tag and commit"),
        (
            5,
            f"{project}[0].default_namespace",
            "expected a namespace: at most 63 lower-case letters, digits and '-', not at the ends",
        ),
        (6, f"{project}[0].paths[0].glob", "glob '[': '[' without its ']'"),
        (6, f"{project}[0].paths[1].glob", "is missing"),
        (6, f"{project}[0].paths[2]", "expected a mapping"),
        (7, f"{project}[0].prune", "expected true or false"),
        (8, f"{project}[0].reconcile_timeout", "expected a duration such as 3600s or 1h30m"),
        (9, f"{project}[0].prune_timeout", "expected a duration such as 3600s or 1h30m"),
        (10, f"{project}[0].prune_propagation_policy", "expected 'orphan', 'foreground' or 'background'"),
        (11, f"{project}[0].inventory_policy", "expected 'must_match', 'adopt_if_no_inventory' or 'adopt_all'"),
        (12, f"{project}[0].dry_run_strategy", "expected 'none', 'client' or 'server'"),
        (13, f"{project}[1].id", "expected the path of a project, such as group/project"),
        (14, f"{project}[1].ref", "expected a mapping"),
        (15, f"{project}[2]", "expected a mapping"),
        (17, f"{project}[4].id", "the same project as entry 4; put their paths together"),
        (19, "observability.logging.level", "expected 'debug', 'info', 'warn' or 'error'"),
        (20, "ci_access", "expected a mapping"),
    ]


def test_the_configuration_project_named_and_unnamed_is_one_project() -> None:
    ((line, key, _),) = errors("gitops:\n  manifest_projects:\n  - id: group/config\n  - {}\n")
    assert (line, key) == (4, "gitops.manifest_projects[1].id")


@pytest.mark.parametrize(
    "text",
    [
        "id: a//b",
        "id: /a",
        "id: a/..",
        "id: a b",
        "id: 'a\\b'",
        "id: -a/b",
        'id: "a\\nb"',
        "id: ''",
        "id: 'a?b'",
        "id: a%2fb",
    ],
)
def test_a_project_that_is_no_path_is_refused(text: str) -> None:
    ((_, key, _),) = errors(f"gitops: {{manifest_projects: [{{{text}}}]}}")
    assert key == "gitops.manifest_projects[0].id"


@pytest.mark.parametrize(
    "text",
    [
        "branch: ''",
        "branch: -x",
        "tag: a..b",
        "branch: 'a b'",
        "tag: 'a:b'",
        "branch: a.lock",
        "tag: '@'",
        "commit: abc",
        "tag: 1.0",
    ],
)
def test_a_ref_that_git_would_not_take_is_refused(text: str) -> None:
    ((_, key, _),) = errors(f"gitops: {{manifest_projects: [{{ref: {{{text}}}}}]}}")
    assert key == f"gitops.manifest_projects[0].ref.{text.partition(':')[0]}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [\n", 2),
        ("a: 1\n---\nb: 1\n", 3),
        ("\n- a\n", 2),
        ("a: *b\n", 1),
        ("gitops: yes\n", 1),
        ("x: &a [a]\ny: &b [*a,*a]\nz: [" + "*b," * 400_000 + "]", 1),
    ],
    ids=range(6),
)
def test_what_is_no_configuration_is_an_error_with_a_line(text: str, line: int) -> None:
    ((found, _, _),) = errors(text)
    assert found == line


def test_a_file_beyond_gitlabs_limit_is_refused_unread() -> None:
    ((_, _, message),) = errors("#" * (128 * 1024 + 1))
    assert "131072" in message


def test_too_many_projects_paths_and_alternatives_are_refused() -> None:
    many = "".join(f"  - id: a/p{number}\n" for number in range(501))
    assert [key for _, key, _ in errors("gitops:\n  manifest_projects:\n" + many)] == ["gitops.manifest_projects"]
    paths = "- glob: a\n" * 101
    assert [key for _, key, _ in errors(f"gitops: {{manifest_projects: [{{paths: [{'{glob: a},' * 101}]}}]}}")] == [
        "gitops.manifest_projects[0].paths"
    ], paths
    braces = "{glob: '" + "{a,b}" * 9 + "'}," * 1
    ((_, key, message),) = errors(f"gitops: {{manifest_projects: [{{paths: [{braces * 20}]}}]}}")
    assert key == "gitops.manifest_projects[0].paths[9].glob"
    assert "5000" in message


def test_the_text_of_an_error_begins_each_finding_with_the_path() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("gitops: 1\nci_access: 2\n")
    assert str(caught.value).splitlines() == [
        f"{PATH}: line 1: gitops: expected a mapping",
        f"{PATH}: line 2: ci_access: expected a mapping",
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3600s", 3600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("300ms", 0.3),
        ("0", 0),
        ("0s", 0),
        ("+1m", 60),
        (".5s", 0.5),
        ("1.s", 1),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "1d", "-1s", "1 s", "1h 30m", "1e3s", ".s", "0x1s", "9" * 400 + "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


def test_a_project_may_act_as_a_service_account() -> None:
    account = entry("impersonate: {service_account: team-a/deployer.v1}")

    assert account.impersonate_user == "system:serviceaccount:team-a:deployer.v1"
    assert entry("prune: true").impersonate_user == ""


@pytest.mark.parametrize("account", ["deployer", "a/b/c", "a/b:c", "A/b", "a/", "/b", "a/b*", "kube-system:default"])
def test_what_is_no_service_account_is_refused(account: str) -> None:
    (found,) = errors(f"gitops: {{manifest_projects: [{{impersonate: {{service_account: '{account}'}}}}]}}")

    assert found[1:] == (
        "gitops.manifest_projects[0].impersonate.service_account",
        "expected a service account as namespace/name",
    )


def test_impersonating_nobody_in_particular_is_refused() -> None:
    assert errors("gitops: {manifest_projects: [{impersonate: {}}]}")


@pytest.mark.parametrize("path", ["- glob: **/*.yaml", "- glob: *.yaml", "- {glob: a, exclude: [*.json]}"])
def test_a_glob_that_yaml_takes_for_an_alias_is_to_be_quoted(path: str) -> None:
    ((line, _, message),) = errors(f"gitops:\n  manifest_projects:\n  - paths:\n    {path}\n")
    assert (line, "quote what begins with '*'" in message) == (4, True)
