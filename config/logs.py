"""Logs without secrets."""

import logging
import re

# Bot tokens (in addresses too), TMDb's keys and read tokens, sessions and request tokens (40 hex digits).
SECRET = re.compile(
    r"\b\d{5,}:[A-Za-z0-9_-]{30,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]+)*"
    r"|(?<=api_key=)[^&\s\"']+|(?<=session_id=)[^&\s\"']+|(?<=request_token=)[^&\s\"']+"
    r"|\b[0-9a-f]{40}\b|\b[0-9a-f]{32}\b"
)


def masked(text):
    """The text with everything that looks like a token, a key or a session taken out."""
    return SECRET.sub("***", text)


class MaskedFormatter(logging.Formatter):
    """The whole line masked at the last moment, its traceback included, since exceptions carry addresses."""

    def format(self, record):
        return masked(super().format(record))
