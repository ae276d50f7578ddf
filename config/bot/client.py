"""The only module that speaks to Telegram: every call of the bot goes through `request`, its parameters in the body.

pyTelegramBotAPI's own sender puts parameters in the address, where proxies and logs read them, and its retry sends an
empty file again.
"""

import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from telebot import apihelper
from urllib3 import HTTPConnectionPool, HTTPResponse, PoolManager, ProxyManager
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProtocolError, ProxyError
from urllib3.util import Timeout

from config.http_client import TooLong, TooMuch, pool_manager, read_raw, within
from config.monitoring import metrics
from config.monitoring.secret import Secret

log = logging.getLogger(__name__)

MAX_RESPONSE_BYTES = 4 * 2**20  # a hundred updates, each with the longest text and another in reply, have half of it
DOWNLOAD_SECONDS = 90
MAX_ERROR_TEXT_BYTES = 1000  # of a response that cannot be read
HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
DEFAULT_TIMEOUT = (5.0, 30.0)  # seconds: connect, one read
RETRY_DELAYS_SECONDS = (1.0, 2.0, 4.0, 8.0, 8.0)
# Calls that do no harm when they are made twice; a message would be there twice
IDEMPOTENT_METHODS = re.compile("edit|answer|delete|get|set|sendChatAction")
TOPIC_METHODS = re.compile("send|copyMessage|forwardMessage")  # they take message_thread_id
GENERAL_TOPIC = 1  # Telegram refuses it as a message_thread_id
# The topic of the question, or the question itself, is gone: the answer belongs in the chat
LOST_PLACE = re.compile("message thread not found|topic_closed|topic_deleted|topic.id.invalid|replied not found", re.I)

# Seconds of 429 and of retries that a call waits by itself: in a busy group Telegram asks for 40.
MAX_RETRY_WAIT_SECONDS = 60.0
_max_retry_wait: ContextVar[float] = ContextVar("max_retry_wait", default=MAX_RETRY_WAIT_SECONDS)


class Topic(NamedTuple):
    chat_id: int
    thread_id: int | None


_topic: ContextVar[Topic | None] = ContextVar("topic", default=None)


@contextmanager
def max_retry_wait(seconds: float) -> Iterator[None]:
    """Calls in this block wait no longer than this for a retry; 0: the caller handles 429 and every other failure."""
    token = _max_retry_wait.set(seconds)
    try:
        yield
    finally:
        _max_retry_wait.reset(token)


@contextmanager
def in_topic(chat_id: int, thread_id: int | None) -> Iterator[None]:
    """What this block sends to the chat goes into that topic; None: into no topic."""
    token = _topic.set(Topic(chat_id, thread_id))
    try:
        yield
    finally:
        _topic.reset(token)


class TelegramUnavailable(Exception):
    """Telegram did not answer, or something before it did.

    `sent` tells whether the call may have arrived, `status` the HTTP status of what is no response of the Bot API.
    """

    def __init__(self, method: str, why: str, sent: bool = True, status: int = 0) -> None:
        super().__init__(f"{method}: {why}")
        self.sent, self.status = sent, status


class FileNotServed(TelegramUnavailable):
    """A Bot API server has a file and does not give it: it runs with --local, or what stands before it is set wrong."""


class Response:
    """A response of the Bot API, as pyTelegramBotAPI reads it. Raises ValueError for what is none.

    Only its own JSON says what became of a call: a status alone may be a gateway's or a firewall's.
    """

    reason = ""

    def __init__(self, status_code: int, content: bytes) -> None:
        self.status_code, self.content = status_code, content
        data = json.loads(content)
        ok = data.get("ok") if isinstance(data, dict) else None
        if not (ok is True and "result" in data) and not (ok is False and type(data.get("error_code")) is int):
            raise ValueError("not of the Bot API's shape")
        self.data: dict[str, Any] = data if ok else {"description": "", "parameters": {}} | data

    @property
    def text(self) -> str:
        return self.content[:MAX_ERROR_TEXT_BYTES].decode("utf-8", "replace")  # for messages of errors

    @property
    def error_code(self) -> int:
        """The code of the Bot API's error; 0 for a success."""
        return 0 if self.data["ok"] else int(self.data["error_code"])

    def json(self) -> dict[str, Any]:
        return self.data


@cache
def _manager() -> PoolManager:
    return pool_manager(settings.TELEGRAM_API_URL, settings.BOT_THREADS + 4)


@cache
def _pool(origin: str) -> HTTPConnectionPool:
    return _manager().connection_from_url(origin)


