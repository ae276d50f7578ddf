"""HTTP to other services: pooled, through the proxies the environment names, and never more than we asked for."""

import time

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from requests.utils import should_bypass_proxies
from urllib3.exceptions import HTTPError


class TooMuch(Exception):
    """An answer was longer, or took longer, than anything we would ask for."""


class TooLong(TooMuch):
    """An answer had more bytes than anything we would ask for: asking again will not help."""


def http_session(url, connections):
    """A pooled session for the service at `url`; looks for proxies once, not at every call, and reads no netrc."""
    session = requests.Session()
    session.trust_env = False
    if not should_bypass_proxies(url, settings.PROXIES.get("no")):
        session.proxies = settings.PROXIES
    adapter = HTTPAdapter(pool_connections=2, pool_maxsize=connections, pool_block=True)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def read_bounded(response, most, seconds):
    """The body of a streamed response.

    Raises TooMuch past `most` bytes or after `seconds`, requests.ConnectionError where the connection broke off; the
    connection is given up then.
    """
    deadline = time.monotonic() + seconds
    chunks, length = [], 0
    try:
        if int(response.headers.get("Content-Length") or 0) > most:
            raise TooLong(f"more than {most} bytes")
        # read1 takes what has come; read, and so iter_content, would wait for a whole chunk, past any deadline,
        # on a server that sends a byte now and then
        while chunk := response.raw.read1(65536, decode_content=True):
            chunks.append(chunk)
            length += len(chunk)
            if length > most:
                raise TooLong(f"more than {most} bytes")
            if time.monotonic() > deadline:
                raise TooMuch(f"more than {seconds} s")
    except HTTPError as error:
        response.close()
        raise requests.ConnectionError(error) from None
    except (TooMuch, ValueError):
        response.close()
        raise
    return b"".join(chunks)
