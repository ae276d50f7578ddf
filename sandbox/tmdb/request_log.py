"""The requests that came in, for tests to ask about."""

import re
import threading
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sandbox.http_server import Request


@dataclass
class Seen:
    """A request that came in; `status` is None until answered, 0 if the connection was dropped."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float
    status: int | None = None


class RequestLog:
    """Every request in order, and how many were being answered at once."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.in_flight = 0
        self.peak_in_flight = 0
        self.lock = threading.RLock()

    def requests_of(self, path: str, method: str | None = None) -> list[Seen]:
        """The requests for a path, "/movie/603" or "/3/movie/603"; "*" stands for anything: "/t/p/w500/*"."""
        pattern = re.sub(r"^/3(?=/)", "", path)
        return [
            seen
            for seen in list(self.requests)
            if method in (None, seen.method) and fnmatchcase(re.sub(r"^/3(?=/)", "", seen.path), pattern)
        ]

    def forget_requests(self) -> None:
        """Start recording again from nothing."""
        with self.lock:
            self.requests.clear()
            self.peak_in_flight = self.in_flight

    def peak_rate(self, prefix: str = "/3/", seconds: float = 1.0) -> int:
        """The most requests that ever came within any one second."""
        times = sorted(seen.at for seen in list(self.requests) if seen.path.startswith(prefix))
        peak = first = 0
        for last, at in enumerate(times):
            while at - times[first] >= seconds:
                first += 1
            peak = max(peak, last - first + 1)
        return peak

    def _record(self, request: Request, status: int | None = None) -> Seen:
        seen = Seen(request.method, request.path, request.query, request.headers, request.body, request.at, status)
        self.requests.append(seen)
        return seen
