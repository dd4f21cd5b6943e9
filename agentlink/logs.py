"""How both programs log: one JSON line an event in production, readable lines on a terminal.

The keys are those of GitLab's agent (``level``, ``time``, ``msg``, ``mod_name``), in its order, so that existing
searches and dashboards keep working. What the libraries say through :mod:`logging` goes the same way. Two promises hold
for every line, whoever wrote it: nothing in a value can act on a terminal or break a line (control characters are
written out), and nothing that looks like a credential is shown. The second is a net below the first rule, which is to
log no secret.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TextIO, cast

import orjson
import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS = {"debug": 10, "info": 20, "warn": 30, "error": 40}
"""The words of config.yaml and of GitLab's agent, with the numbers of :mod:`logging`."""

HIDDEN = "[redacted]"

_VALUE_CHARACTERS = 16_384
"""Longer values are cut: one enormous error text must not drown a log collector."""

_DEPTH = 6

_PLAIN = frozenset({bool, int, float})
"""What is written as it is."""

_ACTIVE_CHARACTERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""Control characters, what turns the writing direction, line separators, and halves of characters."""

_SECRETS = re.compile(
    r"\b(?:glagent|kasapi)-[\w-]{6,}"
    r"|\b(?:glpat|gldt|glrt|glcbt|glptt|glft|glimt|glsoat|gloas|glffct)-[\w.-]{10,}"
    r"|(?P<header>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}"
    r"|(?P<key>\b(?:authorization|private-token|x-gitlab-token)\b['\"]?\s*[:=]\s*['\"]?)(?!bearer\b|basic\b)[^\s'\",}]+"
    r"|(?P<scheme>\b[a-z][a-z0-9+.-]{0,30}://)[^\s/@'\"<>?#]+@",
    re.IGNORECASE,
)

_SECRET_MARKS = (
    *("://", "authorization", "basic", "bearer", "private-token", "x-gitlab-token", "glagent-", "kasapi-"),
    *("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glimt-", "glsoat-", "gloas-", "glffct-"),
)
"""One of these stands, whatever its case, in everything that ``_SECRETS`` finds in ASCII text."""

_SECRET_KEYS = frozenset(
    {"authorization", "credential", "credentials", "password", "private_token", "secret", "token", "x-gitlab-token"}
)


class LogFormat(StrEnum):
    """How lines look. ``AUTO`` is text on a terminal and JSON anywhere else."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


def redact(text: str) -> str:
    """Return ``text`` without what looks like a token, an Authorization value or the credentials in a URL."""
    return _SECRETS.sub(_hide, text)


def inert(text: str) -> str:
    r"""Return ``text`` with control characters written out (``\x1b``), so that showing it does nothing."""
    return _ACTIVE_CHARACTERS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _hide(found: re.Match[str]) -> str:
    kept = found["header"] or found["key"] or found["scheme"] or ""
    return f"{kept}{HIDDEN}@" if found["scheme"] else f"{kept}{HIDDEN}"


@dataclass(slots=True)
class _State:
    level: int = LEVELS["info"]


_state = _State()


class Logger(structlog.BoundLoggerBase):
    """What :func:`get_logger` gives. Values are keyword arguments: ``log.info("Synced", project_id=7)``."""

    def debug(self, msg: str, **values: object) -> None:
        """Log what only someone looking for a fault wants to see."""
        if _state.level <= LEVELS["debug"]:
            self._proxy_to_logger("debug", msg, **values)

    def info(self, msg: str, **values: object) -> None:
        """Log a fact of normal operation."""
        if _state.level <= LEVELS["info"]:
            self._proxy_to_logger("info", msg, **values)

    def warning(self, msg: str, **values: object) -> None:
        """Log what someone should look at some time."""
        if _state.level <= LEVELS["warn"]:
            self._proxy_to_logger("warn", msg, **values)

    def error(self, msg: str, **values: object) -> None:
        """Log a failure. Pass ``error=exception`` for its text."""
        self._proxy_to_logger("error", msg, **values)

    def exception(self, msg: str, **values: object) -> None:
        """Log a failure with the traceback of the exception being handled: for defects, not for expected errors."""
        values.setdefault("exc_info", True)
        self._proxy_to_logger("error", msg, **values)


def get_logger(mod_name: str, **values: object) -> Logger:
    """Return the logger of a module; ``mod_name`` is the room's name, such as ``gitops``. Cheap, usable at import."""
    return cast("Logger", structlog.get_logger(mod_name=mod_name, **values))


