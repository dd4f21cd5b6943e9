from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from agentlink import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "glagent-" + "a1B2_c3-" * 7


@pytest.fixture(autouse=True)
def _configuration_of_the_process() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    logs.configure(level="debug", log_format=logs.LogFormat.JSON, stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_the_keys_of_gitlabs_agent(stream: io.StringIO) -> None:
    logs.get_logger("gitops").info("Synced", project_id=7, sync_result="deployment.apps/nginx configured")
    (line,) = lines(stream)
    assert list(line) == ["level", "time", "msg", "mod_name", "project_id", "sync_result"]
    assert (line["level"], line["msg"], line["mod_name"], line["project_id"]) == ("info", "Synced", "gitops", 7)
    assert str(line["time"]).endswith("Z")


def test_the_level_changes_for_loggers_that_exist_already(stream: io.StringIO) -> None:
    log = logs.get_logger("gitops")
    log.debug("one")
    logs.set_level("error")
    log.warning("two")
    log.error("three")
    logs.set_level("warning")
    log.warning("four")
    log.info("five")
    assert [(line["level"], line["msg"]) for line in lines(stream)] == [
        ("debug", "one"),
        ("error", "three"),
        ("warn", "four"),
    ]


def test_a_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="'loud' is not one of debug, info, warn, error"):
        logs.set_level("loud")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"token {TOKEN} is wrong", "token [redacted] is wrong"),
        ("kasapi-0123456789abcdef", "[redacted]"),
        ("glpat-0123456789abcdefghij", "[redacted]"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer [redacted]"),
        ("{'authorization': 'opaque-thing'}", "{'authorization': '[redacted]'}"),
        ("https://user:p%40ss@git.example.com/a.git", "https://[redacted]@git.example.com/a.git"),
        ("postgresql+asyncpg://kas:pw@db/kas", "postgresql+asyncpg://[redacted]@db/kas"),
        ("https://git.example.com/a.git?x=a@b", "https://git.example.com/a.git?x=a@b"),
        ("the basic plan and a bearer of news", "the basic plan and a bearer of news"),
        ("group/glagent-x", "group/glagent-x"),
    ],
)
def test_what_looks_like_a_credential_is_not_shown(text: str, shown: str, stream: io.StringIO) -> None:
    assert logs.redact(text) == shown
    logs.get_logger("x").info(text, value={"deep": [text]}, error=ValueError(text))
    (line,) = lines(stream)
    assert line["msg"] == shown
    assert line["value"] == {"deep": [shown]}
    assert line["error"] == shown


@pytest.mark.parametrize(
    "secret",
    [
        *(f"{kind}-0123456789abcdefghij" for kind in ("glagent", "kasapi", "glpat", "gldt", "glrt", "glcbt", "glptt")),
        *(f"{kind}-0123456789abcdefghij" for kind in ("glft", "glimt", "glsoat", "gloas", "glffct", "GLPAT")),
        *("Basic dXNlcjpwYXNzd29yZA==", "bearer abcdefghijkl", "private-token=abcdef", "X-GitLab-Token: abcdef"),
    ],
)
def test_a_credential_that_stands_alone_in_a_line_is_not_shown(secret: str, stream: io.StringIO) -> None:
    logs.get_logger("x").info("Said", value=secret)
    assert lines(stream)[0]["value"] == logs.redact(secret) != secret


_PARTS = st.sampled_from(
    [
        *("glagent-", "KASAPI-", "glpat-", "Bearer ", "basic ", "authorization", "Private-Token", ":", "=", "https://"),
        *("user:password@", "a1B2c3d4e5f6", "\x1b[1m", "\u202e", "\u017f", "\n", " ", "deployment.apps/nginx", "it's"),
    ]
)


@settings(deadline=None)
@given(values=st.lists(st.lists(st.one_of(_PARTS, st.text(max_size=5)), max_size=5).map("".join), max_size=4))
def test_every_value_is_written_as_redacted_and_inert_whatever_stands_beside_it(values: list[str]) -> None:
    stream = io.StringIO()
    logs.configure(log_format=logs.LogFormat.JSON, stream=stream)
    logs.get_logger("test").info("Said", **{f"value_{number}": value for number, value in enumerate(values)})
    (line,) = lines(stream)
    for number, value in enumerate(values):
        assert line[f"value_{number}"] == logs.inert(logs.redact(value))


def test_values_under_a_secret_key_are_never_shown(stream: io.StringIO) -> None:
    logs.get_logger("x").info("m", token="plain words", nested={"Password": "plain words"}, token_id=3)
    assert "plain words" not in stream.getvalue()
    assert lines(stream)[0]["token_id"] == 3


def test_a_traceback_is_kept_and_redacted(stream: io.StringIO) -> None:
    try:
        raise RuntimeError(f"refused {TOKEN} \x1b[31m")  # noqa: TRY301 - the traceback is what the test is about
    except RuntimeError:
        logs.get_logger("x").exception("Failed")
    (line,) = lines(stream)
    assert line["level"] == "error"
    assert str(line["exception"]).startswith("Traceback (most recent call last):\n")
    assert str(line["exception"]).endswith("RuntimeError: refused [redacted] \\x1b[31m")


@pytest.mark.parametrize("log_format", [logs.LogFormat.JSON, logs.LogFormat.TEXT])
def test_control_characters_are_written_out(log_format: logs.LogFormat) -> None:
    stream = io.StringIO()
    logs.configure(log_format=log_format, stream=stream)
    hostile = "a\x1b[2Jb\r\nc\x9bd\u202ee\u2028f\udc80g\x00"
    logs.get_logger("x").info(hostile, **{"k\x1by": hostile, "other": {hostile: hostile}})
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert not set(text.rstrip("\n")) & set("\x1b\r\n\x9b\u202e\u2028\udc80\x00")


def test_bytes_and_endless_texts_are_not_copied_into_the_log(stream: io.StringIO) -> None:
    logs.get_logger("x").info("m", body=b"secret", text="x" * 1_000_000)
    (line,) = lines(stream)
    assert line["body"] == "<6 bytes>"
    assert len(str(line["text"])) < 20_000


def test_what_libraries_log_goes_the_same_way(stream: io.StringIO) -> None:
    library = logging.getLogger("websockets.server")
    library.warning("closing %s", f"{TOKEN}\x1b")
    library.debug("frames never reach the log")
    logs.set_level("info")
    library.info("chatter")
    (line,) = lines(stream)
    assert (line["level"], line["mod_name"], line["msg"]) == ("warn", "websockets.server", "closing [redacted]\\x1b")


def test_text_is_for_people(stream: io.StringIO) -> None:
    logs.configure(log_format=logs.LogFormat.TEXT, stream=stream)
    logs.get_logger("gitops").info("Synced", project_id=7)
    assert "Synced" in stream.getvalue()
    assert "project_id=7" in stream.getvalue()
    assert "{" not in stream.getvalue()


def test_a_closed_stream_does_not_stop_the_program(stream: io.StringIO) -> None:
    stream.close()
    logs.get_logger("x").info("nobody reads this")
