"""What an update must be before a handler sees it: its shape, its texts, and who speaks in it.

Telegram sends nothing else; what else comes has the secret from somewhere, and must not do more than be turned away.
"""

from typing import Any

from telebot import types

MAX_ID = 2**52  # of people and chats (Bot API: at most 52 significant bits)


class NoUpdate(Exception):
    """What came is no update that could be handled; the text says why, and holds nothing of it."""


class Id:
    """An id of a person or chat."""


# The shapes of what handlers read; a name with "?" may be missing.
PERSON = {"id": Id, "first_name": str, "last_name?": str, "username?": str, "language_code?": str, "is_bot": bool}
CHAT = {"id": Id, "type": str}
DOCUMENT = {"file_id": str, "file_name?": str, "mime_type?": str, "file_size?": int}
BUTTON = {"text": str, "callback_data?": str}
MESSAGE: dict[str, Any] = {
    "message_id": int,
    "date": int,
    "chat": CHAT,
    "from?": PERSON,
    "sender_chat?": CHAT,
    "via_bot?": PERSON,
    "text?": str,
    "document?": DOCUMENT,
    "photo?": list,
    "reply_markup?": {"inline_keyboard": [[BUTTON]]},
}
MESSAGE["reply_to_message?"] = MESSAGE
SHAPES: dict[str, dict[str, Any]] = {
    "message": MESSAGE,
    "callback_query": {"id": str, "from": PERSON, "message?": MESSAGE, "data?": str},
    "inline_query": {"id": str, "from": PERSON, "query": str, "offset": str},
    "poll": {"id": str, "is_closed": bool, "options": [{"text": str, "voter_count": int}]},
    "my_chat_member": {"chat": CHAT, "from": PERSON, "new_chat_member": {"user": PERSON, "status": str}},
}


def read_update(data: object) -> types.Update:
    """The raw update as telebot's Update. Raises NoUpdate."""
    try:
        data = plain(data)
        parts = data.items() if isinstance(data, dict) else [("message", None)]
        if not all(fits(part, SHAPES[kind]) for kind, part in parts if kind in SHAPES):
            raise NoUpdate("not of the shape that Telegram's have")
        for poll in polls_in(data) if isinstance(data, dict) else ():
            for option in poll["options"]:
                option.setdefault("persistent_id", "")  # Bot API servers from before 10.0 tell none, telebot wants one
        update: types.Update = types.Update.de_json(data)
        return update
    except RecursionError:
        raise NoUpdate("too deep") from None
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise NoUpdate(f"telebot cannot read it: {type(error).__name__}") from None


def polls_in(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The polls of an update: one that has changed, or that of the message whose button was pressed."""
    message = (data.get("callback_query") or {}).get("message") or data.get("message") or {}
    polls = [data.get("poll"), message.get("poll"), (message.get("reply_to_message") or {}).get("poll")]
    return [poll for poll in polls if poll]


def plain(value: Any) -> Any:
    """JSON without what is null, and its texts without what no database takes."""
    if isinstance(value, str):
        return value if value.isascii() and "\0" not in value else cleaned(value)
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


def cleaned(text: str) -> str:
    """The text without what no database and no message can carry: NUL, halves of a surrogate pair."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def fits(value: Any, shape: Any) -> bool:
    """Whether JSON has this shape: a type, {name: shape}, or [shape] for a list of any length."""
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(
            fits(value[key], inner) if (key := name.rstrip("?")) in value else name.endswith("?")
            for name, inner in shape.items()
        )
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(one, shape[0]) for one in value)
    if shape is Id:
        return type(value) is int and abs(value) < MAX_ID
    if shape is int:
        return type(value) is int and abs(value) < 2**63
    return isinstance(value, shape)


def sender_of(data: dict[str, Any]) -> dict[str, Any] | None:
    """The `from` of a raw update, whatever its kind; None where there is none."""
    for part in data.values():
        sender = part.get("from") if isinstance(part, dict) else None
        if isinstance(sender, dict):
            return sender
    return None


def is_anonymous(message: types.Message) -> bool:
    """Whether a message is no person's own: a bot's, a channel's, or a group's, as its anonymous administrators write.

    All of these share one sender (GroupAnonymousBot, Channel Bot), so that nothing may be kept for it.
    """
    return message.from_user is None or message.from_user.is_bot or message.sender_chat is not None
