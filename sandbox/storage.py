"""What the sandbox keeps on the disk, so that a restart shows what was there: chats, files, accounts, links.

One JSON file, replaced atomically at most once a second, and a file for each photo and document. A kill loses the last
second. What cannot be read is put aside, and the sandbox starts empty. Topics, webhooks and open queries are not kept.
"""

import json
import os
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox.telegram.chat import JSON, Chat, Content, Message, Poll, PollOption
from sandbox.telegram.files import Document, PhotoSize, StoredFile
from sandbox.telegram.person import Person
from sandbox.telegram.server import Telegram
from sandbox.tmdb.state import Account, State

SAVE_INTERVAL_SECONDS = 1.0
MAX_MESSAGES = 500  # of a chat; the channel keeps all, since its posters are shown by their file_id
MAX_LOOSE_FILES = 200  # photos and documents, the newest, that no kept message shows
FORMAT = 1


class Storage:
    """Loads the state of both fakes from a folder, and saves it there while they run."""

    def __init__(self, folder: Path, telegram: Telegram, tmdb: State) -> None:
        self.folder, self.telegram, self.tmdb = folder, telegram, tmdb
        self.path, self.files = folder / "state.json", folder / "files"
        self.files.mkdir(parents=True, exist_ok=True)
        self._saved = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._save_regularly, daemon=True, name="storage")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Save for the last time."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            self.save()

    def _save_regularly(self) -> None:
        while not self._stop.wait(SAVE_INTERVAL_SECONDS):
            with suppress(OSError):  # a full disk ends no chat
                self.save()

    # -- to the disk ------------------------------------------------------------------------------

    def save(self) -> None:
        """Write what has changed; the files first, so that the state never names one that is not there."""
        with self.telegram.changed:
            kept = self._files_to_keep()
            state = {"format": FORMAT, "telegram": self._telegram(kept), "tmdb": self._tmdb()}
        text = json.dumps(state, ensure_ascii=False)
        if text == self._saved:
            return
        known = set(os.listdir(self.files))
        for file in kept:
            if (name := _name(file.file_id)) not in known:
                _write(self.files / name, file.content)
        _write(self.path, text.encode())
        self._saved = text
        for name in known - {_name(file.file_id) for file in kept}:
            (self.files / name).unlink(missing_ok=True)

    def _files_to_keep(self) -> list[StoredFile]:
        shown = set()
        for chat in self._chats():
            for message in _latest(self.telegram, chat):
                options = message.poll.options if message.poll else ()
                for photos in (message.photos, *(option.photos for option in options)):
                    shown |= {size.file_id for size in photos}
                if message.document:
                    shown.add(message.document.file_id)
        every = list(self.telegram.files.values())
        loose = [file for file in every if file.file_id not in shown][-MAX_LOOSE_FILES:]
        return [file for file in every if file.file_id in shown] + loose

    def _chats(self) -> list[Chat]:
        return [*self.telegram.chats.values(), *self.telegram.private_chats.values()]

    def _telegram(self, files: list[StoredFile]) -> JSON:
        account = self.telegram.account_of(self.telegram.bot)
        return {
            "people": [{name: getattr(p, name) for name in _PERSON} for p in self.telegram.people.values()],
            "chats": [_chat_json(self.telegram, chat) for chat in self._chats()],
            "files": [_file_json(file) for file in files],
            "next_update_id": account.next_update_id,
            "updates": list(account.updates),
            "commands": [[*key, value] for key, value in account.commands.items()],
            "texts": [[*key, value] for key, value in account.texts.items()],
        }

    def _tmdb(self) -> JSON:
        with self.tmdb.lock:
            accounts = {
                username: {name: _pairs(getattr(one, name)) for name in ("ratings", "rated_at", "watchlist")}
                for username, one in self.tmdb.accounts.items()
            }
            return {"accounts": accounts, "sessions": {id: one.username for id, one in self.tmdb.sessions.items()}}

    # -- from the disk ----------------------------------------------------------------------------

    def load(self) -> None:
        """Restore what was saved; nothing where nothing was."""
        try:
            state = json.loads(self.path.read_text(encoding="utf-8"))
            if state["format"] != FORMAT:
                raise ValueError("another format")
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError):
            self.path.replace(self.path.with_suffix(".unreadable"))
            return
        with self.telegram.changed:
            self._load_telegram(state["telegram"])
            self._load_tmdb(state["tmdb"])
            self.telegram.touch()

    def _load_telegram(self, state: JSON) -> None:
        telegram = self.telegram
        for row in state["files"]:
            if (path := self.files / _name(row["file_id"])).is_file():
                telegram.files[row["file_id"]] = _file_from(row, path.read_bytes())
        for row in state["people"]:
            telegram.people[row["id"]] = Person(telegram, **row)
        for row in state["chats"]:
            _load_chat(telegram, row)
        account = telegram.account_of(telegram.bot)
        account.next_update_id = max(account.next_update_id, state["next_update_id"])
        account.updates[:] = [(number, at, update) for number, at, update in state["updates"]]
        account.commands |= {(scope, language): value for scope, language, value in state["commands"]}
        account.texts |= {(what, language): value for what, language, value in state["texts"]}

    def _load_tmdb(self, state: JSON) -> None:
        for username, row in state["accounts"].items():
            account: Account = self.tmdb.accounts.get(username) or self.tmdb.add_account(username)
            account.ratings, account.rated_at = dict(row["ratings"]), dict(row["rated_at"])
            account.watchlist = dict(row["watchlist"])
        for session_id, username in state["sessions"].items():
            self.tmdb.sessions[session_id] = self.tmdb.accounts[username]


