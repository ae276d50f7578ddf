"""HTTP to other services: pooled, through the proxies the environment names, and never more than we asked for."""

import time

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from requests.utils import should_bypass_proxies


class TooMuch(Exception):
    """An answer was longer, or took longer, than anything we would ask for."""


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
    """The body of a streamed response. Raises TooMuch past `most` bytes or after `seconds`; the connection is given up."""
    deadline = time.monotonic() + seconds
    chunks, length = [], 0
    try:
        for chunk in response.iter_content(65536):
            chunks.append(chunk)
            length += len(chunk)
            if length > most:
                raise TooMuch(f"more than {most} bytes")
            if time.monotonic() > deadline:
                raise TooMuch(f"more than {seconds} s")
    except TooMuch:
        response.close()
        raise
    return b"".join(chunks)
