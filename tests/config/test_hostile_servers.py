"""Servers that mean harm: whatever they answer costs bounded memory and time, and leads to no other address."""

import gzip
import socket
import ssl
import subprocess
import sys
import threading
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from telebot import apihelper
from telebot.apihelper import ApiException

from config.bot import client
from config.bot.client import TelegramUnavailable
from config.bot.router import bot
from config.http_client import TooMuch
from movies import tmdb
from movies.models import Movie
from movies.tmdb import NotFound, TMDb, TMDbError
from tests.conftest import ROOT, wait_until

pytestmark = pytest.mark.django_db

MOST_MEMORY = 96 * 2**20  # bytes, of 20 MB that an image may have, and what 4 MB of JSON may become
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class Hostile:
    """A server that answers each request by `answer(caller, head)`; counts what it sends and whom it meets."""

    def __init__(self, answer, tls=None):
        self.answer, self.tls, self.sent, self.heads, self.over = answer, tls, 0, [], 0
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.listen, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.door.close()

    def listen(self):
        with suppress(OSError):
            while True:
                caller, _address = self.door.accept()
                threading.Thread(target=self.serve, args=(caller,), daemon=True).start()

    def serve(self, caller):
        try:
            with suppress(OSError), self.tls.wrap_socket(caller, server_side=True) if self.tls else caller as caller:
                head = b""
                while b"\r\n\r\n" not in head and (more := caller.recv(65536)):
                    head += more
                if head:
                    self.heads.append(head)
                    self.answer(self, caller)
        finally:
            self.over += 1

    def send(self, caller, content):
        caller.sendall(content)
        self.sent += len(content)


# --- What they do


def endless(server, caller):
    server.send(caller, OK + b"\r\n")
    while True:
        server.send(caller, b"x" * 65536)


