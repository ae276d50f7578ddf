"""Logs without secrets."""

import logging
import re

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
