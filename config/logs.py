"""Logs without secrets, for a terminal or as JSON lines; one id through an update, its jobs and their requests."""

import json
import logging
import re
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import wraps

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


# Bot tokens (in addresses too), TMDb's read tokens, sessions and request tokens (40 hex digits), named parameters.
SECRET = re.compile(
    r"\b\d{5,}:[A-Za-z0-9_-]{16,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]+)*"
    r"|(?<=api_key=)[^&\s\"']+|(?<=session_id=)[^&\s\"']+|(?<=request_token=)[^&\s\"']+"
    r"|\b[0-9a-f]{40}\b"
)


def masked(text, *known):
    """The text with everything taken out that is one of the known secrets, or looks like a token or a session."""
    for secret in known:
        text = text.replace(secret, "***")
    return SECRET.sub("***", text)


class MaskedFormatter(logging.Formatter):
    """The whole line masked at the last moment, its traceback included, since exceptions carry addresses."""

    def __init__(self, *args, secrets=(), **kwargs):
        super().__init__(*args, **kwargs)
        self.secrets = [secret for secret in secrets if secret]

    def format(self, record):
        return masked(super().format(record), *self.secrets)

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
            "message": masked(record.getMessage(), *self.secrets),
            "process": record.process,
        }
        if cause():
            line["id"] = cause()
        if record.exc_info:
            line["exception"] = masked(self.formatException(record.exc_info), *self.secrets)
        return json.dumps(line, ensure_ascii=False)
