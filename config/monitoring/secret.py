"""Secrets that do not show, wherever the variables around an error are printed."""

from __future__ import annotations

import hmac
from typing import Any


class Secret(str):
    """A text to be used and never shown: its repr is stars, so that no report of the variables of frames holds it.

    What `format` makes of one is as secret. What slices, joins and f-strings make of it is plain text again, to be
    wrapped anew where it is kept.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def format(self, *args: Any, **kwargs: Any) -> Secret:
        return Secret(super().format(*args, **kwargs))


class RedisCredentials:
    """User and password for Redis (redis-py asks its `credential_provider` for them): no address holds them then."""

    def __init__(self, username, password) -> None:
        self.username, self.password = username, Secret(password)

    def get_credentials(self):
        return (self.username, self.password) if self.username else (self.password,)


def check_token(given: str, secret: str, scheme: str = "") -> bool:
    """Whether what a request's header says is this secret; none set: no."""
    return bool(secret) and hmac.compare_digest(given.encode(), f"{scheme}{secret}".encode())
