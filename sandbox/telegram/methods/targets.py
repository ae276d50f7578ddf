"""What a call's parameters point at: a chat, a topic, a message, a stored file; or the refusal Telegram gives."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox.http_server import Upload
from sandbox.telegram.account import Account
from sandbox.telegram.chat import JSON, Chat, Content, Message, Topic
from sandbox.telegram.errors import ApiError, bad, forbidden
from sandbox.telegram.files import Document, FileRefused, PhotoSize, StoredFile
from sandbox.telegram.methods.parameters import caption_of
from sandbox.telegram.methods.registry import Params

if TYPE_CHECKING:
    from sandbox.telegram.server import Telegram


def find_chat(telegram: "Telegram", account: Account, chat_id: Any, writing: bool = True) -> Chat:
    """The chat a bot speaks of, if it may; else the refusal Telegram gives."""
    if chat_id in (None, ""):
        raise bad("chat_id is empty")
    text = str(chat_id).strip()
    if text.startswith("@"):
        named = (c for c in telegram.chats.values() if (c.username or "").lower() == text[1:].lower())
        chat = next(named, None)
    elif re.fullmatch(r"-?\d{1,18}", text):
        number = int(text)
        chat = telegram.chats.get(number) or telegram.private_chats.get((account.bot.id, number))
        if chat is None and number in telegram.people:
            raise forbidden("bot can't initiate conversation with a user")
    else:
        chat = None
    if chat is None:
        raise bad("chat not found")
    if chat.type == "private":
        if chat.blocked and writing:
            raise forbidden("bot was blocked by the user")
        return chat
    if chat.migrated_to:
        parameters = {"migrate_to_chat_id": chat.migrated_to}
        raise ApiError(400, "Bad Request: group chat was upgraded to a supergroup chat", parameters)
    if chat.deleted and chat.type == "group":
        raise forbidden("the group chat was deleted")
    member = chat.members.get(account.bot.id, {"status": "left"})
    if chat.deleted or member["status"] == "kicked":
        raise forbidden(f"bot was kicked from the {chat.type} chat")
    if member["status"] == "left":
        raise forbidden(f"bot is not a member of the {chat.type} chat")
    if writing and chat.type == "channel" and not member.get("can_post_messages"):
        raise bad("need administrator rights in the channel chat")
    return chat


def _reply_to(chat: Chat, params: Params) -> Message | None:
    """The message that is replied to, or None."""
    reply = params.get("reply_parameters") or {}
    if "message_id" not in reply:
        return None
    message: Message | None = chat.messages.get(reply["message_id"])
    if message is None and not reply.get("allow_sending_without_reply"):
        raise bad("message to be replied not found")
    return message


def find_topic(account: Account, chat: Chat, params: Params, reply_to: Message | None = None) -> Topic | None:
    """The topic of a forum that the message goes to; None is General, which has no message_thread_id."""
    thread_id = params.get("message_thread_id")
    if not chat.is_forum:
        # elsewhere a thread is the replies to one message of a supergroup
        if thread_id and (chat.type != "supergroup" or thread_id not in chat.messages):
            raise bad("message thread not found")
        return None
    topic = chat.topics.get(thread_id) if thread_id else reply_to.topic if reply_to else None
    if thread_id and topic is None:
        raise bad("message thread not found")
    if (topic.closed if topic else chat.general_closed) and not _may_manage_topics(account, chat):
        raise bad("TOPIC_CLOSED")
    return topic


def _may_manage_topics(account: Account, chat: Chat) -> bool:
    member = chat.members[account.bot.id]
    return member["status"] == "administrator" and bool(member.get("can_manage_topics"))


def start_message(telegram: "Telegram", account: Account, params: Params) -> Chat:
    """The chat of a message that may be sent now: its place is there and the limits allow one more."""
    chat = find_chat(telegram, account, params["chat_id"])
    find_topic(account, chat, params, _reply_to(chat, params))
    telegram.count_message(account, chat)
    return chat


def post(telegram: "Telegram", account: Account, chat: Chat, content: Content, params: Params) -> Message:
    """Put the bot's message into a chat."""
    reply_to = _reply_to(chat, params)
    topic = find_topic(account, chat, params, reply_to)
    sender, author = (None, account.bot) if chat.type == "channel" else (account.bot, None)
    return telegram.add_message(chat, sender, content, reply_to=reply_to, topic=topic, author=author)


