"""A Person does what a person does with a phone: writes, presses, replies, blocks, looks at the chat.

Tests and the chat page use the same methods. `bot` arguments default to the fake's first bot.
"""

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandbox.telegram.chat import JSON, Answer, Bot, CallbackQuery, Chat, Content, InlineQuery, Message, Topic
from sandbox.telegram.text import find_entities, trim, utf16

if TYPE_CHECKING:
    from sandbox.telegram.chats import Chats


@dataclass(eq=False)
class Person:
    """A user of Telegram."""

    telegram: "Chats"
    id: int
    first_name: str
    last_name: str | None = None
    username: str | None = None
    language_code: str | None = "ru"

    is_bot = False

    def as_json(self) -> JSON:
        out: JSON = {"id": self.id, "is_bot": False, "first_name": self.first_name}
        for name in ("last_name", "username", "language_code"):
            if getattr(self, name):
                out[name] = getattr(self, name)
        return out

    @property
    def chat(self) -> list[Message]:
        """The messages of the private chat with the bot, oldest first, as they look now."""
        with self.telegram.changed:
            chat = self.private_chat()
            return list(chat.messages.values()) if chat else []

    def private_chat(self, bot: Bot | None = None) -> Chat | None:
        """The Chat with the bot, None before the person has started it."""
        return self.telegram.private_chats.get(((bot or self.telegram.bot).id, self.id))

    def transcript(self) -> str:
        return "\n".join(map(repr, self.chat)) or "(the chat is empty)"

    def send(
        self,
        text: str,
        reply_to: Message | None = None,
        chat: Chat | None = None,
        bot: Bot | None = None,
        topic: Topic | None = None,
    ) -> Message:
        """Write a message; the first one to a bot opens the private chat. A `topic` is of a forum `chat`."""
        text, _ = trim(text, [])
        if not text:
            raise ValueError("Telegram's apps send no empty message")
        if utf16(text) > 4096:
            raise ValueError("Telegram's apps split messages of more than 4096 characters")
        entities = find_entities(text)
        return self._post(Content(text=text, entities=tuple(entities)), chat, bot, reply_to, topic=topic)

    def open(self, url: str, bot: Bot | None = None) -> Message:
        """Follow a t.me link to the bot: presses START with the link's payload."""
        match = re.fullmatch(r"(?:https?://)?t\.me/(\w+)(?:\?start=([\w-]{1,64}))?", url)
        if not match:
            raise ValueError(f"{url} is no link to a bot")
        return self.send(f"/start {match.group(2) or ''}", bot=bot)

    def send_document(
        self,
        name: str,
        content: bytes,
        mime_type: str = "",
        caption: str = "",
        chat: Chat | None = None,
        bot: Bot | None = None,
        reply_to: Message | None = None,
        topic: Topic | None = None,
    ) -> Message:
        """Send a file."""
        bot = bot or self.telegram.bot
        document = self.telegram.keep_document(bot, name, content, mime_type)
        entities = tuple(find_entities(caption))
        said = Content(caption=caption or None, entities=entities, document=document)
        return self._post(said, chat, bot, reply_to, topic=topic)

    def send_photo(
        self,
        content: bytes,
        caption: str = "",
        chat: Chat | None = None,
        bot: Bot | None = None,
        reply_to: Message | None = None,
    ) -> Message:
        """Send a picture."""
        bot = bot or self.telegram.bot
        photos = self.telegram.keep_photo(bot, content)
        entities = tuple(find_entities(caption))
        return self._post(Content(caption=caption or None, entities=entities, photos=photos), chat, bot, reply_to)

    def forward(self, message: Message, chat: Chat | None = None, bot: Bot | None = None) -> Message:
        """Forward a message to a chat, the bot's by default."""
        content = replace(message.content, markup=None)
        return self._post(content, chat, bot, None, origin=self.telegram.origin_of(message))

    def _post(
        self,
        content: Content,
        chat: Chat | None,
        bot: Bot | None,
        reply_to: Message | None,
        topic: Topic | None = None,
        **more: Any,
    ) -> Message:
        telegram = self.telegram
        bot = bot or telegram.bot
        with telegram.changed:
            if chat is None:
                chat = telegram.open_private_chat(bot, self)
            if chat.type == "private" and chat.blocked:
                raise AssertionError(f"{self.first_name} has blocked the bot: unblock() first")
            sender = None if chat.type == "channel" else self
            topic = topic or (reply_to.topic if reply_to else None)
            message = telegram.add_message(chat, sender, content, reply_to=reply_to, topic=topic, **more)
            telegram.tell_bots(message)
            return message

    def edit(self, message: Message, text: str) -> Message:
        """Change what they wrote."""
        with self.telegram.changed:
            self.telegram.edit_message(message, Content(text=text, entities=tuple(find_entities(text))))
            self.telegram.tell_bots(message, edited=True)
        return message

    def press(self, message: Message, text: str | None = None, data: str | None = None) -> CallbackQuery:
        """Press a button of a message, named by its text or its callback data."""
        telegram = self.telegram
        with telegram.changed:
            button = message.button(text, data)
            if button.data is None:
                raise AssertionError(f"the button {button.text!r} sends nothing to the bot: {button.raw}")
            bot = message.via_bot or message.bot
            assert bot, "only messages of a bot have buttons"
            query = CallbackQuery(str(secrets.randbits(62)), self, message, button.data, bot, telegram.clock())
            telegram.callback_queries[query.id] = query
            update: JSON = {"id": query.id, "from": self.as_json()}
            if message.inline_message_id:
                update["inline_message_id"] = message.inline_message_id
            else:
                update["message"] = message.as_json()
            update |= {"chat_instance": str(abs(hash((bot.id, message.chat.id)))), "data": button.data}
            telegram.add_update(bot, "callback_query", update)
            return query

    def vote(self, message: Message, *options: str | int) -> None:
        """Choose options of a poll, by their texts or numbers; none: take the vote back."""
        assert message.poll, "this is no poll"
        texts = [option.text for option in message.poll.options]
        numbers = [texts.index(option) if isinstance(option, str) else option for option in options]
        self.telegram.vote(self, message.poll, numbers)

    def inline(self, query: str, offset: str = "", bot: Bot | None = None, chat_type: str = "sender") -> InlineQuery:
        """Type "@bot query" somewhere."""
        return self.telegram.ask_inline(self, query, offset, bot or self.telegram.bot, chat_type)

    def choose(self, query: InlineQuery, result: JSON | str, chat: Chat | None = None) -> Message:
        """Send one of the results of an inline query (the result, or its id)."""
        if not isinstance(result, dict):
            result = next(r for r in query.results or [] if r["id"] == result)
        return self.telegram.send_inline_result(self, query, result, chat)

    def block(self, bot: Bot | None = None) -> None:
        self.telegram.set_blocked(self, bot or self.telegram.bot, True)

    def unblock(self, bot: Bot | None = None) -> None:
        self.telegram.set_blocked(self, bot or self.telegram.bot, False)

    def wait(
        self,
        satisfies: Callable[[Message], bool] = lambda message: True,
        timeout: float = 10,
        after: Message | None = None,
        chat: Chat | None = None,
    ) -> Message:
        """The newest message of a bot that satisfies the condition (and came after the message `after`)."""
        found: list[Message] = []

        def look() -> bool:
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

    def wait_for_answer(self, query: CallbackQuery, timeout: float = 10) -> Answer:
        """The Answer to a press."""
        self.telegram.wait_until(lambda: query.answer is not None, timeout)
        if query.answer is None:
            raise AssertionError(f"the press on {query.data!r} was not answered in {timeout} s")
        return query.answer

    def wait_for_silence(self, seconds: float = 0.5, timeout: float = 10) -> None:
        """Return when nothing has changed in the chats for so many seconds."""
        end = time.monotonic() + timeout
        while self.telegram.wait_for_change(self.telegram.version, seconds):
            if time.monotonic() > end:
                raise AssertionError(f"the chats do not come to rest in {timeout} s")
