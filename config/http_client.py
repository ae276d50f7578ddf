"""HTTP to other services: pooled, through the proxies the environment names, and bounded in time and size."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import certifi
import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from requests.utils import should_bypass_proxies
from urllib3 import HTTPConnectionPool, HTTPResponse, PoolManager
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from config.jobs.time_limit import seconds_left

MAX_IDLE_SECONDS = 60  # NAT gateways forget idle connections without a word
WATCH_INTERVAL_SECONDS = 0.25
SOCKET_OPTIONS = [
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), seconds)
        for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]


class TooMuch(Exception):
    """A response was longer, or took longer, than anything we ask for."""


class TooLong(TooMuch):
    """A response had more bytes than anything we ask for: asking again will not help."""


# --- Deadlines


@dataclass(eq=False, slots=True)
class _Exchange:
    """A request in progress whose connection is shut down at `ends_at` (of time.monotonic())."""

    ends_at: float
    sock: socket.socket | None = None


_exchange: ContextVar[_Exchange | None] = ContextVar("exchange", default=None)
_exchanges: set[_Exchange] = set()
_lock = threading.Lock()
_busy = threading.Event()
_watcher: threading.Thread | None = None


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Bound the whole of a request in this block, headers and body.

    The timeouts of requests and urllib3 bound one read of a socket: a server that sends a byte now and then could hold
    a thread for ever. Past the deadline the connection is shut down, which ends in their own errors. Raises TooMuch
    where a job has no time left.
    """
    if (left := seconds_left()) <= 0:
        raise TooMuch("the job's time is over")
    exchange = _Exchange(time.monotonic() + min(seconds, left))
    token = _exchange.set(exchange)
    with _lock:
        _exchanges.add(exchange)
    _start_watcher()
    try:
        yield
    finally:
        with _lock:
            _exchanges.discard(exchange)
        _exchange.reset(token)


def _start_watcher() -> None:
    global _watcher
    if _watcher is None or not _watcher.is_alive():  # it does not survive a fork
        _watcher = threading.Thread(target=_watch, daemon=True, name="deadlines")
        _watcher.start()
    if not _busy.is_set():
        _busy.set()


def _watch() -> None:
    while True:
        _busy.wait()
        _busy.clear()
        while _exchanges:
            time.sleep(WATCH_INTERVAL_SECONDS)
            now = time.monotonic()
            with _lock:
                for exchange in _exchanges:
                    if exchange.ends_at < now and exchange.sock is not None:
                        # the plain socket's, since TLS would first say goodbye; already closed: no harm
                        with suppress(OSError):
                            socket.socket.shutdown(exchange.sock, socket.SHUT_RDWR)
                        exchange.sock = None


class Connection(HTTPConnection):
    """A connection that ends with the deadline of `within` and is not used again after a minute of idleness."""

    used_at = 0.0  # of time.monotonic()

    def connect(self) -> None:
        super().connect()
        self.used_at = time.monotonic()

    @property
    def is_connected(self) -> bool:
        return time.monotonic() - self.used_at < MAX_IDLE_SECONDS and super().is_connected

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 itself
        if exchange := _exchange.get():
            # TLS through a TLS proxy is a wrapper around the socket
            sock = getattr(self.sock, "socket", self.sock)
            exchange.sock = sock if isinstance(sock, socket.socket) else None
        response = super().getresponse()
        self.used_at = time.monotonic()
        return response


@cache
def bounded(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    """The same kind of connections, be it over TLS or through a proxy, with the bounds of Connection."""
    connection = type("BoundedConnection", (Connection, pool.ConnectionCls), {})
    return type("BoundedPool", (pool,), {"ConnectionCls": connection})


def _bound(manager: PoolManager) -> PoolManager:
    manager.pool_classes_by_scheme = {scheme: bounded(pool) for scheme, pool in manager.pool_classes_by_scheme.items()}
    return manager


# --- Clients


class Adapter(HTTPAdapter):
    """requests on the connections above, through proxies, too."""

    options: dict[str, Any] = {
        "socket_options": SOCKET_OPTIONS,
        "cert_reqs": "CERT_REQUIRED",
        "ca_certs": certifi.where(),
    }

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **(kwargs | self.options))
        _bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        known = self.proxy_manager.get(proxy)
        return known or _bound(super().proxy_manager_for(proxy, **self.options, **kwargs))


def proxy_for(url: str) -> str:
    """The address of the proxy on the way to `url`, as the environment has it; "" for none, as to this machine."""
    parts = urlsplit(url)
    if is_loopback(parts.hostname or "") or should_bypass_proxies(url, settings.PROXIES.get("no")):
        return ""
    return settings.PROXIES.get(parts.scheme) or settings.PROXIES.get("all") or ""


def is_loopback(host: str) -> bool:
    """Whether the host of an address is this machine itself."""
    try:
        address = ip_address(host)
    except ValueError:
        return f".{host}".endswith(".localhost")
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def pool_manager(url: str, connections: int) -> PoolManager:
    """urllib3's manager for the service at `url`, of so many connections, where requests itself would cost too much."""
    adapter = Adapter(pool_connections=2, pool_maxsize=connections, pool_block=True)
    proxy = proxy_for(url)
    manager: PoolManager = adapter.proxy_manager_for(proxy) if proxy else adapter.poolmanager
    return manager


def http_session(url: str, connections: int) -> requests.Session:
    """A pooled session for the service at `url`; looks for a proxy once, not at every call, and reads no netrc."""
    session = requests.Session()
    session.trust_env = False
    if proxy := proxy_for(url):
        session.proxies = {"all": proxy}
    adapter = Adapter(pool_connections=2, pool_maxsize=connections, pool_block=True)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def read_bounded(response: requests.Response, max_bytes: int, seconds: float) -> bytes:
    """The body of a streamed response of requests.

    Raises TooMuch past `max_bytes` or after `seconds`, requests.ConnectionError where the connection broke off; the
    connection is given up then.
    """
    try:
        return read_raw(response.raw, max_bytes, seconds)
    except HTTPError as error:
        failure = requests.ConnectionError(error)
    raise failure


def read_raw(raw: HTTPResponse, max_bytes: int, seconds: float) -> bytes:
    """The same for a response of urllib3, whose errors go through."""
    ends_at = time.monotonic() + seconds
    if exchange := _exchange.get():
        ends_at = min(ends_at, exchange.ends_at)
    chunks, length = [], 0
    try:
        announced = raw.headers.get("Content-Length") or ""
        if re.fullmatch("[0-9]+", announced) and (len(announced) > 15 or int(announced) > max_bytes):
            raise TooLong(f"more than {max_bytes} bytes")
        # read1 returns what has come; read, and so iter_content, would wait for a whole chunk, past any deadline,
        # on a server that sends a byte now and then
        while chunk := raw.read1(65536, decode_content=True):
            chunks.append(chunk)
            length += len(chunk)
            if length > max_bytes:
                raise TooLong(f"more than {max_bytes} bytes")
            if time.monotonic() > ends_at:
                raise TooMuch(f"more than {seconds} s")
        if time.monotonic() > ends_at and not announced:
            raise TooMuch(f"more than {seconds} s")  # the deadline's end of the connection looks like the body's
    except (HTTPError, TooMuch, ValueError):
        raw.close()
        raise
    return b"".join(chunks)