def configure(*, level: str = "info", log_format: LogFormat = LogFormat.AUTO, stream: TextIO | None = None) -> None:
    """Set up logging for the process; the last call wins.

    Args:
        level: one of :data:`LEVELS`.
        log_format: how lines look.
        stream: where to, standard error unless said otherwise.

    Raises:
        ValueError: the level is not one of the four.
    """
    out = stream if stream is not None else sys.stderr
    text = log_format is LogFormat.TEXT or (log_format is LogFormat.AUTO and out.isatty())
    finish: list[Processor] = [structlog.processors.format_exc_info, _safe_values, *(_text(out) if text else [_json])]
    structlog.configure(
        processors=[_describe, *finish],
        wrapper_class=Logger,
        logger_factory=lambda *_: _Output(out),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _LibraryHandler)]:
        root.removeHandler(handler)
    root.addHandler(_LibraryHandler(_Output(out), finish))
    set_level(level)


def set_level(level: str) -> None:
    """Change the level of the running process. ``warning`` is understood as ``warn``.

    Raises:
        ValueError: it is not one of :data:`LEVELS`.
    """
    number = LEVELS.get("warn" if level == "warning" else level)
    if number is None:
        raise ValueError(f"log level {level!r} is not one of {', '.join(LEVELS)}")
    _state.level = number
    # Libraries never log at debug: what they would write there includes the frames and headers that carry tokens.
    logging.getLogger().setLevel(logging.INFO if level == "debug" else max(_state.level, logging.WARNING))


class _Output:
    """Writes whole lines. A reader that went away must not take the program with it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    debug = info = warn = error = msg


class _LibraryHandler(logging.Handler):
    """Turns a record of :mod:`logging` into the same line as our own."""

    def __init__(self, output: _Output, processors: list[Processor]) -> None:
        super().__init__()
        self._output = output
        self._processors = processors

    def emit(self, record: logging.LogRecord) -> None:
        level = "warn" if record.levelname == "WARNING" else record.levelname.lower()
        event: object = _ordered(level, {"event": _message_of(record), "mod_name": record.name})
        if record.exc_info:
            cast("dict[str, object]", event)["exc_info"] = record.exc_info
        for processor in self._processors:
            event = processor(self._output, level, cast("EventDict", event))
        self._output.msg(str(event))


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)


def _ordered(level: str, event: EventDict) -> EventDict:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"level": level, "time": now, "msg": event.pop("event", ""), "mod_name": event.pop("mod_name", ""), **event}


def _describe(_: WrappedLogger, method_name: str, event: EventDict) -> EventDict:
    return _ordered(method_name, event)


def _safe_values(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if _is_harmless(event):
        return event
    traceback = event.pop("exception", None)
    safe = {inert(redact(key)): _safe(value, key=key, depth=0) for key, value in event.items()}
    if traceback:
        # The one value whose lines matter; each of them is made inert.
        safe["exception"] = "\n".join(inert(line) for line in redact(str(traceback)).splitlines())
    return safe


def _is_harmless(event: EventDict) -> bool:
    """Tell whether a line can be written as it is, as nearly every one can: looking at it whole costs a fifth.

    Thousands of objects are a line each. What this is not sure of is looked at value by value.
    """
    texts: list[str] = []
    for key, value in event.items():
        if type(value) is str:
            texts.append(value)
        elif value is not None and type(value) not in _PLAIN:
            return False
        texts.append(key)
        if key.lower() in _SECRET_KEYS or key == "exception":
            return False
    line = " ".join(texts)
    if len(line) > _VALUE_CHARACTERS or not (line.isascii() and line.isprintable()):
        return False
    line = line.lower()
    return not any(mark in line for mark in _SECRET_MARKS)


def _safe(value: object, *, key: str, depth: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if key.lower() in _SECRET_KEYS:
        return HIDDEN
    if depth < _DEPTH and isinstance(value, Mapping):
        return {inert(redact(str(k))): _safe(v, key=str(k), depth=depth + 1) for k, v in value.items()}
    if depth < _DEPTH and isinstance(value, list | tuple | set | frozenset):
        return [_safe(item, key=key, depth=depth + 1) for item in value]
    text = value if isinstance(value, str) else _text_of(value)
    if len(text) > _VALUE_CHARACTERS:
        text = f"{text[:_VALUE_CHARACTERS]}… ({len(text)} characters)"
    return inert(redact(text))


def _text_of(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    # An exception without a text, such as TimeoutError, would otherwise be an empty value.
    return str(value) or type(value).__name__


def _json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _text(stream: TextIO) -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=stream.isatty(),
        event_key="msg",
        timestamp_key="time",
        pad_event_to=0,
        sort_keys=False,
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [renderer]
