"""The fake Bot API on localhost: real HTTP, real errors and limits, people to talk to the bot.

Everything is in memory behind one lock. The methods that Kinoteka calls are in sandbox/telegram/methods; each
other method of Bot API 10.3 is accepted once its parameters have been checked, and answers true.

Stricter than the real service: an unknown parameter is refused, and so is one in the address
(`strict_query`), since addresses end up in logs. A file_id lives as long as the fake, and MarkdownV2
is not understood.
"""

import re
import time
from urllib.parse import unquote

from sandbox.http_server import Fault, Faults, Request, Response
from sandbox.telegram.account import API, NAMES, Account, Call
from sandbox.telegram.chats import CHANNEL, TOKEN, USERNAME, Chats
from sandbox.telegram.errors import ApiError
from sandbox.telegram.files import PhotoSize
from sandbox.telegram.methods import METHODS
from sandbox.telegram.methods.parameters import parse

__all__ = ["CHANNEL", "TOKEN", "USERNAME", "Telegram"]


class Telegram(Chats):
    """The service: what happens in it is inherited, here are its HTTP side and what tests ask of it."""

    def __init__(self, faults: Faults | None = None, limits: bool = False) -> None:
        super().__init__(limits)
        self.faults = faults if faults is not None else Faults()
        self.faults.watchers.append(self._faulted)
        self.strict_query = True
        self.latency = 0.0  # seconds every call takes
        self.serves_files = True  # a Bot API server that runs with --local does not
        self.calls: list[Call] = []
        self.photos: list[PhotoSize] = []  # the largest size of every photo uploaded to a channel, in order

    # -- the HTTP side ----------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer /bot<token>/<method> and /file/bot<token>/<path>."""
        path = unquote(request.path)
        if match := re.fullmatch(r"/file/bot([^/]+)/(.+)", path):
            return self._download(*match.groups())
        match = re.fullmatch(r"/bot([^/]+)/([^/]+)/?", path)
        if not match:
            return _refusal(ApiError(404, "Not Found"))
        token, name = match[1], match[2]
        started = time.monotonic()
        call = Call(NAMES.get(name.lower(), name), at=request.at, token_ok=token in self.accounts)
        call.in_query = bool(request.query)
        try:
            form, call.files = request.fields()
        except (ValueError, AttributeError):  # AttributeError: JSON that is no object
            form = None
        call.params = request.query | (form or {})
        with self.changed:  # only now: who looks at a call sees all of it
            self.calls.append(call)
            del self.calls[:-20000]
        try:
            if form is None:
                raise ApiError(400, "Bad Request: the body cannot be parsed")
            if self.latency:
                time.sleep(self.latency)
            if ":" not in token:
                raise ApiError(404, "Not Found")
            if token not in self.accounts:
                raise ApiError(401, "Unauthorized")
            if call.method not in API:
                raise ApiError(404, "Not Found")
            if call.in_query and self.strict_query:
                raise ApiError(400, "Bad Request: parameters belong in the body, not in the address")
            response = Response.json({"ok": True, "result": self.perform(self.accounts[token], call)})
        except ApiError as error:
            call.description = error.description
            response = _refusal(error)
        call.seconds = time.monotonic() - started
        call.status = response.status
        if call.method != "getUpdates":
            with self.changed:
                self.touch()
        return response

    def perform(self, account: Account, call: Call) -> object:
        """Check a call's parameters and carry it out; the result, or ApiError."""
        params = parse(API[call.method], call.params, call.files)
        method = METHODS.get(call.method)
        if method is None:
            return True
        if not method.locked:
            return method.function(self, account, params)
        with self.changed:
            return method.function(self, account, params)

    def _faulted(self, request: Request, fault: Fault) -> None:
        """A fault answered instead: the call is recorded all the same, with status 0 if it was dropped."""
        match = re.fullmatch(r"/bot([^/]+)/([^/]+)/?", unquote(request.path))
        if not match:
            return
        token, name = match[1], match[2]
        call = Call(NAMES.get(name.lower(), name), at=request.at, token_ok=token in self.accounts)
        call.in_query = bool(request.query)
        form, call.files = request.fields()
        call.params = request.query | form
        if fault.response and not fault.drop:
            call.status, call.description = fault.response.status, "a fault of the test"
        with self.changed:
            self.calls.append(call)
            self.touch()

    def perform_recorded(self, account: Account, call: Call) -> None:
        try:
            self.perform(account, call)
            call.status = 200
        except ApiError as error:
            call.status, call.description = error.code, error.description
        with self.changed:
            self.calls.append(call)
            self.touch()

    def _download(self, token: str, path: str) -> Response:
        account = self.accounts.get(token)
        with self.changed:
            for file in self.files.values():
                if self.serves_files and account and file.bot_id == account.bot.id and file.path == path:
                    return Response(200, file.content, {"Content-Type": file.mime_type})
        return _refusal(ApiError(404 if account else 401, "Not Found" if account else "Unauthorized"))

    def stop(self) -> None:
        """Let go of everything that waits."""
        with self.changed:
            self.closed = True
            for account in self.accounts.values():
                if account.webhook:
                    account.webhook.stop()
            self.changed.notify_all()

    # -- what tests look at and break -------------------------------------------------------------

    def calls_of(self, method: str) -> list[Call]:
        """The calls of one method so far, in order."""
        return [call for call in list(self.calls) if call.method == method]

    def fail(
        self,
        method: str,
        status: int = 500,
        description: str = "Internal Server Error",
        times: int | None = 1,
        retry_after: int | None = None,
        delay: float = 0,
        drop: str = "",
        body: bytes | None = None,
    ) -> Fault:
        """Make the next `times` calls of a method go wrong (None: until faults.clear()).

        With `status` 200, or with `drop` ("before" or "after" the work is done), no answer is put in place
        of the real one: that is a mere delay, or a connection that breaks. `retry_after` makes it a 429;
        `body` are the raw bytes of an answer that is not JSON.
        """
        parameters = None
        if retry_after is not None:
            status, description = 429, f"Too Many Requests: retry after {retry_after}"
            parameters = {"retry_after": retry_after}
        response: Response | None
        if body is not None:
            response = Response(status, body, {"Content-Type": "text/html"})
        elif status == 200 or drop:
            response = None
        else:
            response = _refusal(ApiError(status, description, parameters))

        return self.faults.add(
            rf"(?i)^/bot[^/]+/{method}/?$",
            times=times,
            response=response,
            delay=delay,
            drop=drop,
        )


def _refusal(error: ApiError) -> Response:
    body = {"ok": False, "error_code": error.code, "description": error.description}
    if error.parameters:
        body["parameters"] = error.parameters
    return Response.json(body, error.code)
