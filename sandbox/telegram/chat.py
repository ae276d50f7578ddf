"""What the fake Telegram keeps: bots, chats with their topics, messages, queries; each as the Bot API shows it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.telegram.files import Document, PhotoSize

if TYPE_CHECKING:
    from sandbox.telegram.chats import Chats
    from sandbox.telegram.person import Person

JSON = dict[str, Any]


@dataclass(frozen=True)
class Bot:
    """Who a token belongs to; what changes about a bot is in Account."""

    id: int
    username: str
    first_name: str

    is_bot = True

    def as_json(self) -> JSON:
        return {"id": self.id, "is_bot": True, "first_name": self.first_name, "username": self.username}


@dataclass(frozen=True)
class Button:
    """One inline button; `raw` is what the bot sent."""

    text: str
    raw: JSON

    @property
    def data(self) -> str | None:
        return self.raw.get("callback_data")

    @property
    def url(self) -> str | None:
        return self.raw.get("url")

    @property
    def switch_inline(self) -> str | None:
        """The text that the button puts behind @bot here, or None."""
        return self.raw.get("switch_inline_query_current_chat", self.raw.get("switch_inline_query"))


@dataclass(frozen=True)
class PollOption:
    """One answer of a poll, with a picture where the bot gave one."""

    persistent_id: str
    text: str
    photos: tuple[PhotoSize, ...] = ()  # smallest first


@dataclass(eq=False)
class Poll:
    """A native poll: `votes` are the numbers of the options, by the id of who chose them."""

    id: str
    question: str
    options: tuple[PollOption, ...]
    bot: Bot
    is_anonymous: bool = True
    allows_multiple_answers: bool = False
    allows_revoting: bool = True
    description: str = ""
    open_period: int | None = None
    close_date: int | None = None
    is_closed: bool = False
    votes: dict[int, list[int]] = field(default_factory=dict)

    def voters(self, option: int) -> int:
        return sum(option in chosen for chosen in self.votes.values())

    def as_json(self, in_message: bool = False) -> JSON:
        """Bot API: Poll; its description is part of messages only."""
        options: list[JSON] = []
        for number, option in enumerate(self.options):
            out: JSON = {"persistent_id": option.persistent_id, "text": option.text}
            if option.photos:
                out["media"] = {"photo": [size.as_json() for size in option.photos]}
            options.append(out | {"voter_count": self.voters(number)})
        poll: JSON = {
            "id": self.id,
            "question": self.question,
            "options": options,
            "total_voter_count": sum(map(bool, self.votes.values())),
            "is_closed": self.is_closed,
            "is_anonymous": self.is_anonymous,
            "type": "regular",
            "allows_multiple_answers": self.allows_multiple_answers,
            "allows_revoting": self.allows_revoting,
            "members_only": False,
        }
        for name in ("open_period", "close_date"):
            if getattr(self, name):
                poll[name] = getattr(self, name)
        if in_message and self.description:
            poll["description"] = self.description
        return poll


@dataclass(frozen=True)
class Content:
    """What a message says: everything an edit can change."""

    text: str | None = None
    caption: str | None = None
    entities: tuple[JSON, ...] = ()  # of the text or of the caption
    photos: tuple[PhotoSize, ...] = ()  # smallest first
    document: Document | None = None
    poll: Poll | None = None
    markup: JSON | None = None  # an inline keyboard
    above: bool = False  # the caption stands above the photo

    @property
    def photo(self) -> PhotoSize | None:
        return self.photos[-1] if self.photos else None

    @property
    def buttons(self) -> list[list[Button]]:
        rows = (self.markup or {}).get("inline_keyboard", [])
        return [[Button(raw["text"], raw) for raw in row] for row in rows]

    def as_json(self) -> JSON:
        out: JSON = {}
        if self.text is not None:
            out["text"] = self.text
            if self.entities:
                out["entities"] = list(self.entities)
        if self.photos:
            out["photo"] = [size.as_json() for size in self.photos]
        if self.document:
            out["document"] = self.document.as_json()
        if self.poll:
            out["poll"] = self.poll.as_json(in_message=True)
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
    sender: "Person | Bot | None"  # None in a channel
    date: int
    content: Content
    reply_to: "Message | None" = None
    via_bot: Bot | None = None
    origin: JSON | None = None
    topic: "Topic | None" = None  # of a forum; None in its General
    inline_message_id: str | None = None
    service: JSON | None = None
    media_group_id: str | None = None
    author: Bot | None = None  # the bot that posted to a channel
    edit_date: int | None = None
    deleted: bool = False
    edits: list[Content] = field(default_factory=list)
    version: int = 0

    @property
    def text(self) -> str | None:
        return self.content.text

    @property
    def caption(self) -> str | None:
        return self.content.caption

    @property
    def entities(self) -> tuple[JSON, ...]:
        return self.content.entities

    @property
    def photos(self) -> tuple[PhotoSize, ...]:
        return self.content.photos

    @property
    def photo(self) -> PhotoSize | None:
        """The largest size, or None."""
        return self.content.photo

    @property
    def document(self) -> Document | None:
        return self.content.document

    @property
    def poll(self) -> Poll | None:
        return self.content.poll

    @property
    def buttons(self) -> list[list[Button]]:
        return self.content.buttons

    @property
    def from_bot(self) -> bool:
        return self.bot is not None

    @property
    def bot(self) -> Bot | None:
        """The bot that wrote it, or None."""
        return self.author or (self.sender if isinstance(self.sender, Bot) else None)

    @property
    def words(self) -> str:
        """Text or caption, whichever there is."""
        return self.text if self.text is not None else self.caption or ""

    def button(self, text: str | None = None, data: str | None = None) -> Button:
        """The button with exactly this text, or this callback data."""
        buttons = [button for row in self.buttons for button in row]
        for button in buttons:
            if (text is not None and button.text == text) or (data is not None and button.data == data):
                return button
        have = ", ".join(f"{b.text!r} ({b.data or b.url or b.switch_inline})" for b in buttons) or "none"
        raise AssertionError(f"message {self.id} has no button {text or data!r}; it has: {have}")

    @property
    def thread_id(self) -> int | None:
        """message_thread_id: the topic, or the message that a chain of replies in a supergroup started from."""
        if self.topic:
            return self.topic.id
        if self.chat.type != "supergroup" or not self.reply_to:
            return None
        return self.reply_to.thread_id or self.reply_to.id

    def as_json(self, with_reply: bool = True) -> JSON:
        out: JSON = {"message_id": self.id}
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
        if self.thread_id:
            out["message_thread_id"] = self.thread_id
        if self.topic:
            out["is_topic_message"] = True
        if self.media_group_id:
            out["media_group_id"] = self.media_group_id
        # a message of a topic that replies to nothing replies to the message that made the topic
        reply_to = self.reply_to or (self.topic.created if self.topic and not self.service else None)
        if reply_to and with_reply:
            out["reply_to_message"] = reply_to.as_json(with_reply=False)
        return out | (self.service or {}) | self.content.as_json()

    def __repr__(self) -> str:
        rows = " ".join("[" + " | ".join(b.text for b in row) + "]" for row in self.buttons)
        picture = "(photo) " if self.photos else "(document) " if self.document else "(poll) " if self.poll else ""
        who = self.sender.first_name if self.sender else self.chat.title
        return f"<{self.id} {who}: {picture}{self.words!r} {rows}>"


@dataclass(eq=False)
class Topic:
    """A topic of a forum, but not General, which has no id of its own in messages. `id` is that of `created`."""

    name: str
    created: Message
    closed: bool = False

    @property
    def id(self) -> int:
        return self.created.id


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
    members: dict[int, JSON] = field(default_factory=dict)  # id -> {"who", "status", rights…}
    next_id: int = 1
    blocked: bool = False
    deleted: bool = False
    migrated_to: int | None = None
    is_forum: bool = False
    topics: dict[int, Topic] = field(default_factory=dict)  # by message_thread_id
    general_closed: bool = False
    action: tuple[str, float] = ("", 0)  # what the bot is doing, and until when

    def as_json(self) -> JSON:
        if self.person:
            who = self.person.as_json()
            return {k: v for k, v in who.items() if k in ("id", "first_name", "last_name", "username")} | {
                "type": "private"
            }
        out: JSON = {"id": self.id, "type": self.type, "title": self.title}
        if self.is_forum:
            out["is_forum"] = True
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
    telegram: "Chats"
    results: list[JSON] | None = None
    contents: dict[str, Content] = field(default_factory=dict)  # what each result says, by its id
    next_offset: str = ""
    cache_time: int = 300
    is_personal: bool = False
    button: JSON | None = None

    def wait(self, timeout: float = 10) -> list[JSON]:
        """The results, once they are there."""
        self.telegram.wait_until(lambda: self.results is not None, timeout)
        if self.results is None:
            raise AssertionError(f"no answer to the inline query {self.query!r} in {timeout} s")
        return self.results
