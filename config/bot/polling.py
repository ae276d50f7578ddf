"""The loop that loses no update: each is confirmed to Telegram only when it, and all before it, have been handled."""

import json
import logging
import threading
import time
from collections import deque

from django.conf import settings
from django.db import connections
from telebot import apihelper
from telebot.apihelper import ApiTelegramException

from config.bot import flood_control
from config.bot.dispatch import handle_update
from config.monitoring import heartbeats

log = logging.getLogger(__name__)

LONG_POLL = 25  # seconds
LIMIT = 100  # the most updates Telegram gives at once
SHORTEST_LOOK, LONGEST_LOOK = 0.02, 0.3  # seconds between two looks for new updates behind an unfinished one
BREATH = 0.005  # seconds
FINISH = 8  # seconds that SIGTERM leaves to what is at hand
KINDS = ["message", "callback_query", "inline_query", "my_chat_member"]


class CannotPoll(Exception):
    """Telegram will not give updates until somebody changes something; the text says what."""


def chat_of(update):
    """What orders updates: the chat they happen in, else the person they come from, else nothing (their own id)."""
    for kind, part in update.items():
        if isinstance(part, dict):
            if kind == "callback_query" and isinstance(part.get("message"), dict):
                part = part["message"]
            for owner in ("chat", "from"):
                if isinstance(part.get(owner), dict) and isinstance(part[owner].get("id"), int):
                    return part[owner]["id"]
    return f"update {update.get('update_id')}"


class Inbox:
    """Updates between Telegram and the handlers: in order within a chat, side by side across chats."""

    def __init__(self, handle, threads):
        self.handle = handle
        lock = threading.Lock()
        self.work, self.progress = threading.Condition(lock), threading.Condition(lock)
        self.unfinished = {}  # update_id: None, in the order they came
        self.finished = set()  # done, but behind an unfinished one
        self.waiting = {}  # chat: deque of its updates; a chat is in here while one of its updates is handled
        self.ready = deque()  # chats with an update to handle and nobody at it
        self.handled = 0  # updates, so far
        self.declined = 0  # updates of floods, so far
        self.closed = False
        self.threads = [threading.Thread(target=self._work, daemon=True, name=f"updates-{n}") for n in range(threads)]
        for thread in self.threads:
            thread.start()

    def put(self, update):
        """Take an update in, unless it is already here or one of a flood. Returns whether it was new."""
        update_id = update["update_id"]
        with self.work:
            if update_id in self.unfinished or update_id in self.finished:
                return False
            chat = chat_of(update)
            if flood_control.is_on(update):
                return self._decline(update, chat)
            if flood_control.begins(update, len(self.waiting.get(chat, ()))):
                return self._decline(update, chat, begun=True)
            self.unfinished[update_id] = None
            if chat in self.waiting:
                self.waiting[chat].append(update)
            else:
                self.waiting[chat] = deque([update])
                self.ready.append(chat)
                self.work.notify()
            return True

    def _decline(self, update, chat, begun=False):
        """Finish an update without handling it; where a flood begins, also what waits of its sender in the chat."""
        declined = [update]
        if begun:
            first = 1 if chat in self.ready else 0  # then a thread is about to come for that one
            waiting, person = list(self.waiting[chat]), flood_control.person_of(update)
            declined += [other for other in waiting[first:] if flood_control.person_of(other) == person]
            self.waiting[chat] = deque(other for other in waiting if other not in declined)
        self.declined += len(declined)
        for each in declined:
            self.unfinished.pop(each["update_id"], None)
            self.finished.add(each["update_id"])
        flood_control.tell(update, begun)
        return True

    def confirmed_to(self):
        """The offset to ask from: the oldest unfinished update, else the one after the newest; None: nothing yet."""
        with self.progress:
            if self.unfinished:
                offset = min(self.unfinished)
                self.finished = {done for done in self.finished if done > offset}
                return offset
            if not self.finished:
                return None
            newest = max(self.finished)
            self.finished = {newest}
            return newest + 1

    def wait_for_progress(self, before, seconds):
        """Sleep until more updates have been handled than `before`, at most so long."""
        with self.progress:
            self.progress.wait_for(lambda: self.closed or self.handled != before, seconds)

    def wait_for_idleness(self, seconds):
        """Sleep until nothing is unfinished, at most so long."""
        with self.progress:
            self.progress.wait_for(lambda: self.closed or not self.unfinished, seconds)

    def close(self, seconds):
        """Begin nothing more; wait for what is at hand. Returns how many handlers had to be left."""
        deadline = time.monotonic() + seconds
        with self.work:
            self.closed = True
            self.work.notify_all()
            self.progress.notify_all()
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return sum(thread.is_alive() for thread in self.threads)

    def _work(self):
        try:
            while True:
                with self.work:
                    self.work.wait_for(lambda: self.closed or self.ready)
                    if self.closed:
                        return
                    chat = self.ready.popleft()
                    update = self.waiting[chat].popleft()
                self.handle(update)
                with self.work:
                    del self.unfinished[update["update_id"]]
                    self.finished.add(update["update_id"])
                    self.handled += 1
                    if self.waiting[chat]:
                        self.ready.append(chat)
                        self.work.notify()
                    else:
                        del self.waiting[chat]
                    self.progress.notify_all()
        finally:
            connections.close_all()


