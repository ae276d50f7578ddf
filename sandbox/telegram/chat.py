"""Chats, messages and people of the Telegram stand-in.

A Person does what a person does with a phone: writes, presses, replies, blocks, looks at the chat.
Tests and the chat page use the same methods.
"""

import re
import secrets
import time
from dataclasses import dataclass, field

from sandbox.telegram.text import find_entities, trim, utf16


@dataclass(frozen=True)
class Bot:
    """Who a token belongs to; what changes about a bot is in telegram.Account."""

    id: int
    username: str
    first_name: str

    is_bot = True

    def as_json(self):
        return {"id": self.id, "is_bot": True, "first_name": self.first_name, "username": self.username}


@dataclass(frozen=True)
class Button:
    """One inline button; `raw` is what the bot sent."""

    text: str
    raw: dict

    @property
    def data(self):
        return self.raw.get("callback_data")

    @property
    def url(self):
        return self.raw.get("url")

    @property
    def switch_inline(self):
        """The text that the button puts behind @bot here, or None."""
        return self.raw.get("switch_inline_query_current_chat", self.raw.get("switch_inline_query"))


@dataclass(frozen=True)
class Content:
    """What a message says: everything an edit can change."""

    text: str | None = None
    caption: str | None = None
    entities: tuple = ()  # of the text or of the caption
    photos: tuple = ()  # PhotoSize, smallest first
    document: object = None
    markup: dict | None = None  # an inline keyboard
    above: bool = False  # the caption stands above the photo

    @property
    def photo(self):
        return self.photos[-1] if self.photos else None

    @property
    def buttons(self):
        rows = (self.markup or {}).get("inline_keyboard", [])
        return [[Button(raw["text"], raw) for raw in row] for row in rows]

    def as_json(self):
        out = {}
        if self.text is not None:
            out["text"] = self.text
            if self.entities:
                out["entities"] = list(self.entities)
        if self.photos:
            out["photo"] = [size.as_json() for size in self.photos]
        if self.document:
            out["document"] = self.document.as_json()
        if self.caption:
            out["caption"] = self.caption
            if self.entities:
                out["caption_entities"] = list(self.entities)
        if self.above:
            out["show_caption_above_media"] = True
        if self.markup:
            out["reply_markup"] = self.markup
        return out


@dataclass(eq=False)
class Message:
    """One message, edited in place; `edits` holds what it said before, oldest first."""

    id: int
    chat: "Chat"
    sender: object  # Person, Bot, or None in a channel
    date: int
    content: Content
    reply_to: "Message | None" = None
    via_bot: Bot | None = None
    origin: dict | None = None
    media_group_id: str | None = None
    inline_message_id: str | None = None
    service: dict | None = None
    author: Bot | None = None  # the bot that posted to a channel
    edit_date: int | None = None
    deleted: bool = False
    edits: list[Content] = field(default_factory=list)
    version: int = 0

    text = property(lambda self: self.content.text)
    caption = property(lambda self: self.content.caption)
    entities = property(lambda self: self.content.entities)
    photo = property(lambda self: self.content.photo, doc="the largest size, or None")
    photos = property(lambda self: self.content.photos)
    document = property(lambda self: self.content.document)
    buttons = property(lambda self: self.content.buttons, doc="rows of Button")

    @property
    def from_bot(self):
        return self.bot is not None

    @property
    def bot(self):
        """The bot that wrote it, or None."""
        return self.author or (self.sender if getattr(self.sender, "is_bot", False) else None)

    @property
    def words(self):
        """Text or caption, whichever there is."""
        return self.text if self.text is not None else self.caption or ""

    def button(self, text=None, data=None):
        """The button with exactly this text, or this callback data."""
        buttons = [button for row in self.buttons for button in row]
        for button in buttons:
            if (text is not None and button.text == text) or (data is not None and button.data == data):
                return button
        have = ", ".join(f"{b.text!r} ({b.data or b.url or b.switch_inline})" for b in buttons) or "none"
        raise AssertionError(f"message {self.id} has no button {text or data!r}; it has: {have}")

    def as_json(self, with_reply=True):
        out = {"message_id": self.id}
        if self.sender is not None:
            out["from"] = self.sender.as_json()
        elif self.chat.type == "channel":
            out["sender_chat"] = self.chat.as_json()
        out |= {"chat": self.chat.as_json(), "date": self.date}
        if self.edit_date:
            out["edit_date"] = self.edit_date
        if self.origin:
            out["forward_origin"] = self.origin
        if self.via_bot:
            out["via_bot"] = self.via_bot.as_json()
        if self.media_group_id:
            out["media_group_id"] = self.media_group_id
        if self.reply_to and with_reply:
            out["reply_to_message"] = self.reply_to.as_json(with_reply=False)
        return out | (self.service or {}) | self.content.as_json()

    def __repr__(self):
        rows = " ".join("[" + " | ".join(b.text for b in row) + "]" for row in self.buttons)
        picture = "(photo) " if self.photos else "(document) " if self.document else ""
        who = self.sender.first_name if self.sender else self.chat.title
        return f"<{self.id} {who}: {picture}{self.words!r} {rows}>"


