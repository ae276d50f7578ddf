"""HTTP to other services: pooled, through the proxies the environment names, and never more than we asked for."""

import http.client
import io
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from requests.utils import should_bypass_proxies
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, PoolManager
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))


class TooMuch(Exception):
    """An answer was longer, or took longer, than anything we would ask for."""


class TooLong(TooMuch):
    """An answer had more bytes than anything we would ask for: asking again will not help."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The answers to requests in this block must have come after so many seconds, the last byte of them.

    A timeout of requests' is for one reading of a socket: a server that sends a byte now and then, be it of its
    headers, could hold a thread for ever. Past the time they end in requests' own errors.
    """
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


class TimedReader(socket.SocketIO):
    """Reads from a socket until the deadline of the request at hand."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock, "r")
        sock._io_refs += 1  # type: ignore[attr-defined]  # as socket.makefile does
        self.sock, self.deadline, self.patience = sock, _deadline.get(), sock.gettimeout()

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        if left != float("inf"):
            self.sock.settimeout(left if self.patience is None else min(left, self.patience))
        return super().readinto(buffer)


class TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(TimedReader(sock))


@cache
def timed(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    """The same kind of connections, be it through a proxy, whose answers are held to the deadline of `within`."""
    connection = type("TimedConnection", (pool.ConnectionCls,), {"response_class": TimedResponse})
    return type("TimedPool", (pool,), {"ConnectionCls": connection})


def hold_to_deadline(manager: PoolManager) -> PoolManager:
    """Have all connections of this manager hold their answers to the deadline of `within`."""
    manager.pool_classes_by_scheme = {scheme: timed(pool) for scheme, pool in manager.pool_classes_by_scheme.items()}
    return manager


class Adapter(HTTPAdapter):
    """Connections whose answers are held to the deadline of `within`, through proxies, too."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        hold_to_deadline(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        known = self.proxy_manager.get(proxy)
        return known or hold_to_deadline(super().proxy_manager_for(proxy, **kwargs))


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


def read_bounded(response: requests.Response, most: int, seconds: float) -> bytes:
    """The body of a streamed response of requests.

    Raises TooMuch past `most` bytes or after `seconds`, requests.ConnectionError where the connection broke off; the
    connection is given up then.
    """
    try:
        return read_raw(response.raw, most, seconds)
    except HTTPError as error:
        failure = requests.ConnectionError(error)
    raise failure


def read_raw(raw: BaseHTTPResponse, most: int, seconds: float) -> bytes:
    """The same for an answer of urllib3's, whose errors go through."""
    deadline = time.monotonic() + seconds
    chunks, length = [], 0
    try:
        announced = raw.headers.get("Content-Length") or ""
        if re.fullmatch("[0-9]+", announced) and (len(announced) > 15 or int(announced) > most):
            raise TooLong(f"more than {most} bytes")
        # read1 takes what has come; read, and so iter_content, would wait for a whole chunk, past any deadline,
        # on a server that sends a byte now and then
        while chunk := raw.read1(65536, decode_content=True):
            chunks.append(chunk)
            length += len(chunk)
            if length > most:
                raise TooLong(f"more than {most} bytes")
            if time.monotonic() > deadline:
                raise TooMuch(f"more than {seconds} s")
    except (HTTPError, TooMuch, ValueError):
        raw.close()
        raise
    return b"".join(chunks)