_PERSON = ("id", "first_name", "last_name", "username", "language_code")
_MESSAGE = ("id", "date", "origin", "inline_message_id", "service", "media_group_id", "edit_date")


def _write(path: Path, content: bytes) -> None:
    """Replace a file so that a kill leaves the old one or the new one, never a part."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.replace(path)


def _name(file_id: str) -> str:
    return file_id[-40:]


def _pairs(numbers: dict[int, float]) -> list[list[float]]:
    """A dictionary with whole numbers as keys, which JSON has not."""
    return [[key, value] for key, value in list(numbers.items())]


def _latest(telegram: Telegram, chat: Chat) -> list[Message]:
    messages = list(chat.messages.values())
    return messages if chat is telegram.poster_channel else messages[-MAX_MESSAGES:]


def _chat_json(telegram: Telegram, chat: Chat) -> JSON:
    return {
        "id": chat.id,
        "type": chat.type,
        "title": chat.title,
        "username": chat.username,
        "person": chat.person.id if chat.person else None,
        "members": [{**member, "who": member["who"].id} for member in chat.members.values()],
        "next_id": chat.next_id,
        "blocked": chat.blocked,
        "deleted": chat.deleted,
        "messages": [_message_json(message) for message in _latest(telegram, chat)],
    }


def _message_json(message: Message) -> JSON:
    return {name: getattr(message, name) for name in _MESSAGE} | {
        "sender": message.sender.id if message.sender else None,
        "author": message.author is not None,
        "via_bot": message.via_bot is not None,
        "reply_to": message.reply_to.id if message.reply_to else None,
        "edited": bool(message.edits),
        "content": _content_json(message.content),
    }


def _content_json(content: Content) -> JSON:
    out: JSON = {name: getattr(content, name) for name in ("text", "caption", "entities", "markup", "above")}
    out["photos"] = [asdict(size) for size in content.photos]
    out["document"] = asdict(content.document) if content.document else None
    if poll := content.poll:
        options = [asdict(option) for option in poll.options]
        out["poll"] = {**vars(poll), "bot": None, "options": options, "votes": _lists(poll.votes)}
    return out


def _lists(votes: dict[int, list[int]]) -> list[list[Any]]:
    return [[person_id, chosen] for person_id, chosen in votes.items()]


def _sizes(rows: list[JSON]) -> tuple[PhotoSize, ...]:
    return tuple(PhotoSize(**row) for row in rows)


def _content_from(telegram: Telegram, row: JSON) -> Content:
    poll = row.pop("poll", None)
    row["entities"], row["photos"] = tuple(row["entities"]), _sizes(row["photos"])
    row["document"] = Document(**row["document"]) if row["document"] else None
    if poll:
        options = tuple(PollOption(**{**option, "photos": _sizes(option["photos"])}) for option in poll["options"])
        poll = Poll(**{**poll, "bot": telegram.bot, "options": options, "votes": dict(poll["votes"])})
    return Content(**row, poll=poll)


def _file_json(file: StoredFile) -> JSON:
    row = {name: getattr(file, name) for name in ("file_id", "file_unique_id", "bot_id", "mime_type", "path")}
    row["photo"] = [asdict(size) for size in file.photo]
    return row | {"document": asdict(file.document) if file.document else None}


def _file_from(row: JSON, content: bytes) -> StoredFile:
    document = Document(**row["document"]) if row["document"] else None
    return StoredFile(**{**row, "photo": _sizes(row["photo"]), "document": document, "content": content})


def _load_chat(telegram: Telegram, row: JSON) -> None:
    if row["person"] is not None:
        chat = telegram.open_private_chat(telegram.bot, telegram.people[row["person"]])
    else:
        chat = telegram.chats.setdefault(row["id"], Chat(row["id"], row["type"], row["title"], row["username"]))
        everybody: dict[int, Any] = {**telegram.people, telegram.bot.id: telegram.bot}
        known = [member for member in row["members"] if member["who"] in everybody]
        chat.members = {member["who"]: {**member, "who": everybody[member["who"]]} for member in known}
    chat.next_id, chat.blocked, chat.deleted = max(chat.next_id, row["next_id"]), row["blocked"], row["deleted"]
    for one in row["messages"]:
        _load_message(telegram, chat, one)


def _load_message(telegram: Telegram, chat: Chat, row: JSON) -> None:
    bot = telegram.bot
    sender = bot if row["sender"] == bot.id else telegram.people.get(row["sender"])
    message = Message(
        row["id"], chat, sender, row["date"], _content_from(telegram, row["content"]),
        reply_to=chat.messages.get(row["reply_to"]), via_bot=bot if row["via_bot"] else None,
        author=bot if row["author"] else None, edits=[Content()] if row["edited"] else [],
        **{name: row[name] for name in _MESSAGE[2:]},
    )  # fmt: skip
    chat.messages[message.id] = message
    if message.inline_message_id:
        telegram.inline_messages[message.inline_message_id] = message
    if message.poll:
        telegram.polls[message.poll.id] = message