def request(
    method: str,
    url: str,
    params: dict[str, Any] | None = None,
    files: Mapping[str, Any] | None = None,
    timeout: tuple[float, float] | None = None,
    proxies: object = None,
) -> Response:
    """One call to the Bot API, as pyTelegramBotAPI asks for it (apihelper.CUSTOM_REQUEST_SENDER).

    A call is repeated with a growing pause, within `max_retry_wait`, where it certainly did not arrive or where the Bot
    API itself answers 429 or 5xx; an idempotent one after every other failure, too.
    Raises TelegramUnavailable, whose text never holds the address and the token in it.
    """
    name = url.rsplit("/", 1)[-1]
    if files:  # read once: a file that is sent again must not be empty
        files = {key: _read_file(value) for key, value in files.items()}
    params = _with_topic(name, params or {})
    left = _max_retry_wait.get()
    delays = iter(RETRY_DELAYS_SECONDS if left > 0 and name != "getUpdates" else ())  # whose loop repeats it
    idempotent = bool(IDEMPOTENT_METHODS.match(name))
    _release_db_connection()
    while True:
        if name != "getUpdates":
            metrics.increment("telegram.requests")
        began_at = time.monotonic()
        result = _attempt(name, url, params, files, timeout or DEFAULT_TIMEOUT)
        if name != "getUpdates":  # which waits for updates
            _count(result, time.monotonic() - began_at)
        delay: float | None = None
        if isinstance(result, TelegramUnavailable):
            if idempotent or not result.sent:
                delay = next(delays, None)
        else:
            log.debug("Telegram: %s: %s", name, result.status_code)
            if result.error_code == 400 and (redirected := _redirected(params, result.data)):
                params = redirected
                continue
            if result.error_code == 429:
                metrics.increment("telegram.429")
                delay = retry_after(result.content)
            elif result.error_code >= 500:
                delay = next(delays, None)
        if delay is None or delay > left:
            if isinstance(result, TelegramUnavailable):
                raise result
            return result
        left -= delay
        what = result if isinstance(result, TelegramUnavailable) else f"{name}: {result.error_code}"
        log.warning("Telegram: %s; repeated in %s s", what, delay)
        time.sleep(delay)


def _count(result: "Response | TelegramUnavailable", seconds: float) -> None:
    """Count how long a call took, or that it failed through no fault of its own."""
    if isinstance(result, TelegramUnavailable) or result.error_code >= 500:
        metrics.increment("telegram.errors")
    else:
        metrics.observe_latency("telegram", seconds)


def _with_topic(name: str, params: dict[str, Any]) -> dict[str, Any]:
    topic = _topic.get()
    if topic is None or topic.thread_id is None or str(params.get("chat_id")) != str(topic.chat_id):
        return params
    if not TOPIC_METHODS.match(name):
        return params
    return {"message_thread_id": topic.thread_id, **params}


def _redirected(params: dict[str, Any], error: dict[str, Any]) -> dict[str, Any] | None:
    """Parameters with which a refused call reaches the chat after all; None where there are none to change.

    A group may have become a supergroup (ResponseParameters), its topic or the question may be gone.
    """
    moved = error["parameters"].get("migrate_to_chat_id") if isinstance(error["parameters"], dict) else None
    if moved and str(params.get("chat_id")) != str(moved):
        return {key: value for key, value in params.items() if key != "message_thread_id"} | {"chat_id": moved}
    place = {"message_thread_id", "reply_parameters", "reply_to_message_id"} & params.keys()
    if place and LOST_PLACE.search(str(error["description"])):
        return {key: value for key, value in params.items() if key not in place}
    return None


def download(file_id: str, max_bytes: int) -> bytes:
    """The bytes of a file that a user sent (Bot API: getFile; 20 MB at most).

    Raises ApiTelegramException where Telegram does not know the file or it is too big, TooLong where it is longer than
    `max_bytes`, TelegramUnavailable.
    """
    path = str(apihelper.get_file(settings.TELEGRAM_BOT_TOKEN, file_id).get("file_path", ""))
    folder, own, name = path.partition(f"/{settings.TELEGRAM_BOT_TOKEN}/")
    if own and f"{folder}/".startswith("/") and ".." not in path:  # of a Bot API server that runs with --local
        with suppress(OSError), open(path, "rb") as file:
            if len(content := file.read(max_bytes + 1)) > max_bytes:
                raise TooLong(f"more than {max_bytes} bytes")
            return content
        path = name  # on another machine, or not readable: a web server may stand before that folder
    if not re.fullmatch(r"[\w./-]{1,200}", path, re.ASCII) or ".." in path:
        raise TelegramUnavailable("file", "an odd path")
    url = _file_url.format(settings.TELEGRAM_BOT_TOKEN, path)
    try:
        with within(DOWNLOAD_SECONDS):
            raw = _start("GET", url, {}, None, DEFAULT_TIMEOUT)
            try:
                content = read_raw(raw, max_bytes, DOWNLOAD_SECONDS)
            finally:
                raw.release_conn()
        if raw.status == 200:
            return content
        kind = FileNotServed if raw.status == 404 else TelegramUnavailable
        failure = kind("file", str(raw.status))
    except TooLong:
        raise
    except TooMuch as error:
        failure = TelegramUnavailable("file", str(error))
    except HTTPError as error:
        failure = TelegramUnavailable("file", type(error).__name__)
    raise failure


