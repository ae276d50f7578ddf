"""The fake TMDb on localhost: its API (v3), its approval page and its image server.

Paths, shapes, codes and habits follow TMDb's published API description and its real answers. What a test or
a demonstration needs to steer or to look into is plain Python on the TMDb object.
"""

import re
import time
from collections import deque

from sandbox.http_server import Fault, Faults, Request, Response
from sandbox.tmdb import authentication, movies, people, poster_art, site
from sandbox.tmdb.responses import Refused, error
from sandbox.tmdb.state import KEY, READ_TOKEN, State

__all__ = ["KEY", "READ_TOKEN", "TMDb"]

POSTER_SIZES = ["w92", "w154", "w185", "w342", "w500", "w780", "original"]

ROUTES = [
    (method, re.compile("/3" + path), answer)
    for method, path, answer in authentication.ROUTES + movies.ROUTES + people.ROUTES
]


class TMDb(State):
    """TMDb as far as Kinoteka uses it. `handle` answers requests; the rest is for the test that holds the object."""

    def __init__(self, faults: Faults | None = None, url: str = "") -> None:
        super().__init__(faults, url)
        self.faults.watchers.append(self._faulted)
        self._recent: deque[float] = deque()

    def _faulted(self, request: Request, fault: Fault) -> None:
        """A fault answered instead: the request counts all the same."""
        if self.serves(request.path):
            self._record(request, fault.response.status if fault.response and not fault.drop else 0)

    @staticmethod
    def serves(path: str) -> bool:
        """Is this path TMDb's? (The fakes may share one server.)"""
        return path.startswith(("/3/", "/t/p/", "/authenticate/", "/movie/"))

    def handle(self, request: Request) -> Response:
        seen = self._record(request)
        with self.lock:
            self.in_flight += 1
            self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            response = self._answer(request)
        except Refused as refusal:
            response = refusal.response
        finally:
            with self.lock:
                self.in_flight -= 1
        seen.status = response.status
        return response

    def _answer(self, request: Request) -> Response:
        path = request.path
        if path.startswith("/t/p/"):
            if self.image_latency:
                time.sleep(self.image_latency)
            return self.image(path)
        if path.startswith("/authenticate/"):
            return site.approval_page(self, request)
        if path.startswith("/movie/"):
            return site.film_page(self, request)
        if not path.startswith("/3/"):
            return Response.html("<h1>Not Found</h1>", 404)
        self._within_limit()
        if self.latency:
            time.sleep(self.latency)
        self._check_key(request)
        for method, pattern, answer in ROUTES:
            match = pattern.fullmatch(path)
            if match and method == request.method:
                return answer(self, request, *match.groups())
        known = any(pattern.fullmatch(path) for _, pattern, _ in ROUTES)
        return error(42 if known else 34)

    def _within_limit(self) -> None:
        if self.limit is None:
            return
        now = time.monotonic()
        with self.lock:
            while self._recent and now - self._recent[0] >= 1:
                self._recent.popleft()
            if len(self._recent) >= self.limit or self.in_flight > self.connections:
                message = f"Your request count ({len(self._recent) + 1}) is over the allowed limit of ({self.limit})."
                raise Refused(error(25, message=message, headers={"Retry-After": "1"}))
            self._recent.append(now)

    def _check_key(self, request: Request) -> None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.query.get("api_key") not in self.keys and bearer not in self.keys:
            raise Refused(error(7))

    def image(self, path: str) -> Response:
        """TMDb's image server: /t/p/{size}{poster_path}."""
        match = re.fullmatch(r"/t/p/(\w+)(/.+)", path)
        size, address = match.groups() if match else ("", "")
        film = self.film_with_poster(address) if size in POSTER_SIZES else None
        if address in self.images:
            content, kind = self.images[address]
        elif film is not None:
            content = poster_art.plain() if film.plain_poster else poster_art.draw(film, size)
            kind = "image/jpeg"
        else:
            return Response.html("<h1>404 Not Found</h1>The resource could not be found.", 404)
        return Response(200, content, {"Content-Type": kind, "Cache-Control": "public, max-age=31536000"})
