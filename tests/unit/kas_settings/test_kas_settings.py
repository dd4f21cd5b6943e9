"""Settings: defaults that work, values as people write them, and mistakes that are explained."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from kas.room_settings import git_settings
from kas.settings import Address, SettingsError, load_settings
from kas.settings.document import render
from kas.settings.values import format_duration, format_size, parse_duration, parse_size

DOCUMENT = Path(__file__).parents[3] / "docs" / "kas-settings.md"


def problems(text: str, folder: Path, environment: dict[str, str] | None = None) -> list[str]:
    file = folder / "kas.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(file, environment or {})
    return [f"{Path(p.where).name} {p.key} {p.message}".strip() for p in caught.value.problems]


def test_nothing_has_to_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/home/me/data")
    settings = load_settings(None, {})
    assert settings.data_dir == Path("/home/me/data/kas")
    assert settings.database_url == "sqlite:////home/me/data/kas/kas.db"
    assert settings.agent_listener.websocket_address == Address("127.0.0.1", 8150)
    assert settings.api.address.port == 8153
    assert settings.observability.address.port == 8151
    assert settings.git.poll_interval == 20.0
    assert settings.limits.file_size == 5 * 1024**2


def test_an_empty_file_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "kas.yaml"
    file.write_text("# nothing yet\n")
    assert load_settings(file, {}) == load_settings(None, {})


def test_a_file_sets_what_it_names_and_paths_lie_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "kas.yaml"
    file.write_text(
        """
