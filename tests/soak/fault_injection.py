"""What goes wrong at the two services while the soak runs, and a journal of it."""

import json
import random
import re
import threading
import time
from dataclasses import dataclass, field

from sandbox.http_server import Fault, Response

SHARES = {"429": 0.05, "5xx": 0.02, "hang": 0.01, "lost": 0.01}  # of all requests
HANG = 40.0  # seconds, longer than any patience of ours; the work is not done then

TELEGRAM = re.compile(r"^/bot[^/]+/(\w+)")
MATTERS = {"getUpdates"}  # polled without end: a hang there is only a pause


@dataclass
class Mishap:
    """One request that went wrong; `about` is the press or the film it was for, where it was for one."""

    at: float
    kind: str
    what: str
    about: str = ""


@dataclass
class Weather:
    """Stands in for sandbox.http_server.Faults: each request has its chance of going wrong, while `stormy`."""

    seed: int
    watchers: list
    stormy: bool = True
    requests: int = 0
    journal: list = field(default_factory=list)

    def __post_init__(self):
        self.dice = random.Random(self.seed)
        self.lock = threading.Lock()

    def take(self, request):
        with self.lock:
            self.requests += 1
            kind = self.cast() if self.stormy else None
            if kind is None:
                return None
            found = TELEGRAM.match(request.path)
            what = found[1] if found else f"{request.method} {request.path}"
            if kind == "hang" and what in MATTERS:
                return None
            fault = self.fault(kind, telegram=bool(found))
            self.journal.append(Mishap(time.time(), kind, what, about(request, what)))
        if fault.response or fault.drop == "before":
            for watch in self.watchers:
                watch(request, fault)
        return fault

    def cast(self):
        """The kind of mishap that falls to a request; None, mostly."""
        number = self.dice.random()
        for kind, share in SHARES.items():
            number -= share
            if number < 0:
                return kind
        return None

    def fault(self, kind, telegram):
        if kind == "hang":
            return Fault(lambda request: True, delay=HANG, drop="before")
        if kind == "lost":
            return Fault(lambda request: True, drop="after")
        if kind == "5xx":
            status = self.dice.choice([500, 502, 503])
            body = b"<html>Bad Gateway</html>" if status == 502 else refusal(status, "Internal Server Error", telegram)
            return Fault(lambda request: True, response=Response(status, body))
        seconds = self.dice.randint(1, 3)
        words = f"Too Many Requests: retry after {seconds}"
        body = refusal(429, words, telegram, parameters={"retry_after": seconds})
        return Fault(lambda request: True, response=Response(429, body, {"Retry-After": str(seconds)}))


def refusal(status, words, telegram, **more):
    if telegram:
        return json.dumps({"ok": False, "error_code": status, "description": words, **more}).encode()
    return json.dumps({"success": False, "status_code": 25 if status == 429 else 11, "status_message": words}).encode()


def about(request, what):
    """The callback_query_id of an answer, "film <id>" of an upload."""
    if what not in ("answerCallbackQuery", "sendPhoto"):
        return ""
    form, files = request.fields()
    if what == "answerCallbackQuery":
        return form.get("callback_query_id", "")
    photo = files.get("photo")
    return f"film {photo.filename.removesuffix('.jpg')}" if photo else ""
