"""Login throttle: who fails to log in has to wait longer and longer, and others do not.

Failures count by the name together with the address, by the address, and by the name alone. A browser that has logged
in before carries a signed cookie: it counts by itself, so that neither a stranger behind the same address nor many
guessing the same name keep it out. An address from which that name has logged in before is spared the name's count.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
import time
import unicodedata
from dataclasses import dataclass

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import F, Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from config.models import LoginAttempts
from config.moments import MAX_DIFFERENCE_SECONDS

log = logging.getLogger(__name__)

Kind = LoginAttempts.Kind
LIMITS = {Kind.NAME_AND_ADDRESS: 5, Kind.ADDRESS: 20, Kind.NAME: 30, Kind.BROWSER: 5}  # failures up to a lockout
FIRST_LOCK_SECONDS, MAX_LOCK_SECONDS = 15 * 60, 24 * 3600  # each of a row is twice as long as the one before
FORGET_SECONDS = 24 * 3600  # without a failure, after a lockout
KNOWN_SECONDS = 30 * 24 * 3600  # for which a browser or an address is known after a login
COOKIE, SALT = "login_device", "config.login_device"
MAX_NAME_LENGTH = 150
IPV6_SUBSCRIBER_BITS = 64  # the smallest network that one subscriber has


@dataclass
class Attempt:
    """One attempt to log in; `browser` is the id of a known one, else empty."""

    name: str
    address: str
    browser: str = ""
    wait_after: int = 0  # seconds until the next one may be made, should this one fail

    @classmethod
    def of(cls, request: HttpRequest) -> Attempt:
        name = login_name(request)
        return cls(name, client_address(request), known_browser(request, name))

    def begin(self) -> int:
        """Count the attempt before it is made; returns the seconds to wait where it may not be made, else 0."""
        now = int(time.time())
        with transaction.atomic():
            rows = self.counted_rows(now)
            wait = max(row.locked_until - now for row in rows)
            if wait <= 0:
                for row in rows:
                    count(row, now)
                self.wait_after = max(row.locked_until - now for row in rows)
        if wait <= 0:
            return 0
        log.warning("login of %r from %s refused for %d min", self.name, self.address, minutes(wait))
        return wait

    def counted_rows(self, now: int) -> list[LoginAttempts]:
        """The rows that count this attempt, locked, made where missing, and empty where expired."""
        keys = [(Kind.NAME_AND_ADDRESS, self.name, self.address), (Kind.ADDRESS, "", self.address)]
        keys = [(Kind.BROWSER, self.name, self.browser)] if self.browser else [*keys, (Kind.NAME, self.name, "")]
        new = [LoginAttempts(kind=kind, name=name, address=address) for kind, name, address in keys]
        LoginAttempts.objects.bulk_create(new, ignore_conflicts=True)
        chosen = Q(pk=None)
        for kind, name, address in keys:
            chosen |= Q(kind=kind, name=name, address=address)
        rows = list(LoginAttempts.objects.select_for_update().filter(chosen).order_by("pk"))
        for row in rows:
            if row.expires_at <= now:
                row.failures, row.locked_until, row.logged_in_at, row.expires_at = 0, 0, None, now
            elif row.locked_until > now + lock_seconds(row) + MAX_DIFFERENCE_SECONDS:
                row.locked_until = 0  # the clock was set back since
        known = any(row.logged_in_at for row in rows)
        return [row for row in rows if not (known and row.kind == Kind.NAME)]

    def failed(self) -> None:
        then = f"; the next is let in after {minutes(self.wait_after)} min" if self.wait_after > 0 else ""
        log.warning("login of %r from %s failed%s", self.name, self.address, then)

    def succeeded(self, response: HttpResponse) -> None:
        """Take back what `begin` has counted; know the address and, by a cookie, the browser."""
        now = int(time.time())
        if self.browser:
            LoginAttempts.objects.filter(kind=Kind.BROWSER, name=self.name, address=self.browser).delete()
        else:
            counted = Q(kind=Kind.ADDRESS, address=self.address) | Q(kind=Kind.NAME, name=self.name)
            LoginAttempts.objects.filter(counted, failures__gt=0).update(failures=F("failures") - 1, locked_until=0)
        values = {"failures": 0, "locked_until": 0, "logged_in_at": now, "expires_at": now + KNOWN_SECONDS}
        LoginAttempts.objects.update_or_create(
            kind=Kind.NAME_AND_ADDRESS, name=self.name, address=self.address, defaults=values
        )
        response.set_cookie(
            COOKIE,
            signing.dumps([self.name, secrets.token_hex(16)], salt=SALT),
            max_age=KNOWN_SECONDS,
            path=reverse("admin:index"),
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Strict",
        )


def count(row: LoginAttempts, now: int) -> None:
    """Count a failure; every so many lock, each time twice as long."""
    row.failures += 1
    if row.failures % LIMITS[Kind(row.kind)] == 0:
        row.locked_until = now + lock_seconds(row)
    row.expires_at = max(row.expires_at, max(row.locked_until, now) + FORGET_SECONDS)
    row.save()


def lock_seconds(row: LoginAttempts) -> int:
    """How long the row's latest lockout lasts."""
    doublings = min(max(row.failures // LIMITS[Kind(row.kind)] - 1, 0), 20)
    seconds: int = FIRST_LOCK_SECONDS * 2**doublings
    return min(seconds, MAX_LOCK_SECONDS)


def minutes(seconds: int) -> int:
    return -(-seconds // 60)


def delete_old() -> int:
    """Delete the rows that count for nothing any more; returns how many."""
    return LoginAttempts.objects.filter(expires_at__lte=int(time.time())).delete()[0]


# --- Who it is that logs in


def login_name(request: HttpRequest) -> str:
    """The name as Django normalizes it, whatever its case, and no longer than any that exists."""
    name = unicodedata.normalize("NFKC", request.POST.get("username", "").strip()).casefold()
    return name.replace("\0", "?")[:MAX_NAME_LENGTH]


def client_address(request: HttpRequest) -> str:
    """The address that the browser's request came from: the last one that the proxy names, where one is trusted."""
    address = request.META.get("REMOTE_ADDR", "")
    if settings.TRUST_PROXY:
        address = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or address
    return subscriber(address)


def subscriber(address: str) -> str:
    """The address without a port, of IPv6 the network of one subscriber; "unknown" for what is no address."""
    if address.startswith("["):
        address = address[1:].partition("]")[0]
    elif address.count(":") == 1:
        address = address.partition(":")[0]
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(found), IPV6_SUBSCRIBER_BITS), strict=False))
        found = found.ipv4_mapped
    return str(found)


def known_browser(request: HttpRequest, name: str) -> str:
    """The id that this browser was given when this name logged in on it; "" where it has none."""
    try:
        known, browser = signing.loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=KNOWN_SECONDS)
    except (signing.BadSignature, TypeError, ValueError):
        return ""
    return str(browser) if known == name else ""
