"""The ground of the fake Telegram: its lock, its clock, the bots, their files and the updates that wait for them."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sandbox.telegram.account import Account, Call
from sandbox.telegram.chat import JSON, Bot
from sandbox.telegram.files import Document, PhotoSize, StoredFile, store_document, store_photo

UNASKED = {"chat_member", "message_reaction", "message_reaction_count"}  # come only when asked for
DAY_SECONDS = 24 * 3600


class State:
    """`changed` is the lock and the condition everything waits on; `version` counts changes."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.version = 0
        self.closed = False
        self.clock = time.time  # tests may put their own here
        self.accounts: dict[str, Account] = {}  # by token
        self.files: dict[str, StoredFile] = {}
        self.local_dir: Path | None = None  # of a Bot API server that runs with --local: it tells where files lie

    # -- changes ----------------------------------------------------------------------------------

    def touch(self) -> None:
        """Something changed: wake those who wait for it."""
        self.version += 1
        self.changed.notify_all()

    def wait_until(self, condition: Callable[[], object], timeout: float = 10) -> bool:
        """Wait until the condition holds; False if it does not come to that."""
        with self.changed:
            return bool(self.changed.wait_for(condition, timeout))

    def wait_for_change(self, version: int, timeout: float) -> bool:
        """Wait until `version` is no longer the latest; False if nothing happens."""
        return self.wait_until(lambda: self.version != version or self.closed, timeout) and not self.closed

    # -- bots and their updates -------------------------------------------------------------------

    def add_bot(self, token: str, username: str, first_name: str = "Bot") -> Bot:
        """Register one more bot; returns its Bot."""
        bot = Bot(int(token.split(":")[0]), username, first_name)
        # starts at the clock, so that a bot's database never meets an old number after a restart
        self.accounts[token] = Account(bot, token, next_update_id=int(time.time()))
        return bot

    def account_of(self, bot: Bot) -> Account:
        return next(a for a in self.accounts.values() if a.bot.id == bot.id)

    def add_update(self, bot: Bot, kind: str, payload: JSON) -> None:
        """Queue an update for a bot, unless it does not want the kind."""
        with self.changed:
            account = self.account_of(bot)
            wanted = kind in account.allowed if account.allowed else kind not in UNASKED
            if wanted:
                update = {"update_id": account.next_update_id, kind: payload}
                account.updates.append((account.next_update_id, self.clock(), update))
                account.next_update_id += 1
            self.touch()

    def waiting_updates(self, account: Account) -> list[tuple[int, float, JSON]]:
        """The updates a bot has not confirmed; those older than a day are gone."""
        oldest = self.clock() - DAY_SECONDS
        account.updates = [entry for entry in account.updates if entry[1] > oldest]
        return account.updates

    def perform_recorded(self, account: Account, call: Call) -> None:
        """Carry out and record a call that came in the answer to a webhook."""
        raise NotImplementedError

    # -- files ------------------------------------------------------------------------------------

    def keep_photo(self, bot: Bot, content: bytes) -> tuple[PhotoSize, ...]:
        """Store a photo; its sizes, smallest first. Slow: call it without the lock."""
        files = store_photo(bot.id, content)
        with self.changed:
            self.files |= {file.file_id: file for file in files}
        return files[-1].photo

    def keep_document(self, bot: Bot, name: str, content: bytes, mime_type: str = "") -> Document:
        """Store a file; its Document."""
        document, file = store_document(bot.id, name, content, mime_type)
        with self.changed:
            self.files[file.file_id] = file
        return document

    def on_disk(self, token: str, file: StoredFile) -> Path:
        """Where a file lies, as a Bot API server that runs with --local has it."""
        assert self.local_dir
        path = self.local_dir / token / file.path
        with suppress(OSError):  # it may be another machine's
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
        return path

    def forget_file(self, file_id: str) -> None:
        """Make a file_id, with its photo's other sizes, one that Telegram no longer knows."""
        with self.changed:
            file = self.files[file_id]
            for size in file.photo or (file,):
                self.files.pop(size.file_id, None)
