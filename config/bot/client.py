"""The door to Telegram: every call of the bot goes through `send`, its parameters in the body.

pyTelegramBotAPI's own sender puts parameters in the address, where proxies and logs read them, and its retry re-sends
an empty file.
"""

import json
import logging
import re
import time
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

import requests
from django.conf import settings
from django.db import connection
from telebot import apihelper
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProtocolError, ProxyError
from urllib3.util import Timeout

from config.http_client import TooLong, TooMuch, http_session, read_bounded, read_raw, within
from config.monitoring import metrics
from config.monitoring.secret import Secret

log = logging.getLogger(__name__)

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}

LARGEST_ANSWER = 4 * 2**20  # bytes; a hundred updates, each with the longest text and another in reply, have half of it
FILE_SECONDS = 90  # that the download of a file may take
LONGEST_TEXT = 1000  # bytes of an answer that are shown where it cannot be read

# How many seconds of 429 a call waits out by itself before its caller is told: in a busy group Telegram asks for 40.
_patience = ContextVar("patience", default=60.0)
PAUSE = 1.0  # seconds after which a call is made once more that Telegram failed
# What does no harm when it is done twice; a message would be there twice
REPEATABLE = re.compile(r"edit|answer|delete|get|set|sendChatAction")


@contextmanager
def max_retry_wait(seconds):
    """Calls in this block wait out no more than so many seconds of 429; 0: the caller sees to it, and to all else."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


# --- Calls that ride in the answer to a webhook


class AnswerSlot:
    """Room for one call in the answer to an update's delivery (Bot API: making requests when getting updates)."""

    def __init__(self, until):
        self.until, self.call = until, None

    def take(self, method, params):
        """Put the call in, if there is room and time; returns whether it is in."""
        if self.call or time.monotonic() > self.until:
            return False
        self.call = {"method": method, **params}
        return True

    def make_call(self):
        """Make the call after all, by itself, because the answer would come too late or out of turn."""
        if not self.call:
            return
        params, self.call = self.call, None
        method = params.pop("method")
        try:
            apihelper._make_request(settings.TELEGRAM_BOT_TOKEN, method, params=params)
        except (apihelper.ApiException, TelegramUnavailable) as error:
            log.error("%s was not made: %s", method, error)


_slot: ContextVar[AnswerSlot | None] = ContextVar("slot", default=None)
_heard: ContextVar[bool] = ContextVar("heard", default=True)


@contextmanager
def answer_slot(until):
    """One call of this block that nobody waits for goes into the slot, up to that moment of time.monotonic()."""
    slot = AnswerSlot(until)
    token = _slot.set(slot)
    try:
        yield slot
    finally:
        _slot.reset(token)


@contextmanager
def unheard():
    """A call in this block may ride in the answer to a webhook: its result is None then, and no error is told."""
    token = _heard.set(False)
    try:
        yield
    finally:
        _heard.reset(token)


class TelegramUnavailable(Exception):
    """Telegram did not answer, or not in its own language; `sent` tells whether it may have done the work."""

    def __init__(self, method, why, sent=True):
        super().__init__(f"{method}: {why}")
        self.sent = sent


class Reply:
    """What pyTelegramBotAPI reads of an answer."""

    def __init__(self, status_code, content):
        self.status_code, self.content = status_code, content
        self.reason = ""

    @property
    def text(self):
        return self.content[:LONGEST_TEXT].decode("utf-8", "replace")  # for messages of errors

    def json(self):
        return json.loads(self.content)


@cache
def _session():
    return http_session(settings.TELEGRAM_API_URL, settings.BOT_THREADS + 4)


def send(method, url, params=None, files=None, timeout=None, proxies=None):
    """One call to the Bot API, as pyTelegramBotAPI asks for it (apihelper.CUSTOM_REQUEST_SENDER).

    Waits out 429s within the caller's `patience`; a longer one, and every other answer, goes back as it is. One moment
    without Telegram costs nobody their answer: what certainly did not arrive, what may be done twice, and what Telegram
    itself says has failed (5xx) is tried once more.
    Raises TelegramUnavailable, whose text never holds the address and the token in it.
    """
    name = url.rsplit("/", 1)[-1]
    if not files and not _heard.get() and (slot := _slot.get()) and slot.take(name, params):
        metrics.count("telegram.answers")
        return Reply(200, b'{"ok": true, "result": null}')
    if files:
        # read once: a file that is sent again must not be empty
        files = {key: _readable(value) for key, value in files.items()}
    left = _patience.get()
    once_more = left > 0 and name != "getUpdates"  # which has a loop of its own
    _lend_connection()
    while True:
        if name != "getUpdates":
            metrics.count("telegram.requests")
        trouble = None
        try:
            answer = _post(url, params, files, timeout or (5, 30))
        except (requests.ConnectTimeout, ConnectTimeoutError):
            trouble = TelegramUnavailable(name, "no connection", sent=False)
        except NewConnectionError:
            trouble = TelegramUnavailable(name, "connection refused", sent=False)
        except (requests.ConnectionError, ProtocolError, ProxyError) as error:
            refused = "NewConnectionError" in repr(error)
            trouble = TelegramUnavailable(name, "connection refused" if refused else "connection lost", not refused)
        except (requests.RequestException, HTTPError, TooMuch) as error:
            trouble = TelegramUnavailable(name, type(error).__name__)
        if not trouble:
            log.debug("Telegram: %s: %s", name, answer.status_code)
        again = not trouble.sent or REPEATABLE.match(name) if trouble else answer.status_code >= 500
        if again and once_more:
            once_more = False
            log.warning("Telegram: %s; once more in %s s", trouble or f"{name}: {answer.status_code}", PAUSE)
            time.sleep(PAUSE)
            continue
        if trouble:
            raise trouble  # out here, where the original, which names the address, is no part of it
        if answer.status_code == 400 and params and (moved := new_chat_of(answer.content)):
            if str(params.get("chat_id")) == str(moved):
                return answer
            params = {**params, "chat_id": moved}
            continue
        if answer.status_code != 429:
            return answer
        metrics.count("telegram.429")
        wait = retry_after(answer.content)
        log.warning("Telegram: %s: too many requests, retry after %s s", name, wait)
        if wait > left:
            return answer
        left -= wait
        time.sleep(wait)