@dataclass(eq=False)
class Chat:
    """A private chat (of one bot and one person), a group, a supergroup or a channel."""

    id: int
    type: str
    title: str = ""
    username: str | None = None
    person: "Person | None" = None
    bot: Bot | None = None  # a private chat's
    messages: dict[int, Message] = field(default_factory=dict)
    members: dict[int, dict] = field(default_factory=dict)  # id -> {"who", "status", rights…}
    next_id: int = 1
    blocked: bool = False
    deleted: bool = False
    migrated_to: int | None = None
    action: tuple[str, float] = ("", 0)  # what the bot is doing, and until when

    def as_json(self):
        if self.type == "private":
            who = self.person.as_json()
            return {k: v for k, v in who.items() if k in ("id", "first_name", "last_name", "username")} | {
                "type": "private"
            }
        out = {"id": self.id, "type": self.type, "title": self.title}
        if self.username:
            out["username"] = self.username
        return out


@dataclass(frozen=True)
class Answer:
    """What answerCallbackQuery said; text "" only ends the waiting."""

    text: str = ""
    show_alert: bool = False
    url: str = ""


@dataclass(eq=False)
class CallbackQuery:
    """A press on a button; `answer` is None until the bot has answered."""

    id: str
    person: "Person"
    message: Message
    data: str
    bot: Bot
    at: float
    answer: Answer | None = None


@dataclass(eq=False)
class InlineQuery:
    """ "@bot text" in someone's composer; `results` is None until the bot has answered."""

    id: str
    person: "Person"
    query: str
    offset: str
    bot: Bot
    at: float
    telegram: object
    results: list[dict] | None = None
    contents: dict[str, Content] = field(default_factory=dict)  # what each result says, by its id
    next_offset: str = ""
    cache_time: int = 300
    is_personal: bool = False
    button: dict | None = None

    def wait(self, timeout=10):
        """The results, once they are there."""
        if not self.telegram.wait_until(lambda: self.results is not None, timeout):
            raise AssertionError(f"no answer to the inline query {self.query!r} in {timeout} s")
        return self.results


