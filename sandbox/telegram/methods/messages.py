"""Bot API: sending, editing and deleting messages."""

import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.telegram.account import Account
from sandbox.telegram.chat import Content
from sandbox.telegram.errors import bad
from sandbox.telegram.methods.parameters import caption_of, keyboard, text_of
from sandbox.telegram.methods.registry import Params, method, slow_method
from sandbox.telegram.methods.targets import (
    document_of,
    edit,
    find_chat,
    find_message,
    find_topic,
    media_of,
    own_message,
    photos_of,
    post,
    start_message,
)

if TYPE_CHECKING:
    from sandbox.telegram.server import Telegram


CHAT_ACTIONS = {"typing", "choose_sticker", "find_location"} | {
    f"{doing}_{what}"
    for doing in ("upload", "record")
    for what in ("video", "voice", "video_note", "photo", "document", "audio")
}


@method
def sendMessage(telegram: "Telegram", account: Account, params: Params) -> object:
    text, entities = text_of(params)
    content = Content(text=text, entities=entities, markup=keyboard(params.get("reply_markup")))
    chat = start_message(telegram, account, params)
    return post(telegram, account, chat, content, params).as_json()


@slow_method
def sendPhoto(telegram: "Telegram", account: Account, params: Params) -> object:
    caption, entities = caption_of(params)
    markup = keyboard(params.get("reply_markup"))
    with telegram.changed:
        find_chat(telegram, account, params["chat_id"])
    photos, fresh = photos_of(telegram, account, params, params["photo"])
    above = params.get("show_caption_above_media", False)
    content = Content(caption=caption, entities=entities, photos=photos, markup=markup, above=above)
    with telegram.changed:
        chat = start_message(telegram, account, params)
        message = post(telegram, account, chat, content, params)
        if fresh and chat.type == "channel":
            telegram.photos.append(photos[-1])
        return message.as_json()


@slow_method
def sendDocument(telegram: "Telegram", account: Account, params: Params) -> object:
    caption, entities = caption_of(params)
    markup = keyboard(params.get("reply_markup"))
    with telegram.changed:
        find_chat(telegram, account, params["chat_id"])
    document = document_of(telegram, account, params, params["document"])
    with telegram.changed:
        chat = start_message(telegram, account, params)
        content = Content(caption=caption, entities=entities, document=document, markup=markup)
        return post(telegram, account, chat, content, params).as_json()


@slow_method
def sendMediaGroup(telegram: "Telegram", account: Account, params: Params) -> object:
    """An album of photos; each of them is a message of its own, and counts as one."""
    if not 2 <= len(params["media"]) <= 10:
        raise bad("group send failed: an album has 2-10 items")
    with telegram.changed:
        find_chat(telegram, account, params["chat_id"])
    contents = [media_of(telegram, account, params, item) for item in params["media"]]
    album = str(secrets.randbits(62))
    with telegram.changed:
        sent = []
        for content in contents:
            message = post(telegram, account, start_message(telegram, account, params), content, params)
            message.media_group_id = album
            sent.append(message.as_json())
        return sent


@method
def sendChatAction(telegram: "Telegram", account: Account, params: Params) -> object:
    chat = find_chat(telegram, account, params["chat_id"])
    find_topic(account, chat, params)
    if params["action"] not in CHAT_ACTIONS:
        raise bad("wrong parameter action in request")
    chat.action = (params["action"], time.time() + 5)
    telegram.touch()
    return True


@method
def editMessageText(telegram: "Telegram", account: Account, params: Params) -> object:
    text, entities = text_of(params)
    markup = keyboard(params.get("reply_markup"))
    message = own_message(telegram, account, params)
    if message.text is None:
        raise bad("there is no text in the message to edit")
    return edit(telegram, message, Content(text=text, entities=entities, markup=markup))


@method
def editMessageCaption(telegram: "Telegram", account: Account, params: Params) -> object:
    caption, entities = caption_of(params)
    markup = keyboard(params.get("reply_markup"))
    message = own_message(telegram, account, params)
    old = message.content
    if old.text is not None:
        raise bad("there is no caption in the message to edit")
    above = params.get("show_caption_above_media", False)
    new = Content(
        caption=caption,
        entities=entities,
        photos=old.photos,
        document=old.document,
        markup=markup,
        above=above,
    )
    return edit(telegram, message, new)


@method
def editMessageReplyMarkup(telegram: "Telegram", account: Account, params: Params) -> object:
    markup = keyboard(params.get("reply_markup"))
    message = own_message(telegram, account, params)
    return edit(telegram, message, replace(message.content, markup=markup))


@slow_method
def editMessageMedia(telegram: "Telegram", account: Account, params: Params) -> object:
    markup = keyboard(params.get("reply_markup"))
    with telegram.changed:
        own_message(telegram, account, params)
    if params.get("inline_message_id") and params.files:
        raise bad("can't upload a file for an inline message")
    media = media_of(telegram, account, params, params["media"])
    with telegram.changed:
        message = own_message(telegram, account, params)
        return edit(telegram, message, replace(media, markup=markup))


@method
def deleteMessage(telegram: "Telegram", account: Account, params: Params) -> object:
    chat, message = find_message(telegram, account, params, "message to delete not found")
    admin = chat.members.get(account.bot.id, {}).get("status") == "administrator"
    young = telegram.clock() - message.date < 48 * 3600
    if not young or (chat.type != "private" and message.bot != account.bot and not admin):
        raise bad("message can't be deleted for everyone")
    telegram.delete_message(message)
    return True