def find_message(telegram: "Telegram", account: Account, params: Params, missing: str) -> tuple[Chat, Message]:
    """(chat, message) named by chat_id and message_id."""
    chat = find_chat(telegram, account, params.get("chat_id"), writing=False)
    if not params.get("message_id"):
        raise bad("message identifier is not specified")
    message = chat.messages.get(params["message_id"])
    if message is None:
        raise bad(missing)
    return chat, message


def own_message(telegram: "Telegram", account: Account, params: Params) -> Message:
    """The message to edit: the bot's own, or one sent via it."""
    if params.get("inline_message_id"):
        message = telegram.inline_messages.get(params["inline_message_id"])
        if message is None or message.via_bot != account.bot:
            raise bad("MESSAGE_ID_INVALID")
        return message
    _, message = find_message(telegram, account, params, "message to edit not found")
    if message.bot != account.bot or message.service:
        raise bad("message can't be edited")
    return message


def edit(telegram: "Telegram", message: Message, content: Content) -> JSON | bool:
    """Change a message; what editMessage… returns."""
    if content == message.content:
        raise bad(
            "message is not modified: specified new message content and reply markup are exactly the same "
            "as a current content and reply markup of the message"
        )
    telegram.edit_message(message, content)
    return True if message.inline_message_id else message.as_json()


def known_file(telegram: "Telegram", account: Account, file_id: str) -> StoredFile:
    """The stored file behind a file_id that this bot may use."""
    file = telegram.files.get(file_id)
    if file is None:
        raise bad("wrong file identifier/HTTP URL specified")
    if file.bot_id != account.bot.id:
        raise bad("wrong remote file identifier specified: Wrong string length")
    return file


def _given(params: Params, value: Any) -> Any:
    """An Upload, or the text, of a parameter that takes both; attach:// is followed."""
    if isinstance(value, str) and value.startswith("attach://"):
        value = params.files.get(value.removeprefix("attach://"), value)
    if isinstance(value, str) and re.match(r"(https?|attach)://", value):
        raise bad("failed to get HTTP URL content")  # the fake fetches nothing
    return value


def photos_of(telegram: "Telegram", account: Account, params: Params, value: Any) -> tuple[tuple[PhotoSize, ...], bool]:
    """(sizes, whether they were uploaded just now) of a photo parameter."""
    value = _given(params, value)
    if isinstance(value, Upload):
        try:
            return telegram.keep_photo(account.bot, value.content), True
        except FileRefused as refused:
            raise bad(str(refused)) from None
    with telegram.changed:
        file = known_file(telegram, account, value)
    if not file.photo:
        raise bad("can't use file of type Document as Photo")
    return file.photo, False


def document_of(telegram: "Telegram", account: Account, params: Params, value: Any) -> Document:
    """The document of a parameter: uploaded now, or known by its file_id."""
    value = _given(params, value)
    if isinstance(value, Upload):
        try:
            return telegram.keep_document(account.bot, value.filename, value.content, value.content_type)
        except FileRefused as refused:
            raise bad(str(refused)) from None
    with telegram.changed:
        file = known_file(telegram, account, value)
    if not file.document:
        raise bad("can't use file of type Photo as Document")
    return file.document


def media_of(telegram: "Telegram", account: Account, params: Params, item: Mapping[str, Any]) -> Content:
    """What one InputMedia says."""
    if not isinstance(item.get("media"), str) or not item["media"]:
        raise bad("media not found")
    caption, entities = caption_of(item)
    if item.get("type") == "photo":
        photos, _ = photos_of(telegram, account, params, item["media"])
        above = bool(item.get("show_caption_above_media"))
        return Content(caption=caption, entities=entities, photos=photos, above=above)
    if item.get("type") == "document":
        document = document_of(telegram, account, params, item["media"])
        return Content(caption=caption, entities=entities, document=document)
    raise bad("type of the media is not supported by the sandbox")