@dataclass(eq=False)
class Person:
    """Somebody with a phone. `bot` arguments default to the stand-in's first bot."""

    telegram: object
    id: int
    first_name: str
    last_name: str | None = None
    username: str | None = None
    language_code: str | None = "ru"

    is_bot = False

    def as_json(self):
        out = {"id": self.id, "is_bot": False, "first_name": self.first_name}
        for name in ("last_name", "username", "language_code"):
            if getattr(self, name):
                out[name] = getattr(self, name)
        return out

    @property
    def chat(self):
        """The messages of the private chat with the bot, oldest first, as they look now."""
        with self.telegram.changed:
            chat = self.private_chat()
            return list(chat.messages.values()) if chat else []

    def private_chat(self, bot=None):
        """The Chat with the bot, None before the person has started it."""
        return self.telegram.private_chats.get(((bot or self.telegram.bot).id, self.id))

    def transcript(self):
        return "\n".join(map(repr, self.chat)) or "(the chat is empty)"

    def send(self, text, reply_to=None, chat=None, bot=None):
        """Write a message; the first one to a bot opens the private chat."""
        text, _ = trim(text, [])
        if not text:
            raise ValueError("Telegram's apps send no empty message")
        if utf16(text) > 4096:
            raise ValueError("Telegram's apps split messages of more than 4096 characters")
        entities = find_entities(text)
        return self._post(Content(text=text, entities=tuple(entities)), chat, bot, reply_to)

    def open(self, url, bot=None):
        """Follow a t.me link to the bot: presses START with the link's payload."""
        match = re.fullmatch(r"(?:https?://)?t\.me/(\w+)(?:\?start=([\w-]{1,64}))?", url)
        if not match:
            raise ValueError(f"{url} is no link to a bot")
        return self.send(f"/start {match.group(2) or ''}", bot=bot)

    def send_document(self, name, content, mime_type="", caption="", chat=None, bot=None, reply_to=None):
        """Send a file."""
        bot = bot or self.telegram.bot
        document = self.telegram.keep_document(bot, name, content, mime_type)
        entities = tuple(find_entities(caption))
        said = Content(caption=caption or None, entities=entities, document=document)
        return self._post(said, chat, bot, reply_to)

    def send_photo(self, content, caption="", chat=None, bot=None, reply_to=None):
        """Send a picture."""
        bot = bot or self.telegram.bot
        photos = self.telegram.keep_photo(bot, content)
        entities = tuple(find_entities(caption))
        return self._post(Content(caption=caption or None, entities=entities, photos=photos), chat, bot, reply_to)

    def forward(self, message, chat=None, bot=None):
        """Forward a message to a chat, the bot's by default."""
        content = Content(
            message.text,
            message.caption,
            message.entities,
            message.photos,
            message.document,
            above=message.content.above,
        )
        return self._post(content, chat, bot, None, origin=self.telegram.origin_of(message))

    def _post(self, content, chat, bot, reply_to, **more):
        telegram = self.telegram
        bot = bot or telegram.bot
        with telegram.changed:
            if chat is None:
                chat = telegram.open_private_chat(bot, self)
            if chat.type == "private" and chat.blocked:
                raise AssertionError(f"{self.first_name} has blocked the bot: unblock() first")
            sender = None if chat.type == "channel" else self
            message = telegram.add_message(chat, sender, content, reply_to=reply_to, **more)
            telegram.tell_bots(message)
            return message

    def edit(self, message, text):
        """Change what they wrote."""
        with self.telegram.changed:
            self.telegram.edit_message(message, Content(text=text, entities=tuple(find_entities(text))))
            self.telegram.tell_bots(message, edited=True)
        return message

    def press(self, message, text=None, data=None):
        """Press a button of a message, named by its text or its callback data."""
        telegram = self.telegram
        with telegram.changed:
            button = message.button(text, data)
            if button.data is None:
                raise AssertionError(f"the button {button.text!r} sends nothing to the bot: {button.raw}")
            bot = message.via_bot or message.bot
            query = CallbackQuery(str(secrets.randbits(62)), self, message, button.data, bot, telegram.clock())
            telegram.callback_queries[query.id] = query
            update = {"id": query.id, "from": self.as_json()}
            if message.inline_message_id:
                update["inline_message_id"] = message.inline_message_id
            else:
                update["message"] = message.as_json()
            update |= {"chat_instance": str(abs(hash((bot.id, message.chat.id)))), "data": button.data}
            telegram.add_update(bot, "callback_query", update)
            return query

    def inline(self, query, offset="", bot=None, chat_type="sender"):
        """Type "@bot query" somewhere."""
        return self.telegram.ask_inline(self, query, offset, bot or self.telegram.bot, chat_type)

    def choose(self, query, result, chat=None):
        """Send one of the results of an inline query (the result, or its id)."""
        if not isinstance(result, dict):
            result = next(r for r in query.results if r["id"] == result)
        return self.telegram.send_inline_result(self, query, result, chat)

    def block(self, bot=None):
        self.telegram.set_blocked(self, bot or self.telegram.bot, True)

    def unblock(self, bot=None):
        self.telegram.set_blocked(self, bot or self.telegram.bot, False)

    def wait(self, satisfies=lambda message: True, timeout=10, after=None, chat=None):
        """The newest message of a bot that satisfies the condition (and came after the message `after`)."""
        found = []

        def look():
            messages = list(chat.messages.values()) if chat else self.chat
            for message in reversed(messages):
                if after is not None and message.id <= after.id:
                    return False
                if message.from_bot and satisfies(message):
                    found.append(message)
                    return True
            return False

        if not self.telegram.wait_until(look, timeout):
            raise AssertionError(f"no such message in {timeout} s; the chat:\n{self.transcript()}")
        return found[0]

    def wait_for_answer(self, query, timeout=10):
        """The Answer to a press."""
        if not self.telegram.wait_until(lambda: query.answer is not None, timeout):
            raise AssertionError(f"the press on {query.data!r} was not answered in {timeout} s")
        return query.answer

    def wait_for_silence(self, seconds=0.5, timeout=10):
        """Return when nothing has changed in the chats for so many seconds."""
        end = time.monotonic() + timeout
        while self.telegram.wait_for_change(self.telegram.version, seconds):
            if time.monotonic() > end:
                raise AssertionError(f"the chats do not come to rest in {timeout} s")