def poll(stop):
    """Take updates and handle them until `stop` is set. Raises CannotPoll where only a person can help."""
    inbox = Inbox(handle_update, settings.BOT_THREADS)
    failure = []

    def ask():
        try:
            _ask(inbox, stop)
        except CannotPoll as error:
            failure.append(error)
            stop.set()

    threading.Thread(target=ask, daemon=True, name="getUpdates").start()
    stop.wait()
    left = inbox.close(FINISH)
    if left:
        log.warning("%s updates were not finished in time; Telegram will send them again", left)
    if failure:
        raise failure[0]
    if (offset := inbox.confirmed_to()) is not None:
        try:
            get_updates(offset, timeout=0, limit=1)
        except Exception as error:
            log.warning("the last updates could not be confirmed and will come again: %s", error)


def _ask(inbox, stop):
    delay, look = 1, SHORTEST_LOOK
    while not stop.is_set():
        before, declined = inbox.handled, inbox.declined
        try:
            updates = get_updates(inbox.confirmed_to(), LONG_POLL)
            delay = 1
            heartbeats.record_heartbeat("bot", heartbeats.HOST, "polling")
        except ApiTelegramException as error:
            if stop.is_set():
                return  # poll() has asked beside us, to confirm: that ends this question with a 409
            if error.error_code == 401 or error.error_code == 404:
                raise CannotPoll(
                    "Telegram does not know TELEGRAM_BOT_TOKEN: take the token that @BotFather shows."
                ) from None
            if error.error_code == 409 and "webhook" in error.description:
                raise CannotPoll(
                    "A webhook is set for this bot, so polling gets nothing: "
                    "run `manage.py delete_webhook`, or serve TELEGRAM_WEBHOOK_URL."
                ) from None
            if error.error_code == 409:
                log.error("another process polls with this token; only one may: stop the other")
            else:
                log.warning("getUpdates: %s", error.description)
            updates, delay = None, min(delay * 2, 30)
        except Exception as error:
            log.warning("getUpdates: %s; again in %s s", error, delay)
            updates, delay = None, min(delay * 2, 30)
        if updates is None:
            stop.wait(delay / 2)
            continue
        fresh = sum([inbox.put(update) for update in updates if isinstance(update.get("update_id"), int)])
        if inbox.declined != declined:
            stop.wait(BREATH)  # a flood would have it ask as fast as it can, and no thread beside it come to work
        elif fresh:
            inbox.wait_for_idleness(BREATH)  # asked at once, Telegram would only give the same again
        elif updates:
            # everything it gave is here already, behind one that takes its time; what is new is looked for meanwhile
            inbox.wait_for_progress(before, look)
            look = min(look * 1.5, LONGEST_LOOK)
        else:
            look = SHORTEST_LOOK


def get_updates(offset, timeout, limit=LIMIT):
    """Raw updates (Bot API: getUpdates), so that one that cannot be parsed harms no other."""
    params = {"timeout": timeout, "limit": limit, "allowed_updates": json.dumps(KINDS)}
    if offset is not None:
        params["offset"] = offset
    params["long_polling_timeout"] = params.pop("timeout")
    updates = apihelper._make_request(settings.TELEGRAM_BOT_TOKEN, "getUpdates", params=params)
    return [update for update in updates or [] if isinstance(update, dict)]
