"""Secrets that do not show where the variables around an error are printed."""

import hmac
from typing import Any


class Secret(str):
    """A text to be used and never shown: its repr is stars, so that no report of the variables of frames holds it.

    What `format` makes of one is a Secret, too. Slices, joins and f-strings make plain text, to be wrapped again where
    it is stored.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def format(self, *args: Any, **kwargs: Any) -> "Secret":
        return Secret(super().format(*args, **kwargs))


class RedisCredentials:
    """User and password for Redis, as redis-py's `credential_provider`: so no address holds them."""

    def __init__(self, username: str, password: str) -> None:
        self.username, self.password = username, Secret(password)

    def get_credentials(self) -> tuple[str, str] | tuple[str]:
        return (self.username, self.password) if self.username else (self.password,)


def check_token(given: str, secret: str, scheme: str = "") -> bool:
    """Whether a request's header holds this secret, in constant time; never where none is set."""
    return bool(secret) and hmac.compare_digest(given.encode(), f"{scheme}{secret}".encode())