def endless_chunks(server, caller):
    server.send(caller, OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        server.send(caller, b"10000\r\n" + b"x" * 65536 + b"\r\n")


def endless_headers(server, caller):
    server.send(caller, OK)
    while True:
        server.send(caller, b"X-More: " + b"x" * 4000 + b"\r\n")


def slow(content, at_a_time=1):
    def answer(server, caller):
        for place in range(0, len(content), at_a_time):
            server.send(caller, content[place : place + at_a_time])
            threading.Event().wait(0.2)

    return answer


slow_body = slow(b"".join([OK, b"\r\n", b" " * 10_000]), at_a_time=70)
slow_headers = slow(OK + b"X-More: " + b"x" * 10_000)


def short_of_its_length(server, caller):
    server.send(caller, OK + b"Content-Length: 1000000\r\n\r\n{}")


def absurd_length(server, caller):
    server.send(caller, OK + b"Content-Length: 99999999999999\r\n\r\n" + b"x" * 1000)


def no_length(server, caller):
    server.send(caller, OK + b"Content-Length: many\r\n\r\n{}")


def negative_length(server, caller):
    server.send(caller, OK + b"Content-Length: -1\r\n\r\n{}")


def body(content, more=b""):
    def answer(server, caller):
        length = b"Content-Length: %d\r\n" % len(content)
        server.send(caller, OK + length + more + b"\r\n" + content)

    return answer


deep = body(b"[" * 100_000)
deep_object = body(b'{"a":' * 100_000)
huge = body(b'{"ok": true, "result": [' + b"[]," * 2_000_000 + b"0]}")
just_under = body(b'{"ok": true, "result": [' + b"[]," * 690_000 + b"0]}")
bomb = body(gzip.compress(b"0" * 300_000_000), b"Content-Encoding: gzip\r\n")
bomb_in_a_bomb = body(gzip.compress(gzip.compress(b"0" * 200_000_000)), b"Content-Encoding: gzip, gzip\r\n")
not_gzip = body(b"no gzip at all", b"Content-Encoding: gzip\r\n")
no_http = lambda server, caller: server.send(caller, b"\x00\xff" * 200_000)  # noqa: E731
NASTY = {
    name: behaviour
    for name, behaviour in list(globals().items())
    if name in (
        "endless", "endless_chunks", "endless_headers", "slow_body", "slow_headers", "short_of_its_length",
        "absurd_length", "no_length", "negative_length", "deep", "deep_object", "huge", "just_under", "bomb",
        "bomb_in_a_bomb", "not_gzip", "no_http",
    )
}  # fmt: skip


# --- Our clients


@pytest.fixture
def pointed(settings, monkeypatch):
    """pointed(url): all clients go there, and are in a hurry."""
    sessions = (client._manager, client._pool, tmdb.api_session, tmdb.image_session)

    def forget():
        for session in sessions:
            session.cache_clear()

    def point(url):
        settings.TELEGRAM_API_URL = settings.TMDB_API_URL = settings.TMDB_IMAGE_URL = url
        settings.PROXIES = {}
        client.patch_telebot()
        forget()

    monkeypatch.setattr(apihelper, "READ_TIMEOUT", 1)
    monkeypatch.setattr(client, "DOWNLOAD_SECONDS", 3)
    monkeypatch.setattr(client.apihelper, "get_file", lambda token, file_id: {"file_path": "photos/1.jpg"})
    monkeypatch.setattr(bot, "token", "1000000001:AAAA-of-no-bot-at-all-0000")
    yield point
    forget()


def hurried():
    tmdb_client = TMDb(background=False)
    tmdb_client.timeout, tmdb_client.attempts = (1, 1), 1
    return tmdb_client


CLIENTS = {
    "TMDb's API": lambda: hurried().movie(603),
    "TMDb's images": lambda: hurried().image("/poster.jpg"),
    "a call to Telegram": lambda: bot.send_message(1, "x"),
    "an upload to Telegram": lambda: bot.send_photo(1, b"x" * 1000),
    "getUpdates": lambda: apihelper.get_updates(bot.token, timeout=1, long_polling_timeout=1),
    "a file from Telegram": lambda: client.download("a-file", 2**20),
}
OURS = (TMDbError, TelegramUnavailable, ApiException, TooMuch)
SHAPES = (
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
)  # pyTelegramBotAPI's, of JSON that is no answer; its callers expect them


@pytest.mark.parametrize("service", CLIENTS)
@pytest.mark.parametrize("behaviour", NASTY)
def test_a_hostile_answer_costs_bounded_memory_and_time(pointed, behaviour, service):
    with Hostile(NASTY[behaviour]) as server:
        pointed(server.url)
        tracemalloc.start()
        try:
            with suppress(*OURS, *(SHAPES if "Telegram" in service or service == "getUpdates" else ())):
                CLIENTS[service]()
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert server.heads, "it was asked"
        assert peak < MOST_MEMORY, f"{peak / 2**20:.0f} MB"
        wait_until(lambda: server.over == len(server.heads), explain=lambda: "the connection was not given up")
        # what was under way in the sockets' buffers counts, too
        assert server.sent < 40 * 2**20


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("service", CLIENTS)
def test_no_redirect_to_another_host_is_followed(pointed, service, status):
    with Hostile(body(b"{}")) as elsewhere:

        def redirect(server, caller):
            head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {elsewhere.url}/x\r\nContent-Length: 2\r\n\r\n{{}}"
            server.send(caller, head.encode())

        with Hostile(redirect) as server:
            pointed(server.url)
            with pytest.raises((*OURS, KeyError)):
                CLIENTS[service]()
            assert server.heads
        assert elsewhere.heads == []


# --- TLS


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory):
    """A TLS context with a certificate for 127.0.0.1 without a signature of an authority."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=127.0.0.1")
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.mark.parametrize("service", CLIENTS)
def test_a_server_that_cannot_prove_who_it_is_hears_nothing(pointed, monkeypatch, self_signed, service):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PYTHONHTTPSVERIFY"):
        monkeypatch.setenv(name, "")
    with Hostile(body(b'{"ok": true, "result": {}}'), self_signed) as server:
        pointed(server.url)
        with pytest.raises(OURS):
            CLIENTS[service]()
        wait_until(lambda: server.over)
        assert server.heads == []


# --- Parts of addresses


ODD_PATHS = [
    "/../../x.jpg", "//evil.example/x.jpg", "http://evil.example/x.jpg", "/x.jpg?y", "/x.jpg#y", "/x/../y.jpg",
    "/x.jpg@evil.example", "\\evil.jpg", "/x.jpg\r\nHost: evil.example", "/%2e%2e/x.jpg", "/x y.jpg", "x.jpg", "/.jpg",
    "/x.svg", "/" + "x" * 300 + ".jpg", "/х.jpg",
]  # fmt: skip


@pytest.mark.parametrize("path", ODD_PATHS)
def test_what_is_no_path_of_tmdbs_is_never_asked_for(sandbox, handle, path):
    with pytest.raises(NotFound):
        TMDb().image(path)
    Movie.objects.create(pk=8, title="Odd", poster_path=path, details_at=1, search_text="odd")
    anna = sandbox.telegram.person("Anna")
    anna.send("/start")
    query = anna.inline("odd")
    handle()
    (result,) = query.wait()
    assert "thumbnail_url" not in result
    assert sandbox.tmdb.requests_of("/t/p/*") == []


@pytest.mark.parametrize("number", ["1/../2", "1?x", "1#", "", None, "x", [1]])
def test_an_id_in_an_address_is_a_number(sandbox, number):
    tmdb = TMDb()
    for ask in (
        lambda: tmdb.movie(number),
        lambda: tmdb.recommendations(number),
        lambda: tmdb.rate(number, 8, "s"),
        lambda: tmdb.unrate(number, "s"),
        lambda: tmdb.rated_movies(number, "s"),
    ):
        with pytest.raises((ValueError, TypeError)):
            ask()
    with pytest.raises(NotFound):
        tmdb.find(f"tt12345/{number}")
    assert sandbox.tmdb.requests == []


@pytest.mark.parametrize("path", ["../x", "/../x", "x?y", "x#y", "http://evil", "a b", "", "x\r\ny", "ü", "x" * 300])
def test_what_is_no_path_of_telegrams_is_never_asked_for(pointed, monkeypatch, path):
    with Hostile(body(b"{}")) as server:
        pointed(server.url)
        monkeypatch.setattr(client.apihelper, "get_file", lambda token, file_id: {"file_path": path})
        with pytest.raises(TelegramUnavailable):
            client.download("a-file", 100)
        assert server.heads == []


def test_an_answer_that_cannot_be_read_is_not_repeated_in_full(pointed):
    with Hostile(body(b"<p>" + b"x" * 100_000)) as server:
        pointed(server.url)
        with pytest.raises(TelegramUnavailable) as error:
            bot.send_message(1, "x")
        assert len(str(error.value)) < 200


# --- The stand-ins


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("path", ["/", "/chat/api/state", "/3/movie/603", "/bot1:x/getMe"])
def test_the_stand_ins_answer_to_no_name_but_this_machines(sandbox, host, path):
    """A page elsewhere can have its own name resolved to 127.0.0.1, and a browser then lets it read what it gets."""
    assert status_of(sandbox, path, host) == 421
    for forwarded in ("X-Forwarded-Host", "Forwarded"):
        assert status_of(sandbox, path, host, f"{forwarded}: 127.0.0.1\r\n") == 421
    assert status_of(sandbox, path, f"127.0.0.1:{sandbox.port}") != 421
    assert status_of(sandbox, path, "localhost") != 421


def status_of(sandbox, path, host, more=""):
    with socket.create_connection(("127.0.0.1", sandbox.port), 10) as caller:
        caller.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n".encode())
        return int(caller.recv(100).split()[1])


def test_the_stand_ins_listen_on_loopback_only(sandbox):
    assert sandbox.server.http.server_address[0] == "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # nothing is sent: it tells which address of ours would be used
        outside = probe.getsockname()[0]
        if not outside.startswith("127."):
            with pytest.raises((ConnectionError, TimeoutError)), socket.create_connection((outside, sandbox.port), 5):
                pass


def test_the_stand_ins_do_not_run_where_a_real_token_is_set(environment):
    real = {**environment, "TELEGRAM_BOT_TOKEN": "123456:real-looking-token-of-another-bot"}
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--forget"]
    ended = subprocess.run(command, cwd=ROOT, env=real, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "real bot's token" in ended.stderr
    assert "123456" not in ended.stderr
