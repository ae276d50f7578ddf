"""Logs without secrets, for a terminal or as JSON lines; one id through an update, its jobs and their requests."""

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import wraps
from html import escape
from types import TracebackType
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote, quote_plus

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

# What the current work began with: u7 an update, r1f… a browser's request, t1f… a scheduled job; "": unknown
_correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")


@contextmanager
def correlation_id(id: str) -> Iterator[None]:
    """Have every line that is logged in this block carry the id."""
    token = _correlation_id.set(id)
    try:
        yield
    finally:
        _correlation_id.reset(token)


def with_correlation_id(func: Callable[P, R]) -> Callable[P, R]:
    """The function for another thread, where its lines carry the id of this one."""
    id = current_correlation_id()

    @wraps(func)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with correlation_id(id):
            return func(*args, **kwargs)

    return run


def current_correlation_id() -> str:
    """The id of what the current work began with; "" where none was set."""
    return _correlation_id.get()


def set_correlation_id(id: str) -> None:
    """Have every line from now on carry the id: for a worker, which does one job after another."""
    _correlation_id.set(id)


# Bot tokens (in addresses too), TMDb's read tokens, sessions and request tokens (40 hex digits), named parameters,
# what an Authorization header holds, user and password in an address.
SECRET_RE = re.compile(
    r"\b\d{5,}:[A-Za-z0-9_-]{16,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]+)*"
    r"|(?<=api_key=)[^&\s\"']+|(?<=session_id=)[^&\s\"']+|(?<=request_token=)[^&\s\"']+"
    r"|\b[0-9a-f]{40}\b"
    r"|(?<=[Bb]earer )[\w.~+/=-]{8,}"
    r"|(?<=://)[^\s/@'\"]*:[^\s/'\"]+(?=@)"
)
MIN_SECRET_LENGTH = 6  # characters; a shorter one would redact half of a log, and protects nothing
_known_secrets_re: re.Pattern[str] | None = None


def register_secrets(secrets: Iterable[str]) -> None:
    """Redact these texts from now on, however they are written: as they are, in addresses, in HTML, in JSON."""
    global _known_secrets_re
    spellings = set()
    for secret in secrets:
        if len(secret) >= MIN_SECRET_LENGTH:
            text = str(secret)
            spellings |= {text, quote(text, safe=""), quote_plus(text), escape(text)}
            spellings |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], ascii(text)[1:-1]}
    longest_first = sorted(spellings, key=len, reverse=True)
    _known_secrets_re = re.compile("|".join(map(re.escape, longest_first))) if spellings else None


def redact(text: str) -> str:
    """Replace by stars what is a known secret, or looks like a token, a session or a password."""
    if _known_secrets_re:
        text = _known_secrets_re.sub("***", text)
    return SECRET_RE.sub("***", text)


def install_redaction() -> None:
    """Redact every log record as it is made, for all handlers, and the error that ends a process or a thread."""
    if logging.getLogRecordFactory() is not make_redacted_record:
        logging.setLogRecordFactory(make_redacted_record)
    sys.excepthook = redacting_excepthook
    threading.excepthook = redacting_thread_excepthook
    if logs_json():
        logging.captureWarnings(True)


def make_redacted_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record = logging.LogRecord(*args, **kwargs)
    try:
        message = record.getMessage()
    except Exception:  # logging itself reports what is wrong with it
        return record
    if (clean := redact(message)) != message:
        record.msg, record.args = clean, None
    if record.exc_info and record.exc_info[0]:
        record.exc_text = redact("".join(traceback.format_exception(*record.exc_info))).rstrip("\n")
    return record


def redacting_excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if logs_json() and issubclass(kind, Exception):
        log.critical("the process ends by an error", exc_info=(kind, error, trace))
        return
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


def redacting_thread_excepthook(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        name = args.thread.name if args.thread else "?"
        if logs_json():
            log.critical("the thread %s ends by an error", name, exc_info=args.exc_value)
            return
        lines = traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
        sys.stderr.write(redact(f"Exception in thread {name}:\n{''.join(lines)}"))


class RedactingFormatter(logging.Formatter):
    """The whole line redacted at the last moment, its traceback included, since exceptions carry addresses."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        return f"{line} [{current_correlation_id()}]" if current_correlation_id() else line


class TerminalFormatter(RedactingFormatter):
    """For somebody who looks on: the time of day and the message; the level where something is wrong."""

    def __init__(self) -> None:
        super().__init__("{asctime} {message}", "%H:%M:%S", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:
        if record.levelno >= logging.WARNING:
            record.message = f"{record.levelname} {record.message}"
        return super().formatMessage(record)


class JSONFormatter(RedactingFormatter):
    """A JSON object a line: time, level, logger, message, process, id, exception, and `fields` of the record."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, str | float | None] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
            "process": record.process,
        }
        if current_correlation_id():
            line["id"] = current_correlation_id()
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def formatter(kind: str, everything: bool = False) -> RedactingFormatter:
    """The formatter for a LOG_FORMAT, "text" or "json"; `everything`: every line is to be traced to its logger."""
    if kind == "json":
        return JSONFormatter()
    if sys.stderr is not None and sys.stderr.isatty() and not everything:
        return TerminalFormatter()
    return RedactingFormatter("{asctime} {levelname} {name}: {message}", style="{")


def format_error(error: BaseException) -> str:
    """An error's message in one line, without secrets and its full stop; the name of its class where it has none."""
    return redact(" ".join(str(error).split())).rstrip(".") or type(error).__name__


# --- The output of commands, where programs read it


def logs_json() -> bool:
    """Whether every line of this process has to be a JSON object."""
    from django.conf import settings

    return bool(settings.LOG_FORMAT == "json")


class LoggingStream:
    """A stream that writes every text as a line of the log."""

    def __init__(self, name: str, level: int) -> None:
        self.log, self.level = logging.getLogger(name), level

    def write(self, text: str) -> None:
        if text.strip():
            self.log.log(self.level, "%s", text.strip())

    def flush(self) -> None:
        pass


def logging_streams(name: str) -> dict[str, Any]:
    """BaseCommand's options for a command that runs for long: with LOG_FORMAT=json its output goes to the log."""
    if not logs_json():
        return {}
    return {"stdout": LoggingStream(name, logging.INFO), "stderr": LoggingStream(name, logging.ERROR), "no_color": True}
