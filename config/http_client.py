"""HTTP to other services: pooled, through the proxies the environment names, and never more than we asked for."""

import http.client
import io
import re
import socket
import time
from contextlib import contextmanager
from contextvars import ContextVar

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from requests.utils import should_bypass_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))


class TooMuch(Exception):
    """An answer was longer, or took longer, than anything we would ask for."""


class TooLong(TooMuch):
    """An answer had more bytes than anything we would ask for: asking again will not help."""


@contextmanager
def within(seconds):
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

    def __init__(self, sock):
        super().__init__(sock, "r")
        sock._io_refs += 1  # as socket.makefile does
        self.deadline, self.patience = _deadline.get(), sock.gettimeout()

    def readinto(self, buffer):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        if left != float("inf"):
            self._sock.settimeout(left if self.patience is None else min(left, self.patience))
        return super().readinto(buffer)


class TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock, *args, **kwargs):
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(TimedReader(sock))


class Connection(HTTPConnection):
    response_class = TimedResponse


class TLSConnection(HTTPSConnection):
    response_class = TimedResponse


class Pool(HTTPConnectionPool):
    ConnectionCls = Connection


class TLSPool(HTTPSConnectionPool):
    ConnectionCls = TLSConnection


class Adapter(HTTPAdapter):
    """Connections whose answers are held to the deadline of `within`, through proxies, too."""

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": Pool, "https": TLSPool}

    def proxy_manager_for(self, proxy, **kwargs):
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = {"http": Pool, "https": TLSPool}
        return manager


def http_session(url, connections):
    """A pooled session for the service at `url`; looks for proxies once, not at every call, and reads no netrc."""
    session = requests.Session()
    session.trust_env = False
    if not should_bypass_proxies(url, settings.PROXIES.get("no")):
        session.proxies = settings.PROXIES
    adapter = Adapter(pool_connections=2, pool_maxsize=connections, pool_block=True)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def read_bounded(response, most, seconds):
    """The body of a streamed response of requests.

    Raises TooMuch past `most` bytes or after `seconds`, requests.ConnectionError where the connection broke off; the
    connection is given up then.
    """
    try:
        return read_raw(response.raw, most, seconds)
    except HTTPError as error:
        trouble = requests.ConnectionError(error)
    raise trouble


def read_raw(raw, most, seconds):
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
