"""Connections to other services: used again while they are fresh, closed by nobody unseen."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from config import http_client
from config.http_client import http_session, pool_manager


@pytest.fixture
def server():
    """An HTTP server that keeps connections open, and the ports its clients have come from."""
    ports = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            ports.append(self.client_address[1])
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/", ports=ports)
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["requests", "urllib3"])
def get(server, request):
    """get(): one request by each of our two clients."""
    url = server.url
    if request.param == "requests":
        session = http_session(url, 2)
        return lambda: session.get(url).text
    manager = pool_manager(url, 2)
    return lambda: manager.request("GET", url).data.decode()


def test_a_connection_is_used_again(server, get):
    assert [get() for _ in range(3)] == ["ok"] * 3
    assert len(set(server.ports)) == 1


def test_a_connection_that_was_idle_for_a_minute_is_not_used_again(server, get, monkeypatch):
    """A NAT gateway may have forgotten it without a word, and the request would wait for its timeout."""
    get()
    now = http_client.time.monotonic
    monkeypatch.setattr(http_client.time, "monotonic", lambda: now() + http_client.MAX_IDLE_SECONDS + 1)
    assert get() == "ok"
    assert len(set(server.ports)) == 2


def test_connections_use_tcp_keep_alive(server, get, monkeypatch):
    opened = []
    connect = socket.socket.connect
    monkeypatch.setattr(
        socket.socket, "connect", lambda self, address: (opened.append(self), connect(self, address))[1]
    )
    get()
    assert [one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) for one in opened] == [1]