def _attempt(
    name: str, url: str, params: dict[str, Any], files: Mapping[str, Any] | None, timeout: tuple[float, float]
) -> Response | TelegramUnavailable:
    """One POST in bounded time and size. Returns the failure, apart from the original, which names the address."""
    status = 0
    try:
        status, content = _post(url, params, files, timeout)
        return Response(status, content)
    except ConnectTimeoutError as error:
        refused = isinstance(error, NewConnectionError)
        return TelegramUnavailable(name, "connection refused" if refused else "no connection", sent=False)
    except (NewConnectionError, ProxyError):  # urllib3's ProxyError: the proxy was not reached, or built no tunnel
        return TelegramUnavailable(name, "connection refused", sent=False)
    except ProtocolError:
        return TelegramUnavailable(name, "connection lost")
    except (HTTPError, TooMuch) as error:
        return TelegramUnavailable(name, type(error).__name__)
    except (ValueError, RecursionError):
        return TelegramUnavailable(name, f"HTTP {status}, and not the Bot API's JSON", status=status)


def _post(
    url: str, params: dict[str, Any], files: Mapping[str, Any] | None, timeout: tuple[float, float]
) -> tuple[int, bytes]:
    """The status and the body."""
    fields = {key: _field(value) for key, value in params.items() if value is not None}
    with within(timeout[0] + 2 * timeout[1]):
        raw = _start("POST", url, fields, files, timeout)
        try:
            return raw.status, read_raw(raw, MAX_RESPONSE_BYTES, timeout[1])
        finally:
            raw.release_conn()


def _start(
    method: str, url: str, fields: dict[str, str], files: Mapping[str, Any] | None, timeout: tuple[float, float]
) -> HTTPResponse:
    """urllib3's response, its body not yet read."""
    options: dict[str, Any] = {"fields": {**fields, **(files or {})}, "encode_multipart": bool(files)}
    scheme, _empty, host, path = url.split("/", 3)
    manager: PoolManager | HTTPConnectionPool = _manager()
    if not isinstance(manager, ProxyManager):  # a pool is cheaper: the manager would parse the whole address
        manager, url = _pool(f"{scheme}//{host}"), f"/{path}"
    response = manager.request(
        method,
        url,
        headers=HEADERS,
        retries=False,
        redirect=False,
        timeout=Timeout(connect=timeout[0], read=timeout[1]),
        preload_content=False,
        **(options if method == "POST" else {}),
    )
    assert isinstance(response, HTTPResponse)
    return response


def _field(value: Any) -> str:
    """A form's field: a switch as JSON writes it, since not every Bot API server takes Python's True for true."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _release_db_connection() -> None:
    """Let other threads have this one's database connection while it waits, where there is a pool of them."""
    if connection.settings_dict["OPTIONS"].get("pool") and not connection.in_atomic_block:
        connection.close()


def _read_file(value: Any) -> tuple[str, Any]:
    name, content = value if isinstance(value, tuple) else (getattr(value, "name", "file"), value)
    return (name, content.read() if hasattr(content, "read") else content)


def retry_after(body: bytes) -> int:
    """The seconds that a 429 asks for; 5 where it does not say."""
    try:
        return seconds_asked(json.loads(body))
    except (ValueError, RecursionError):
        return 5


def seconds_asked(error: Any) -> int:
    """The same of an error that is read already."""
    try:
        return max(1, int(error["parameters"]["retry_after"]))
    except (ValueError, KeyError, TypeError, OverflowError):
        return 5


_file_url = Secret()


def patch_telebot() -> None:
    """Have pyTelegramBotAPI call Telegram through this module."""
    global _file_url
    # what these make is an address with the token in it
    _file_url = Secret(settings.TELEGRAM_API_URL + "/file/bot{0}/{1}")
    # setattr: the library declares all three as None
    for name, value in (
        ("CUSTOM_REQUEST_SENDER", request),
        ("API_URL", Secret(settings.TELEGRAM_API_URL + "/bot{0}/{1}")),
        ("FILE_URL", _file_url),
    ):
        setattr(apihelper, name, value)
