"""Bot API: setWebhook. Updates pushed to the bot's address."""

import json
import threading
import time
import urllib.error
import urllib.request

from sandbox.telegram.account import API, Account, Call
from sandbox.telegram.chat import JSON
from sandbox.telegram.state import State

PAUSES = (1, 2, 5, 10, 30, 60)  # seconds before an update is tried again

OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open  # loopback: never through a proxy


class Webhook:
    """Delivers one bot's updates: side by side across chats, in order within one, again until taken."""

    def __init__(
        self, telegram: State, account: Account, url: str, secret_token: str = "", max_connections: int = 40
    ) -> None:
        self.telegram, self.account = telegram, account
        self.url, self.secret_token, self.max_connections = url, secret_token, max_connections
        self.last_error_date = 0
        self.last_error_message = ""
        self.pauses: tuple[float, ...] = PAUSES
        self.stopped = False
        self.busy: dict[int, int] = {}  # chat -> the update under way
        self.tries: dict[int, tuple[int, float]] = {}  # update_id -> (failures, not before)
        threading.Thread(target=self.run, daemon=True).start()

    def stop(self) -> None:
        self.stopped = True

    def run(self) -> None:
        telegram = self.telegram
        with telegram.changed:
            while not (self.stopped or telegram.closed):
                soonest = 60.0
                passed: set[int] = set()  # chats whose oldest update is not done
                for update_id, _, update in telegram.waiting_updates(self.account):
                    chat = chat_of(update)
                    if chat in self.busy or chat in passed:
                        continue
                    passed.add(chat)
                    wait = self.tries.get(update_id, (0, 0))[1] - time.monotonic()
                    if wait > 0:
                        soonest = min(soonest, wait)
                    elif len(self.busy) < self.max_connections:
                        self.busy[chat] = update_id
                        threading.Thread(target=self.deliver, args=(chat, update), daemon=True).start()
                telegram.changed.wait(soonest)

    def deliver(self, chat: int, update: JSON) -> None:
        headers = {"Content-Type": "application/json"}
        if self.secret_token:
            headers["X-Telegram-Bot-Api-Secret-Token"] = self.secret_token
        # setWebhook lets http and https through
        request = urllib.request.Request(self.url, json.dumps(update).encode(), headers)  # noqa: S310
        error, reply = "", b""
        try:
            with OPEN(request, timeout=60) as response:
                reply = response.read()
        except urllib.error.HTTPError as refusal:
            error = f"Wrong response from the webhook: {refusal.code} {refusal.reason}"
        except (OSError, ValueError):
            error = "Connection refused"
        if reply and not self.stopped:
            self.carry_out(reply)
        telegram, update_id = self.telegram, update["update_id"]
        with telegram.changed:
            if error:
                failures = self.tries.get(update_id, (0, 0))[0]
                pause = self.pauses[min(failures, len(self.pauses) - 1)]
                self.tries[update_id] = (failures + 1, time.monotonic() + pause)
                self.last_error_date, self.last_error_message = int(telegram.clock()), error
            else:
                self.tries.pop(update_id, None)
                if not self.stopped:
                    account = self.account
                    account.updates = [entry for entry in account.updates if entry[0] != update_id]
            del self.busy[chat]
            telegram.touch()

    def carry_out(self, reply: bytes) -> None:
        """Bot API: "Making requests when getting updates": the answer itself may be a call."""
        try:
            data = json.loads(reply)
            method = data.pop("method")
        except (ValueError, AttributeError, KeyError, TypeError):
            return
        if method in API:
            form = {k: v if isinstance(v, str) else json.dumps(v) for k, v in data.items()}
            self.telegram.perform_recorded(self.account, Call(method, form))


def chat_of(update: JSON) -> int:
    """What keeps two updates in order: their chat, else their sender."""
    payload = next(value for key, value in update.items() if key != "update_id")
    message = payload.get("message") or payload
    return int((message.get("chat") or payload.get("from"))["id"])
