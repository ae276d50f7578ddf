"""Simulated people: they link their accounts, import, search, rate here and at TMDb, and think in between."""

import heapq
import random
import re
import threading
import time
from dataclasses import dataclass, field

from sandbox.telegram.chat import Message
from sandbox.telegram.person import Person
from sandbox.tmdb.state import Account

THINK = 30.0  # seconds between two things a person does, on average
WAITS = 45.0  # seconds that they wait for the answer to a press before they do anything else
PATIENCE = 90.0  # seconds after which a user who links an account sends /connect again
POINTS = range(1, 11)
# What says that they are linked
LINKED = re.compile(r"Linked!|Your TMDb account is |I will read your ratings|Done! |No new ratings")


@dataclass(eq=False)
class Viewer:
    """One person: an account at TMDb, some films that they rate only there, others only in the chat."""

    person: Person
    account: Account
    at_tmdb: list[int]
    in_chat: list[int]
    dice: random.Random
    question: Message | None = None  # the message with the button "Done" that they have pressed
    fetched_at: float = 0.0
    linked: bool = False
    presses: list = field(default_factory=list)  # (film, value, CallbackQuery) in order

    def act(self, tmdb):
        """Do one thing; returns what."""
        if not self.person.private_chat():
            self.person.send("/start")
            return "start"
        if self.presses and self.presses[-1][2].answer is None and time.time() < self.presses[-1][2].at + WAITS:
            return "wait"
        if not self.linked:
            return self.link(tmdb)
        kind = self.dice.choices(
            ["card", "rate", "search", "list", "tmdb", "sync", "inline", "recommend", "stats"],
            [20, 30, 15, 10, 15, 5, 5, 4, 1],
        )[0]
        getattr(self, kind)()
        return kind

    # --- Linking

    def link(self, tmdb):
        """One step further: ask, approve and press, see what came of it."""
        newest = self.newest(lambda data: data.startswith("approved:"))
        if self.question is not None and self.says_linked():
            self.linked = True
            return "linked"
        if newest is None or (newest is self.question and time.time() > self.fetched_at + PATIENCE):
            self.person.send("/connect")
            self.fetched_at = time.time()
            return "connect"
        message, data = newest, self.data_of(newest, "approved:")
        token = data.partition(":")[2]
        if token in tmdb.tokens:
            tmdb.approve(token, self.account)
        self.question = message
        self.fetched_at = self.fetched_at or time.time()
        self.press(message, data)
        return "approve"

    def says_linked(self):
        """Whether the bot has said so: by the answer to the press, or by the message that shows the import."""
        words = [message.words for message in self.person.chat if message.from_bot]
        answers = [query.answer.text for _film, _value, query in self.presses if query.answer]
        return any(LINKED.match(text) for text in words + answers)

    # --- What they do

    def card(self):
        self.person.send(f"/movie {self.dice.choice(self.in_chat)}")

    def rate(self):
        """Press a number on the newest card of one of their films."""
        message = self.newest(lambda data: self.rated_film(data) in self.in_chat)
        if message is None:
            return self.card()
        film = self.rated_film(self.data_of(message, "rate:"))
        value = self.dice.choice(POINTS)
        self.press(message, f"rate:{film}:{value}", film, value)
        return None

    def search(self):
        self.person.send(self.dice.choice(["Матрица", "Крёстный", "Звёздные", "love", "Фильм № 12", "1999", "the"]))

    def list(self):
        self.person.send("/rated")

    def recommend(self):
        self.person.send("/recommend")

    def stats(self):
        self.person.send("/stats")

    def sync(self):
        self.person.send("/sync")

    def inline(self):
        self.person.inline(self.dice.choice(["matrix", "", "Фильм"]))

    def tmdb(self):
        """Rate a film at TMDb's site, or take a rating back there."""
        film = self.dice.choice(self.at_tmdb)
        if self.dice.random() < 0.2 and film in self.account.ratings:
            self.account.unrate(film)
        else:
            self.account.rate(film, self.dice.randint(1, 20) / 2)

    # --- Buttons

    def press(self, message, data, film=None, value=None):
        if any(button.data == data for row in message.buttons for button in row):
            self.presses.append((film, value, self.person.press(message, data=data)))

    def newest(self, fits):
        """The newest message with a button whose data fits."""
        for message in reversed(self.person.chat):
            if any(button.data and fits(button.data) for row in message.buttons for button in row):
                return message
        return None

    @staticmethod
    def data_of(message, prefix):
        buttons = [button.data for row in message.buttons for button in row]
        return next(data for data in buttons if data and data.startswith(prefix))

    @staticmethod
    def rated_film(data):
        found = re.match(r"rate:(\d+):", data)
        return int(found[1]) if found else None

    def possible(self, film):
        """The ratings that a film may have after all their presses; None: no rating."""
        allowed = {None}
        for pressed, value, query in self.presses:
            if pressed != film:
                continue
            told = query.answer
            if told and not told.show_alert and "your rating is" in told.text:
                allowed = {value}
            else:
                allowed.add(value)  # they were not told: it may have been done, or not
        return allowed


class Simulation(threading.Thread):
    """Has everybody act, each at their own pace, until told to stop."""

    def __init__(self, viewers, tmdb, seed, arrive_within):
        super().__init__(daemon=True)
        self.viewers, self.tmdb, self.dice = viewers, tmdb, random.Random(seed)
        self.arrive_within = arrive_within
        self.stopping = threading.Event()
        self.done = {}  # kind: how often

    def run(self):
        now = time.monotonic()
        agenda = [(now + self.dice.random() * self.arrive_within, n) for n in range(len(self.viewers))]
        heapq.heapify(agenda)
        while not self.stopping.is_set():
            due, n = agenda[0]
            if self.stopping.wait(max(0.0, due - time.monotonic())):
                return
            kind = self.viewers[n].act(self.tmdb)
            self.done[kind] = self.done.get(kind, 0) + 1
            pause = THINK if self.viewers[n].linked else THINK / 2
            heapq.heapreplace(agenda, (time.monotonic() + self.dice.uniform(0.3, 1.7) * pause, n))

    def stop(self):
        self.stopping.set()
        self.join()