data_dir: data
agent_listener: {websocket_address: "[::]:443", grpc_address: null, certificate_file: tls.crt, key_file: /k/tls.key}
git:
  allowed_schemes: [https, http]
  url_template: http://git.example.com/{project}.git
  poll_interval: 1m30s
  credential: {kind: deploy_token, username: me, token_file: token}
  projects:
    group/project: {id: 42, url: https://elsewhere.example.com/x.git}
limits: {file_size: 64KiB}
"""
    )
    settings = load_settings(file, {})
    assert settings.database_url == f"sqlite:///{tmp_path}/data/kas.db"
    assert settings.agent_listener.websocket_address == Address("::", 443)
    assert settings.agent_listener.grpc_address is None
    assert settings.agent_listener.certificate_file == tmp_path / "tls.crt"
    assert settings.agent_listener.key_file == Path("/k/tls.key")
    assert settings.git.poll_interval == 90.0
    assert settings.git.credential is not None
    assert settings.git.credential.token_file == tmp_path / "token"
    assert settings.git.projects["group/project"].id == 42
    assert settings.limits.file_size == 65536


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "kas.yaml"
    file.write_text("git: {poll_interval: 1m, timeout: 5s}\n")
    environment = {
        "KAS_GIT__POLL_INTERVAL": "2s",
        "KAS_RETENTION__SYNCS": "7",
        "KAS_DATABASE": "sqlite:////x.db",
        "KAS_WEBHOOKS__GITLAB__SECRET_TOKEN_FILE": "/t",
        "KAS_GIT__ALLOWED_SCHEMES": "[https, file]",
        # Not settings: the command line's, and what Kubernetes sets for a service called kas.
        "KAS_TOKEN": "secret",
        "KAS_PORT": "tcp://10.0.0.1:8150",
    }
    settings = load_settings(file, environment)
    assert (settings.git.poll_interval, settings.git.timeout) == (2.0, 5.0)
    assert settings.retention.syncs == 7
    assert settings.database_url == "sqlite:////x.db"
    assert settings.webhooks.gitlab.secret_token_file == Path("/t")
    assert settings.git.allowed_schemes == ("https", "file")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gti: {}", "kas.yaml:1 gti there is no such setting; did you mean git?"),
        (
            "git:\n  pol_interval: 5s",
            "kas.yaml:2 git.pol_interval there is no such setting; did you mean poll_interval?",
        ),
        (
            "git:\n  projects:\n    a/b:\n      ur: x",
            "kas.yaml:4 git.projects.a/b.ur there is no such setting; did you mean url?",
        ),
        (
            "git:\n  credential: {token_fle: x, token_file: y, kind: access_token}",
            "kas.yaml:2 git.credential.token_fle there is no such setting; did you mean token_file?",
        ),
        (
            "logging: {colour: red}",
            "kas.yaml:1 logging.colour there is no such setting; there are level, format",
        ),
        ("git:\n  timeout: 20", "kas.yaml:2 git.timeout expected a duration longer than nothing, with its unit"),
        ("limits: {file_size: 5 MB}", "kas.yaml:1 limits.file_size expected a size such as 5MiB"),
        ("limits: {files: many}", "kas.yaml:1 limits.files expected a valid integer"),
        ("limits: {files: 0}", "kas.yaml:1 limits.files expected greater than or equal to 1"),
        ("limits: {files: yes}", "kas.yaml:1 limits.files expected a valid integer"),
        ("api: {address: 8153}", "kas.yaml:1 api.address expected an address with a port"),
        ("api: {address: '::1:8153'}", "kas.yaml:1 api.address expected an address with a port"),
        ("api: {external_url: kas}", "kas.yaml:1 api.external_url expected a URL such as https://kas.example.com"),
        ("logging: {level: loud}", "kas.yaml:1 logging.level expected 'debug', 'info', 'warn' or 'error'"),
        ("git: 5", "kas.yaml:1 git expected settings with a name each, not a single value"),
        ("api:\n  key_file: k", "kas.yaml:1 api certificate_file and key_file go together"),
        (
            "git:\n  credential: {kind: basic, token_file: t}",
            "kas.yaml:2 git.credential a credential of kind basic needs a username",
        ),
        ("git:\n  credential: {kind: basic}", "kas.yaml:2 git.credential.token_file is needed here"),
        ("git: {url_template: 'https://x/y.git'}", "kas.yaml:1 git.url_template expected {project} once in the path"),
        (
            "git: {url_template: 'http://x/{project}'}",
            "kas.yaml:1 git.url_template expected a URL that begins with https://",
        ),
        (
            "git: {projects: {a/b: {url: 'file:///x'}}}",
            "kas.yaml:1 git.projects a/b.url: expected a URL that begins with https://",
        ),
        (
            "git: {projects: {a/b: {id: 4}, c/d: {id: 4}}}",
            "kas.yaml:1 git.projects c/d.id: project a/b has the same id",
        ),
        ("git:\n  timeout: 5s\n  timeout: 6s", "kas.yaml:3 git.timeout is set twice; keep one of them"),
        ("git: [", "kas.yaml:1  is not valid YAML:"),
        ("a: \x01", "kas.yaml  is not valid YAML"),
        ("git: {timeout: 2020-99-99}", "kas.yaml  is not valid YAML: it holds an impossible date"),
        ("- git", "kas.yaml:1  expected settings such as"),
        ("redis: redis.example.com", "kas.yaml:1 redis expected a URL that begins with redis:// or rediss://"),
        ("redis: redis://redis", "kas.yaml:1  redis: joins several kas on one PostgreSQL, and database is none"),
        (
            "database: postgresql://db/kas\nredis: redis://redis\nredis_ca_file: ca.pem",
            "kas.yaml:1  redis_ca_file: is for TLS, and redis does not begin with rediss://",
        ),
        (
            "database: postgresql://db/kas\nredis: redis://kas@redis",
            "kas.yaml:1  redis: others may reach it without a password",
        ),
    ],
)
def test_a_mistake_is_explained_where_it_stands(text: str, expected: str, tmp_path: Path) -> None:
    (problem,) = problems(text, tmp_path)
    assert problem.startswith(expected)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    found = problems("gti: {}\nlimits: {files: many}\n", tmp_path, {"KAS_API__ADDRESS": "x", "KAS_GIT__FOO": "1"})
    assert {problem.split()[0] for problem in found} == {"kas.yaml:1", "kas.yaml:2", "KAS_API__ADDRESS", "KAS_GIT__FOO"}


def test_an_error_never_shows_what_was_set(tmp_path: Path) -> None:
    text = (
        "git: {credential: {kind: hunter2, token: hunter2, token_file: [hunter2]},"
        " url_template: 'https://u:hunter2@x/{project}'}\n"
        "api: {address: hunter2, external_url: 'https://u:hunter2@x'}\nlimits: {files: hunter2, file_size: hunter2}\n"
    )
    assert not any("hunter2" in problem for problem in problems(text, tmp_path))
    assert "hunter2" not in repr(load_settings(None, {"KAS_DATABASE": "postgresql://u:hunter2@x/y"}))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml: cannot be read: No such file"):
        load_settings(tmp_path / "none.yaml", {})


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("20s", 20.0), ("1m30s", 90.0), ("2h", 7200.0), ("7d", 604800.0)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(("seconds", "text"), [(0.5, "500ms"), (20.0, "20s"), (90.0, "90s"), (604800.0, "7d")])
def test_durations_are_written_as_they_are_read(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(("size", "text"), [(1, "1"), (1025, "1025"), (65536, "64KiB"), (5 * 1024**2, "5MiB")])
def test_sizes_are_written_as_they_are_read(size: int, text: str) -> None:
    assert format_size(size) == text
    assert parse_size(text) == size


def test_only_what_may_be_left_out_altogether_may_take_no_time(tmp_path: Path) -> None:
    file = tmp_path / "kas.yaml"
    file.write_text("agent_listener: {max_connection_age: 0s}\n")
    assert load_settings(file, {}).agent_listener.max_connection_age == 0.0
    (problem,) = problems("git: {poll_interval: 0s}\n", tmp_path)
    assert "longer than nothing" in problem


def test_settings_do_not_change_while_kas_runs() -> None:
    settings = load_settings(None, {})
    with pytest.raises(ValidationError, match="frozen"):
        settings.git.timeout = 1.0


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text() == render(), "run: python -m kas.settings.document > docs/kas-settings.md"


def test_groups_and_ssh_keys_reach_the_git_room(tmp_path: Path) -> None:
    file = tmp_path / "kas.yaml"
    file.write_text(
        "git:\n"
        "  allowed_schemes: [https, ssh]\n"
        "  url_template: ssh://git@git.example.com/{project}.git\n"
        "  credential: {kind: ssh_key, token_file: key, known_hosts_file: known_hosts}\n"
        "  groups:\n"
        "    group/sub: {credential: {kind: access_token, token_file: token}}\n"
    )
    settings = git_settings(load_settings(file, {}))
    assert settings.schemes == ("https", "ssh")
    assert settings.credential is not None
    assert settings.credential.known_hosts_file is not None
    assert settings.credential.known_hosts_file.name == "known_hosts"
    assert settings.groups["group/sub"].kind == "access_token"


@pytest.mark.parametrize(
    "credential", ["{kind: ssh_key, token_file: key}", "{kind: access_token, token_file: t, known_hosts_file: k}"]
)
def test_known_hosts_go_with_ssh_keys_alone(tmp_path: Path, credential: str) -> None:
    (problem,) = problems(f"git:\n  credential: {credential}\n", tmp_path)
    assert "needs a known_hosts_file" in problem
