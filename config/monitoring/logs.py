"""Logs without secrets, for a terminal or as JSON lines; one id through an update, its jobs and their requests."""

import json
import logging
import re
import sys
import threading
import traceback
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import wraps
from html import escape
from urllib.parse import quote, quote_plus

log = logging.getLogger(__name__)

# What the work at hand began with: u7 an update, r1f… a browser's request, t1f… a job of the clock
_cause = ContextVar("cause", default="")


@contextmanager
def caused_by(cause):
    """Have every line that is logged in this block carry the id."""
    token = _cause.set(cause)
    try:
        yield
    finally:
        _cause.reset(token)


def carried(func):
    """The function for another thread, its lines under the id of this one."""
    mine = cause()

    @wraps(func)
    def run(*args, **kwargs):
        with caused_by(mine):
            return func(*args, **kwargs)

    return run


def cause():
    """The id of what the work at hand began with; empty where nobody said."""
    return _cause.get()


def set_cause(cause):
    """Have every line from now on carry the id: for a worker, which does one job after another."""
    _cause.set(cause)


# Bot tokens (in addresses too), TMDb's read tokens, sessions and request tokens (40 hex digits), named parameters,
# what a header of authorization holds, who calls at an address and their password.
SECRET = re.compile(
    r"\b\d{5,}:[A-Za-z0-9_-]{16,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]+)*"
    r"|(?<=api_key=)[^&\s\"']+|(?<=session_id=)[^&\s\"']+|(?<=request_token=)[^&\s\"']+"
    r"|\b[0-9a-f]{40}\b"
    r"|(?<=[Bb]earer )[\w.~+/=-]{8,}"
    r"|(?<=://)[^\s/@'\"]*:[^\s/'\"]+(?=@)"
)
SHORTEST = 6  # characters; what is shorter would blot out half of a log, and guards nothing
_known: re.Pattern | None = None


def know(secrets):
    """Mask these texts from now on, however they are written: as they are, in addresses, in HTML, in JSON."""
    global _known
    spellings = set()
    for secret in secrets:
        if len(secret) >= SHORTEST:
            text = str(secret)
            spellings |= {text, quote(text, safe=""), quote_plus(text), escape(text)}
            spellings |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], ascii(text)[1:-1]}
    longest_first = sorted(spellings, key=len, reverse=True)
    _known = re.compile("|".join(map(re.escape, longest_first))) if spellings else None


def masked(text):
    """The text with everything taken out that is a known secret, or looks like a token, a session or a password."""
    if _known:
        text = _known.sub("***", text)
    return SECRET.sub("***", text)


def mask_everywhere():
    """Have every record of a log masked as it is made, whoever handles it; what ends a process or a thread, too."""
    if logging.getLogRecordFactory() is not masked_record:
        logging.setLogRecordFactory(masked_record)
    sys.excepthook = masked_excepthook
    threading.excepthook = masked_thread_excepthook
    if in_json():
        logging.captureWarnings(True)


def masked_record(*args, **kwargs):
    record = logging.LogRecord(*args, **kwargs)
    try:
        message = record.getMessage()
    except Exception:  # logging itself tells what is wrong with it
        return record
    if (clean := masked(message)) != message:
        record.msg, record.args = clean, None
    if record.exc_info and record.exc_info[0]:
        record.exc_text = masked("".join(traceback.format_exception(*record.exc_info))).rstrip("\n")
    return record


def masked_excepthook(kind, error, trace):
    if in_json() and issubclass(kind, Exception):
        log.critical("the process ends by an error", exc_info=(kind, error, trace))
        return
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))


def masked_thread_excepthook(args):
    if args.exc_type is not SystemExit:
        name = args.thread.name if args.thread else "?"
        if in_json():
            log.critical("the thread %s ends by an error", name, exc_info=args[:3])
            return
        lines = traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
        sys.stderr.write(masked(f"Exception in thread {name}:\n{''.join(lines)}"))


class MaskedFormatter(logging.Formatter):
    """The whole line masked at the last moment, its traceback included, since exceptions carry addresses."""

    def format(self, record):
        return masked(super().format(record))

    def formatMessage(self, record):
        line = super().formatMessage(record)
        return f"{line} [{cause()}]" if cause() else line


class JSONFormatter(MaskedFormatter):
    """The same as a JSON object a line: time, level, logger, message, id, exception."""

    def format(self, record):
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": masked(record.getMessage()),
            "process": record.process,
        }
        if cause():
            line["id"] = cause()
        if record.exc_info:
            line["exception"] = masked(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def formatter(kind):
    """How a line of the log is written: "text" for people, "json" for programs."""
    if kind == "json":
        return JSONFormatter()
    return MaskedFormatter("{asctime} {levelname} {name}: {message}", style="{")


def in_one_line(error):
    """What an error says, without secrets and without its last stop; its kind where it says nothing."""
    return masked(" ".join(str(error).split())).rstrip(".") or type(error).__name__


# --- What a command says, where programs read it


def in_json():
    """Whether every line of this process has to be a JSON object."""
    from django.conf import settings

    return settings.LOG_FORMAT == "json"


class Spoken:
    """A stream whose every text becomes a line of the log."""

    def __init__(self, name, level):
        self.log, self.level = logging.getLogger(name), level

    def write(self, text):
        if text.strip():
            self.log.log(self.level, "%s", text.strip())

    def flush(self):
        pass


def streams(name):
    """Where a command that runs for long, whose log a program may read, says what it says (BaseCommand's options)."""
    if not in_json():
        return {}
    return {"stdout": Spoken(name, logging.INFO), "stderr": Spoken(name, logging.ERROR), "no_color": True}
