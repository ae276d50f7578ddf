"""Login throttle: after a few failed logins the same address, or the same name from it, has to wait."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.cache import cache
from django.dispatch import receiver
from django.http import HttpRequest

MAX_FAILURES_PER_NAME, MAX_FAILURES_PER_ADDRESS = 5, 20
WINDOW_SECONDS = 15 * 60


def is_locked_out(request: HttpRequest) -> bool:
    """Whether this login is to be refused without a look at the password."""
    by_name, by_address = _keys(request, request.POST.get("username", ""))
    failed = cache.get_many([by_name, by_address])
    return bool(
        failed.get(by_name, 0) >= MAX_FAILURES_PER_NAME or failed.get(by_address, 0) >= MAX_FAILURES_PER_ADDRESS
    )


def _keys(request: HttpRequest, username: str) -> tuple[str, str]:
    """The cache keys of the name and the address; the name counts per address, so that none else can lock it out."""
    address = request.META.get("REMOTE_ADDR", "")
    digest = hashlib.sha256(f"{username.casefold()}\0{address}".encode()).hexdigest()
    return f"login:name:{digest}", f"login:address:{hashlib.sha256(address.encode()).hexdigest()}"


@receiver(user_login_failed)
def count_failure(credentials: dict[str, str], request: HttpRequest | None = None, **signal: Any) -> None:
    if request is not None:
        for key in _keys(request, credentials.get("username") or ""):
            cache.add(key, 0, WINDOW_SECONDS)
            cache.incr(key)


@receiver(user_logged_in)
def reset_failures(request: HttpRequest | None, user: Any, **signal: Any) -> None:
    if request is not None:
        cache.delete(_keys(request, user.get_username())[0])