def download(file_id, most):
    """The bytes of a file that somebody sent (Bot API: getFile; 20 MB at most).

    Raises ApiTelegramException where Telegram does not know the file or it is too big, TooLong where it is longer than
    `most` bytes, TelegramUnavailable.
    """
    path = str(apihelper.get_file(settings.TELEGRAM_BOT_TOKEN, file_id).get("file_path", ""))
    if not re.fullmatch(r"[\w./-]{1,200}", path, re.ASCII) or ".." in path:
        raise TelegramUnavailable("file", "an odd path")
    url = apihelper.FILE_URL.format(settings.TELEGRAM_BOT_TOKEN, path)
    try:
        with within(FILE_SECONDS), _session().get(url, timeout=(5, 30), stream=True, allow_redirects=False) as answer:
            if answer.status_code == 200:
                return read_bounded(answer, most, FILE_SECONDS)
            trouble = TelegramUnavailable("file", str(answer.status_code))
    except requests.RequestException as error:
        trouble = TelegramUnavailable("file", type(error).__name__)
    except TooLong:
        raise
    except TooMuch as error:
        trouble = TelegramUnavailable("file", str(error))
    raise trouble


def _post(url, params, files, timeout):
    """The Reply to one POST, in bounded time and size. Raises errors of requests and urllib3, TooMuch.

    Without files it goes past requests, straight to its pool of connections: half of what a card took was this.
    """
    connect, read = timeout
    form = {key: _field(value) for key, value in (params or {}).items() if value is not None}
    with within(connect + 2 * read):
        answer = _begin_post(url, form, files, timeout)
        try:
            return Reply(answer.status, read_raw(answer, LARGEST_ANSWER, read))
        finally:
            answer.release_conn()


def _begin_post(url, form, files, timeout):
    """urllib3's answer, its body not yet read."""
    if files:
        options = {"timeout": timeout, "allow_redirects": False, "stream": True}
        return _session().post(url, data=form, files=files, **options).raw
    scheme, _empty, host, path = url.split("/", 3)
    pool = _pool(f"{scheme}//{host}")
    target = url if pool.proxy and scheme == "http:" else f"/{path}"
    body = "&".join(f"{key}={_escaped(str(value))}" for key, value in form.items())
    options = {
        "retries": False,
        "redirect": False,
        "assert_same_host": False,
        "timeout": Timeout(connect=timeout[0], read=timeout[1]),
    }
    return pool.urlopen("POST", target, body, FORM, **options, preload_content=False)


@cache
def _pool(origin):
    """The connections that requests would take for this server, with its proxy and its certificates."""
    request = requests.PreparedRequest()
    request.url = origin + "/"
    adapter = _session().get_adapter(origin)
    pool = adapter.get_connection_with_tls_context(request, True, _session().proxies)
    adapter.cert_verify(pool, request.url, True, None)
    return pool


UNSAFE = re.compile(r"[^A-Za-z0-9_.~-]+")
ESCAPED = [UNSAFE.sub(f"%{code:02x}", chr(code)) for code in range(128)]


def _escaped(text):
    """The text as a form writes it: byte by byte for a keyboard of JSON, else a run of foreign letters at once."""
    if text.isascii():
        return "".join(map(ESCAPED.__getitem__, text.encode()))
    return UNSAFE.sub(lambda run: "%" + run[0].encode().hex("%"), text)


def _field(value):
    """A form's field: a switch as JSON writes it, since not every Bot API server takes Python's True for true."""
    return json.dumps(value) if isinstance(value, bool) else value


def _lend_connection():
    """Let other threads have this one's database connection while it waits, where there is a pool of them."""
    if connection.settings_dict["OPTIONS"].get("pool") and not connection.in_atomic_block:
        connection.close()


def _readable(value):
    name, content = value if isinstance(value, tuple) else (getattr(value, "name", "file"), value)
    return (name, content.read() if hasattr(content, "read") else content)


def retry_after(body):
    """The seconds that a 429 asks for; 5 where it does not say."""
    try:
        return max(1, int(json.loads(body)["parameters"]["retry_after"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return 5


def new_chat_of(body):
    """The id of the supergroup that a group has become, where a refusal says so (ResponseParameters); else None."""
    try:
        return json.loads(body)["parameters"]["migrate_to_chat_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def patch_telebot():
    """Have pyTelegramBotAPI call Telegram through this module."""
    apihelper.CUSTOM_REQUEST_SENDER = send
    # what these make is an address with the token in it
    apihelper.API_URL = Secret(settings.TELEGRAM_API_URL + "/bot{0}/{1}")
    apihelper.FILE_URL = Secret(settings.TELEGRAM_API_URL + "/file/bot{0}/{1}")
