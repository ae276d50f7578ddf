"""A small HTTP/1.1 server for the fake services: requests in, responses out, faults on demand.

Everything runs in threads on the loopback interface, so that tests can hold the fakes in
their own process and look inside while real processes talk to them over real sockets.
"""

import json
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass
class Upload:
    """A file that came in a multipart form."""

    filename: str
    content: bytes
    content_type: str = ""


@dataclass
class Request:
    """One HTTP request, its body read; header names are lower-case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.time)

    def fields(self) -> tuple[dict[str, str], dict[str, Upload]]:
        """(text fields, files) of the body, whichever way it is encoded; query parameters are not included.

        JSON values that are not strings come back as JSON text, as in a form.
        """
        kind = self.headers.get("content-type", "")
        if kind.startswith("application/json"):
            data = json.loads(self.body or b"{}")
            return {k: v if isinstance(v, str) else json.dumps(v) for k, v in data.items()}, {}
        if kind.startswith("multipart/form-data"):
            head = f"Content-Type: {kind}\r\n\r\n".encode()
            form: dict[str, str] = {}
            files: dict[str, Upload] = {}
            for part in BytesParser(policy=HTTP).parsebytes(head + self.body).iter_parts():
                name = str(part.get_param("name", header="content-disposition"))
                content = part.get_payload(decode=True) or b""
                assert isinstance(content, bytes)
                filename = part.get_filename()
                if filename is None:
                    form[name] = content.decode()
                else:
                    files[name] = Upload(filename, content, part.get_content_type())
            return form, files
        return {k: v[-1] for k, v in parse_qs(self.body.decode(), keep_blank_values=True).items()}, {}


@dataclass
class Response:
    """One HTTP answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, data: Any, status: int = 200, **headers: str) -> "Response":
        headers = {"Content-Type": "application/json;charset=utf-8", **headers}
        return cls(status, json.dumps(data, ensure_ascii=False).encode(), headers)

    @classmethod
    def html(cls, text: str, status: int = 200) -> "Response":
        return cls(status, text.encode(), {"Content-Type": "text/html; charset=utf-8"})


@dataclass
class Fault:
    """What goes wrong with the requests it matches, `times` times (None: until it is cleared).

    `response` answers instead of the fake; `delay` seconds pass first; `drop` closes the connection
    without an answer, "before" or "after" the fake has done the work; `truncate` sends only so many
    bytes of the body it announced.
    """

    matches: Callable[[Request], bool]
    times: int | None = 1
    response: Response | None = None
    delay: float = 0
    drop: str = ""
    truncate: int | None = None
    seen: int = 0


class Faults:
    """The faults now in force, first match first.

    `watchers` are told (request, fault) of each request that a fault answers, or drops, before a fake sees it.
    """

    def __init__(self) -> None:
        self.watchers: list[Callable[[Request, Fault], None]] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, pattern: str, method: str | None = None, times: int | None = 1, **what: Any) -> Fault:
        """Make requests whose path matches the regular expression go wrong; see Fault for `what`."""
        regex = re.compile(pattern)

        def matches(request: Request) -> bool:
            return regex.search(request.path) is not None and method in (None, request.method)

        fault = Fault(matches, times, **what)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def take(self, request: Request) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.matches(request) and fault.times != 0:
                    fault.seen += 1
                    if fault.times is not None:
                        fault.times -= 1
                    if fault.response or fault.drop == "before":
                        for watch in self.watchers:
                            watch(request, fault)
                    return fault
        return None


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine; another name may be a page elsewhere whose DNS points here."""
    name = urlsplit(f"//{host}").hostname or ""
    return name in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", name) is not None


class Server:
    """Serve `handle(request) -> Response` on 127.0.0.1 in threads; port 0 takes a free one."""

    def __init__(self, handle: Callable[[Request], Response], port: int = 0, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.http = _Threads(("127.0.0.1", port), _Handler)
        self.http.answer, self.http.faults = handle, self.faults
        self.http.names = set()
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256
    answer: Callable[[Request], Response]
    faults: Faults
    names: set[str]  # of other hosts, that lead here through a proxy


class _Handler(BaseHTTPRequestHandler):
    """One connection: reads a request, applies the fault that matches it, writes the answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body in two packets would wait 40 ms for an ACK
    wbufsize = -1
    server: _Threads

    def answer(self) -> None:
        parts = urlsplit(self.path)
        query = {k: v[-1] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {k.lower(): v for k, v in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length") or 0))
        host = headers.get("host", "127.0.0.1")
        if not is_loopback(host) and host not in self.server.names:
            self.send_error(421, "The fake services are for this machine alone")
            return
        request = Request(self.command, parts.path, query, headers, body)
        fault = self.server.faults.take(request)
        if fault and fault.delay:
            time.sleep(fault.delay)
        if fault and fault.drop == "before":
            return self.hang_up()
        response = fault.response if fault and fault.response else self.server.answer(request)
        if fault and fault.drop == "after":
            return self.hang_up()
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        content = b"" if self.command == "HEAD" else response.body
        if fault and fault.truncate is not None:
            self.wfile.write(content[: fault.truncate])
            return self.hang_up()
        self.wfile.write(content)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

    def hang_up(self) -> None:
        """Close the connection without an answer."""
        self.wfile.flush()
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def handle(self) -> None:
        with suppress(ConnectionError, TimeoutError):  # the client went away
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""
