"""Messages: put into chats, edited, deleted, told to bots; and the limits on sending them."""

import math
import re
from collections import deque
from typing import Any

from sandbox.telegram.account import Account
from sandbox.telegram.chat import JSON, Bot, Chat, Content, Message
from sandbox.telegram.errors import ApiError
from sandbox.telegram.person import Person
from sandbox.telegram.state import State


class Messages(State):
    """What is said. The limits are those of Telegram's Bots FAQ, counted only with `limits` on; the burst is ours."""

    def __init__(self, limits: bool = False) -> None:
        super().__init__()
        self.limits = limits
        self.messages_per_minute = 20  # in a group or channel
        self.messages_per_second = 30  # over all chats
        self.private_burst = 5  # messages at once to one person; then one a second
        self.refused = 0  # calls answered with 429 by these limits
        self._sent: dict[tuple[int, ...], deque[float]] = {}

    def add_message(self, chat: Chat, sender: Person | Bot | None, content: Content, **more: Any) -> Message:
        """Put a message into a chat."""
        message = Message(chat.next_id, chat, sender, int(self.clock()), content, **more)
        chat.next_id += 1
        chat.messages[message.id] = message
        chat.action = ("", 0)
        self.touch()
        message.version = self.version
        return message

    def edit_message(self, message: Message, content: Content) -> None:
        """Change what a message says, keeping what it said."""
        message.edits.append(message.content)
        message.content = content
        message.edit_date = int(self.clock())
        self.touch()
        message.version = self.version

    def delete_message(self, message: Message) -> None:
        with self.changed:
            message.deleted = True
            message.chat.messages.pop(message.id, None)
            self.touch()

    def origin_of(self, message: Message) -> JSON:
        """Bot API: MessageOrigin of a forwarded message."""
        if message.origin:
            return message.origin
        if message.sender is None:
            return {
                "type": "channel",
                "chat": message.chat.as_json(),
                "message_id": message.id,
                "date": message.date,
            }
        return {"type": "user", "sender_user": message.sender.as_json(), "date": message.date}

    def tell_bots(self, message: Message, edited: bool = False) -> None:
        """Send a person's message to the bots that may see it."""
        chat = message.chat
        kind = ("edited_" if edited else "") + ("channel_post" if chat.type == "channel" else "message")
        if chat.bot:
            self.add_update(chat.bot, kind, message.as_json())
            return
        for member in chat.members.values():
            bot, admin = member["who"], member["status"] == "administrator"
            if not bot.is_bot or member["status"] not in ("member", "administrator"):
                continue
            if admin or (chat.type != "channel" and self._meant_for(bot, message)):
                self.add_update(bot, kind, message.as_json())

    def _meant_for(self, bot: Bot, message: Message) -> bool:
        """Privacy mode: in a group a bot sees commands, replies to it, what came via it, service messages."""
        if message.service or message.via_bot == bot or (message.reply_to and message.reply_to.bot == bot):
            return True
        command = re.match(r"/\w+(?:@(\w+))?", message.words)
        return command is not None and (command.group(1) or bot.username).lower() == bot.username.lower()

    def count_message(self, account: Account, chat: Chat) -> None:
        """Count a message about to be sent against the limits; ApiError 429 if it is one too many."""
        if not self.limits:
            return
        now = self.clock()
        windows: list[tuple[tuple[int, ...], int, int]] = [((account.bot.id,), self.messages_per_second, 1)]
        key = (account.bot.id, chat.id)
        if chat.type == "private":
            windows.append((key, self.private_burst, self.private_burst))
        else:
            windows.append((key, self.messages_per_minute, 60))
        wait = 0.0
        for name, size, seconds in windows:
            sent = self._sent.setdefault(name, deque())
            while sent and sent[0] <= now - seconds:
                sent.popleft()
            if len(sent) >= size:
                wait = max(wait, sent[len(sent) - size] + seconds - now)
        if wait > 0:
            self.refused += 1
            retry_after = max(1, math.ceil(wait))
            raise ApiError(429, f"Too Many Requests: retry after {retry_after}", {"retry_after": retry_after})
        for name, _, _ in windows:
            self._sent[name].append(now)
