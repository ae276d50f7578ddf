"""Both fake services and the chat page on one port of the loopback interface.

with Sandbox() as sandbox:
    anna = sandbox.telegram.person("Анна")
    anna.send("/start")
"""

from pathlib import Path
from typing import Self

from sandbox.chat_page.page import ChatPage
from sandbox.http_server import Faults, Request, Response, Server
from sandbox.storage import Storage
from sandbox.telegram.server import CHANNEL, TOKEN, Telegram
from sandbox.tmdb.server import KEY, TMDb

GROUP = -1002000000001  # of the demonstration's people and the bot


class Sandbox:
    """A Telegram and a TMDb to try things on.

    `demo` brings people for the chat page, films of the last years, and limits; what is said and rated is kept in
    `folder`, if one is given.
    """

    telegram_token = TOKEN
    channel = CHANNEL
    tmdb_key = KEY

    def __init__(self, port: int = 0, demo: bool = False, folder: Path | None = None) -> None:
        self.faults = Faults()
        self.telegram = Telegram(self.faults, limits=demo)
        self.tmdb = TMDb(self.faults)
        self.chat_page = ChatPage(self.telegram, self.tmdb, self.empty)
        if demo:
            self.tmdb.limit = 40
            self.fill()
        self.server = Server(self.handle, port, self.faults)
        self.port, self.url = self.server.port, self.server.url
        self.tmdb.url = self.url
        self.telegram_api_url = self.url
        self.tmdb_api_url = self.url + "/3"
        self.tmdb_image_url = self.url + "/t/p"
        self.tmdb_web_url = self.url
        self.storage = Storage(folder, self.telegram, self.tmdb) if folder else None
        if self.storage:
            self.storage.load()

    def fill(self) -> None:
        """Bring what a demonstration begins with."""
        self.tmdb.add_recent()
        anna = self.telegram.person("Анна", id=7_000_000_001, username="anna_sandbox")
        boris = self.telegram.person("Борис", id=7_000_000_002, username="boris_sandbox")
        kate = self.telegram.person("Kate", id=7_000_000_003, username="kate_sandbox", language_code="en")
        self.telegram.group("Киноклуб", [anna, boris, kate], id=GROUP, supergroup=True)
        self.telegram.account_of(self.telegram.bot).updates.clear()  # the bot was added long ago

    def empty(self) -> None:
        """Begin anew: chats, files, accounts and links with TMDb are as at the first start."""
        with self.telegram.changed, self.tmdb.lock:
            self.telegram.clear()
            for kept in (self.tmdb.accounts, self.tmdb.sessions, self.tmdb.tokens):
                kept.clear()
            self.tmdb.add_accounts()
            self.fill()

    def handle(self, request: Request) -> Response:
        """Pass a request to the service its path belongs to."""
        if request.path.startswith(("/bot", "/file/bot")):
            return self.telegram.handle(request)
        if self.tmdb.serves(request.path):
            return self.tmdb.handle(request)
        return self.chat_page.handle(request)

    def start(self) -> Self:
        self.server.start()
        if self.storage:
            self.storage.start()
        return self

    def stop(self) -> None:
        self.telegram.stop()
        self.server.stop()
        if self.storage:
            self.storage.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()
