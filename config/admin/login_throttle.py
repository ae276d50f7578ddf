"""Guessing a password takes time: after a few failures the same address, or the same name, has to wait."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.cache import cache
from django.dispatch import receiver

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.core.handlers.wsgi import WSGIRequest
    from django.http.request import HttpRequest

FAILURES_PER_NAME, FAILURES_PER_ADDRESS = 5, 20
WITHIN = 15 * 60  # seconds


def too_many(request: WSGIRequest) -> bool:
    """Whether this login is one guess too many."""
    by_name, by_address = _keys(request, request.POST.get("username", ""))
    failed = cache.get_many([by_name, by_address])
    return failed.get(by_name, 0) >= FAILURES_PER_NAME or failed.get(by_address, 0) >= FAILURES_PER_ADDRESS


def _keys(request: HttpRequest | WSGIRequest, username: str) -> tuple[str, str]:
    """The name counts per address, so that nobody locks an operator out from elsewhere."""
    address = request.META.get("REMOTE_ADDR", "")
    digest = hashlib.sha256(f"{username.casefold()}\0{address}".encode()).hexdigest()
    return f"login:name:{digest}", f"login:address:{hashlib.sha256(address.encode()).hexdigest()}"


@receiver(user_login_failed)
def count_failure(credentials: dict[str, str], request: WSGIRequest | None = None, **signal: Any) -> None:
    if request is not None:
        for key in _keys(request, credentials.get("username") or ""):
            cache.add(key, 0, WITHIN)
            cache.incr(key)


@receiver(user_logged_in)
def forget_failures(request: HttpRequest | WSGIRequest, user: User, **signal: Any) -> None:
    if request is not None:
        cache.delete(_keys(request, user.get_username())[0])
