"""The methods of the Bot API that the stand-in carries out: one function per method, under its own name.

Each takes (telegram, account, params) with the parameters parsed by parse(), returns what goes into
"result", and raises ApiError. All but those in UNLOCKED run under the stand-in's lock.
"""

import json
import re
import secrets
import time
from contextlib import suppress
from urllib.parse import urlsplit

from sandbox.http_server import Upload
from sandbox.telegram.chat import Answer, Content
from sandbox.telegram.errors import ApiError, bad, forbidden
from sandbox.telegram.files import MAX_DOWNLOAD, FileRefused
from sandbox.telegram.text import EntityError, find_entities, parse_html, trim, utf16
from sandbox.telegram.webhook import Webhook

UNLOCKED = {
    "getUpdates",
    "sendPhoto",
    "sendDocument",
    "sendMediaGroup",
    "editMessageMedia",
}  # slow or waiting

MAX_TEXT, MAX_CAPTION = 4096, 1024
QUERY_SECONDS, INLINE_SECONDS = 150, 30  # how long a press and an inline query can be answered
OLD_QUERY = "query is too old and response timeout expired or query ID is invalid"
MISSING = {
    "chat_id": "chat_id is empty",
    "from_chat_id": "chat_id is empty",
    "text": "message text is empty",
    "message_id": "message identifier is not specified",
    "photo": "there is no photo in the request",
    "document": "there is no document in the request",
    "media": "there is no media in the request",
    "user_id": "invalid user_id specified",
    "callback_query_id": OLD_QUERY,
    "inline_query_id": OLD_QUERY,
    "file_id": "file_id not specified",
}
JSON_NAMES = {
    "reply_markup": "reply keyboard markup",
    "results": "inline query results",
    "commands": "commands",
    "scope": "BotCommandScope",
}
ACTIONS = (
    "url",
    "callback_data",
    "web_app",
    "login_url",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
    "copy_text",
    "callback_game",
    "pay",
    "disabled",
)
CHAT_ACTIONS = {"typing", "choose_sticker", "find_location"} | {
    f"{doing}_{what}"
    for doing in ("upload", "record")
    for what in ("video", "voice", "video_note", "photo", "document", "audio")
}


class Params(dict):
    """A call's parameters, parsed; `files` are the uploads by name."""

    files: dict


# -- parameters ---------------------------------------------------------------------------------------


def parse(facts, form, files):
    """The parameters of a call as Python values, checked against the facts about the method."""
    params = Params()
    params.files = dict(files)
    attached = {name for value in form.values() for name in re.findall(r'attach://([^"\\]+)', value)}
    for name in [*form, *files]:
        if name not in facts and not (name in files and name in attached):
            raise bad(f'unknown parameter "{name}"')
    for name, fact in facts.items():
        if name in files:
            if "InputFile" not in fact["types"]:
                raise bad(f'parameter "{name}" cannot be a file')
            params[name] = files[name]
        elif name in form:
            value = _value(name, form[name], fact["types"])
            if value is not None:
                params[name] = value
        if fact["required"] and name not in params:
            raise bad(MISSING.get(name, f'parameter "{name}" is required'))
        if fact["required"] and params[name] == "":
            raise bad(MISSING.get(name, f'parameter "{name}" is empty'))
    return params


def _value(name, text, types):
    """One parameter's value; None for an empty one that is no text."""
    if "String" in types or "InputFile" in types:
        return text
    if text in ("", "null"):
        return None
    kind = types[0]
    if kind == "Integer":
        if not re.fullmatch(r"[+-]?\d{1,19}", text.strip()):
            raise bad(f'parameter "{name}" must be an integer')
        return int(text)
    if kind == "Float":
        try:
            return float(text)
        except ValueError:
            raise bad(f'parameter "{name}" must be a number') from None
    if kind == "Boolean":
        if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise bad(f'parameter "{name}" must be true or false')
        return text.lower() in ("true", "1", "yes")
    refusal = bad(f"can't parse {JSON_NAMES.get(name, name)} JSON object")
    try:
        value = json.loads(text)
    except ValueError:
        raise refusal from None
    if kind == "Array of Integer":
        if not isinstance(value, list) or not all(type(item) is int for item in value):
            raise refusal
    elif kind == "Array of String":
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise refusal
    elif kind.startswith("Array of "):
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise refusal
    elif not isinstance(value, dict):
        raise refusal
    return value


def _formatted(text, params, limit, entities="entities", too_long="message is too long"):
    """(text, entities) of a text parameter after parse_mode, trimmed and measured."""
    mode = (params.get("parse_mode") or "").lower()
    if mode == "html":
        try:
            text, found = parse_html(text)
        except EntityError as error:
            raise bad(f"can't parse entities: {error}") from None
    elif mode:
        raise bad("unsupported parse_mode")
    else:
        found = [e for e in params.get(entities) or [] if {"type", "offset", "length"} <= e.keys()]
    text, found = trim(text, found)
    if utf16(text) > limit:
        raise bad(too_long)
    return text, tuple(find_entities(text, found))


def _text(params):
    text, entities = _formatted(params.get("text", ""), params, MAX_TEXT)
    if not text:
        raise bad("message text is empty")
    return text, entities


def _caption(params):
    text, entities = _formatted(
        params.get("caption", ""), params, MAX_CAPTION, "caption_entities", "message caption is too long"
    )
    return text or None, entities


def _keyboard(markup):
    """The inline keyboard to keep with a message, checked; None if there is none."""
    if not markup:
        return None
    if "inline_keyboard" not in markup:
        if not {"keyboard", "remove_keyboard", "force_reply"} & markup.keys():
            raise bad("object expected as reply markup")
        return None  # a keyboard of the person's own: accepted, not shown
    rows = markup["inline_keyboard"]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad("can't parse reply keyboard markup JSON object")
    wrong = "can't parse inline keyboard button: "
    for button in (button for row in rows for button in row):
        if not isinstance(button, dict):
            raise bad(wrong + "InlineKeyboardButton must be an Object")
        if not isinstance(button.get("text"), str):
            raise bad(wrong + 'Can\'t find field "text"')
        if not button["text"].strip():
            raise bad(wrong + "the text is empty")
        actions = [name for name in ACTIONS if name in button]
        if not actions:
            raise bad(wrong + "Text buttons are unallowed in the inline keyboard")
        if len(actions) > 1:
            raise bad(wrong + f"more than one action: {', '.join(actions)}")
        if "callback_data" in button:
            data = button["callback_data"]
            if not isinstance(data, str) or not 1 <= len(data.encode()) <= 64:
                raise bad("BUTTON_DATA_INVALID")
        if "url" in button:
            _check_url(button["url"])
    if sum(map(len, rows)) > 100:
        raise bad("reply markup is too long")
    rows = [row for row in rows if row]
    return {"inline_keyboard": rows} if rows else None


def _check_url(url):
    """Telegram wants a host with a dot in it; 127.0.0.1, where the sandbox is, will do here."""
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts and parts.scheme in ("tg", "ton"):
        return
    if not parts or parts.scheme not in ("http", "https") or "." not in (parts.hostname or "") or " " in url:
        raise bad(f"inline keyboard button URL '{url}' is invalid: Wrong HTTP URL")


# -- chats --------------------------------------------------------------------------------------------


def _chat(telegram, account, chat_id, writing=True):
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


def _reply_to(telegram, chat, params):
    """The message that is replied to, or None."""
    reply = params.get("reply_parameters") or {}
    if "message_id" not in reply:
        return None
    message = chat.messages.get(reply["message_id"])
    if message is None and not reply.get("allow_sending_without_reply"):
        raise bad("message to be replied not found")
    return message


def _post(telegram, account, chat, content, params, **more):
    """Put the bot's message into a chat; the Message."""
    sender, author = (None, account.bot) if chat.type == "channel" else (account.bot, None)
    reply_to = _reply_to(telegram, chat, params)
    return telegram.add_message(chat, sender, content, reply_to=reply_to, author=author, **more)


def _message(telegram, account, params, missing, id_name="message_id"):
    """(chat, message) named by chat_id and message_id."""
    chat = _chat(telegram, account, params.get("chat_id"), writing=False)
    if not params.get(id_name):
        raise bad("message identifier is not specified")
    message = chat.messages.get(params[id_name])
    if message is None:
        raise bad(missing)
    return chat, message


def _own_message(telegram, account, params):
    """The message to edit: the bot's own, or one sent via it."""
    if params.get("inline_message_id"):
        message = telegram.inline_messages.get(params["inline_message_id"])
        if message is None or message.via_bot != account.bot:
            raise bad("MESSAGE_ID_INVALID")
        return message
    _, message = _message(telegram, account, params, "message to edit not found")
    if message.bot != account.bot or message.service:
        raise bad("message can't be edited")
    return message


def _edit(telegram, message, content):
    """Change a message; what editMessage… returns."""
    if content == message.content:
        raise bad(
            "message is not modified: specified new message content and reply markup are exactly the same "
            "as a current content and reply markup of the message"
        )
    telegram.edit_message(message, content)
    return True if message.inline_message_id else message.as_json()


# -- files --------------------------------------------------------------------------------------------


def _known_file(telegram, account, file_id):
    """The stored file behind a file_id that this bot may use."""
    file = telegram.files.get(file_id)
    if file is None:
        raise bad("wrong file identifier/HTTP URL specified")
    if file.bot_id != account.bot.id:
        raise bad("wrong remote file identifier specified: Wrong string length")
    return file


def _given(params, value):
    """An Upload, or the text, of a parameter that takes both; attach:// is followed."""
    if isinstance(value, str) and value.startswith("attach://"):
        value = params.files.get(value.removeprefix("attach://"), value)
    if isinstance(value, str) and re.match(r"(https?|attach)://", value):
        raise bad("failed to get HTTP URL content")  # the stand-in fetches nothing
    return value


def _photos(telegram, account, params, value):
    """(sizes, whether they were uploaded just now) of a photo parameter."""
    value = _given(params, value)
    if isinstance(value, Upload):
        try:
            return telegram.keep_photo(account.bot, value.content), True
        except FileRefused as refused:
            raise bad(str(refused)) from None
    with telegram.changed:
        file = _known_file(telegram, account, value)
    if not file.photo:
        raise bad("can't use file of type Document as Photo")
    return file.photo, False


def _document(telegram, account, params, value):
    value = _given(params, value)
    if isinstance(value, Upload):
        try:
            return telegram.keep_document(account.bot, value.filename, value.content, value.content_type)
        except FileRefused as refused:
            raise bad(str(refused)) from None
    with telegram.changed:
        file = _known_file(telegram, account, value)
    if not file.document:
        raise bad("can't use file of type Photo as Document")
    return file.document


def _media(telegram, account, params, item):
    """(content, whether it was uploaded just now) of one InputMedia."""
    if not isinstance(item.get("media"), str) or not item["media"]:
        raise bad("media not found")
    caption, entities = _caption(item)
    if item.get("type") == "photo":
        photos, fresh = _photos(telegram, account, params, item["media"])
        above = bool(item.get("show_caption_above_media"))
        return Content(caption=caption, entities=entities, photos=photos, above=above), fresh
    if item.get("type") == "document":
        document = _document(telegram, account, params, item["media"])
        return Content(caption=caption, entities=entities, document=document), False
    raise bad("type of the media is not supported by the sandbox")


def getFile(telegram, account, params):
    file = telegram.files.get(params["file_id"])
    if file is None or file.bot_id != account.bot.id:
        raise bad("wrong file_id or the file is temporarily unavailable")
    if len(file.content) > MAX_DOWNLOAD:
        raise bad("file is too big")
    return {
        "file_id": file.file_id,
        "file_unique_id": file.file_unique_id,
        "file_size": len(file.content),
        "file_path": file.path,
    }


# -- messages -----------------------------------------------------------------------------------------


def sendMessage(telegram, account, params):
    text, entities = _text(params)
    content = Content(text=text, entities=entities, markup=_keyboard(params.get("reply_markup")))
    chat = _chat(telegram, account, params["chat_id"])
    _reply_to(telegram, chat, params)
    telegram.take_turn(account, chat)
    return _post(telegram, account, chat, content, params).as_json()


def sendPhoto(telegram, account, params):
    caption, entities = _caption(params)
    markup = _keyboard(params.get("reply_markup"))
    with telegram.changed:
        _chat(telegram, account, params["chat_id"])
    photos, fresh = _photos(telegram, account, params, params["photo"])
    above = params.get("show_caption_above_media", False)
    content = Content(caption=caption, entities=entities, photos=photos, markup=markup, above=above)
    with telegram.changed:
        chat = _chat(telegram, account, params["chat_id"])
        _reply_to(telegram, chat, params)
        telegram.take_turn(account, chat)
        message = _post(telegram, account, chat, content, params)
        if fresh and chat.type == "channel":
            telegram.photos.append(message.photo)
        return message.as_json()


def sendDocument(telegram, account, params):
    caption, entities = _caption(params)
    markup = _keyboard(params.get("reply_markup"))
    with telegram.changed:
        _chat(telegram, account, params["chat_id"])
    document = _document(telegram, account, params, params["document"])
    with telegram.changed:
        chat = _chat(telegram, account, params["chat_id"])
        _reply_to(telegram, chat, params)
        telegram.take_turn(account, chat)
        content = Content(caption=caption, entities=entities, document=document, markup=markup)
        return _post(telegram, account, chat, content, params).as_json()


def sendMediaGroup(telegram, account, params):
    if not params["media"]:
        raise bad("there are no messages to send")
    if len(params["media"]) > 10:
        raise bad("too much messages to send as an album")
    with telegram.changed:
        _chat(telegram, account, params["chat_id"])
    items = [_media(telegram, account, params, item) for item in params["media"]]
    with telegram.changed:
        chat = _chat(telegram, account, params["chat_id"])
        _reply_to(telegram, chat, params)
        telegram.take_turn(account, chat, len(items))
        album, sent = str(secrets.randbits(53)), []
        for content, fresh in items:
            message = _post(telegram, account, chat, content, params, media_group_id=album)
            if fresh and chat.type == "channel":
                telegram.photos.append(message.photo)
            sent.append(message.as_json())
        return sent


def sendChatAction(telegram, account, params):
    chat = _chat(telegram, account, params["chat_id"])
    if params["action"] not in CHAT_ACTIONS:
        raise bad("wrong parameter action in request")
    chat.action = (params["action"], time.time() + 5)
    telegram.touch()
    return True


def editMessageText(telegram, account, params):
    text, entities = _text(params)
    markup = _keyboard(params.get("reply_markup"))
    message = _own_message(telegram, account, params)
    if message.text is None:
        raise bad("there is no text in the message to edit")
    return _edit(telegram, message, Content(text=text, entities=entities, markup=markup))


def editMessageCaption(telegram, account, params):
    caption, entities = _caption(params)
    markup = _keyboard(params.get("reply_markup"))
    message = _own_message(telegram, account, params)
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
    return _edit(telegram, message, new)


def editMessageReplyMarkup(telegram, account, params):
    markup = _keyboard(params.get("reply_markup"))
    message = _own_message(telegram, account, params)
    old = message.content
    new = Content(old.text, old.caption, old.entities, old.photos, old.document, markup, old.above)
    return _edit(telegram, message, new)


def editMessageMedia(telegram, account, params):
    markup = _keyboard(params.get("reply_markup"))
    with telegram.changed:
        _own_message(telegram, account, params)
    if params.get("inline_message_id") and params.files:
        raise bad("can't upload a file for an inline message")
    media, _ = _media(telegram, account, params, params["media"])
    with telegram.changed:
        message = _own_message(telegram, account, params)
        new = Content(None, media.caption, media.entities, media.photos, media.document, markup, media.above)
        return _edit(telegram, message, new)


def deleteMessage(telegram, account, params):
    chat, message = _message(telegram, account, params, "message to delete not found")
    admin = chat.members.get(account.bot.id, {}).get("status") == "administrator"
    young = telegram.clock() - message.date < 48 * 3600
    if not young or (chat.type != "private" and message.bot != account.bot and not admin):
        raise bad("message can't be deleted for everyone")
    telegram.delete_message(message)
    return True


def deleteMessages(telegram, account, params):
    if not 1 <= len(params["message_ids"]) <= 100:
        raise bad("there are no messages to delete" if not params["message_ids"] else "too many messages to delete")
    _chat(telegram, account, params["chat_id"], writing=False)
    for message_id in params["message_ids"]:
        with suppress(ApiError):  # Bot API: messages that cannot be found or deleted are skipped
            deleteMessage(telegram, account, {"chat_id": params["chat_id"], "message_id": message_id})
    return True


def forwardMessage(telegram, account, params):
    source = {"chat_id": params["from_chat_id"], "message_id": params["message_id"]}
    _, message = _message(telegram, account, source, "message to forward not found")
    chat = _chat(telegram, account, params["chat_id"])
    telegram.take_turn(account, chat)
    old = message.content
    content = Content(old.text, old.caption, old.entities, old.photos, old.document, above=old.above)
    return _post(telegram, account, chat, content, params, origin=telegram.origin_of(message)).as_json()


def copyMessage(telegram, account, params):
    source = {"chat_id": params["from_chat_id"], "message_id": params["message_id"]}
    _, message = _message(telegram, account, source, "message to copy not found")
    chat = _chat(telegram, account, params["chat_id"])
    old, caption, entities = message.content, message.caption, message.entities
    if "caption" in params and old.text is None:
        caption, entities = _caption(params)
    markup = _keyboard(params.get("reply_markup"))
    telegram.take_turn(account, chat)
    content = Content(old.text, caption, entities, old.photos, old.document, markup, old.above)
    return {"message_id": _post(telegram, account, chat, content, params).id}


def forwardMessages(telegram, account, params):
    return [
        {"message_id": forwardMessage(telegram, account, params | {"message_id": number})["message_id"]}
        for number in params["message_ids"]
    ]


def copyMessages(telegram, account, params):
    rest = {k: v for k, v in params.items() if k != "remove_caption"}
    if params.get("remove_caption"):
        rest["caption"] = ""
    return [copyMessage(telegram, account, rest | {"message_id": number}) for number in params["message_ids"]]


# -- presses and inline mode --------------------------------------------------------------------------


def answerCallbackQuery(telegram, account, params):
    query = telegram.callback_queries.get(params["callback_query_id"])
    if utf16(params.get("text", "")) > 200:
        raise bad("MESSAGE_TOO_LONG")
    late = query and telegram.clock() - query.at > QUERY_SECONDS
    if query is None or query.bot != account.bot or query.answer is not None or late:
        raise bad(OLD_QUERY)
    query.answer = Answer(params.get("text", ""), params.get("show_alert", False), params.get("url", ""))
    telegram.touch()
    return True


def answerInlineQuery(telegram, account, params):
    query = telegram.inline_queries.get(params["inline_query_id"])
    results = params["results"]
    if len(results) > 50:
        raise bad("RESULTS_TOO_MUCH")
    if len(params.get("next_offset", "").encode()) > 64:
        raise bad("NEXT_OFFSET_INVALID")
    button = params.get("button")
    if button and not (button.get("text") and ("start_parameter" in button or "web_app" in button)):
        raise bad("can't parse inline query results button")
    if button and not re.fullmatch(r"[\w-]{1,64}", button.get("start_parameter", "ok"), re.ASCII):
        raise bad("START_PARAM_INVALID")
    contents = {}
    for result in results:
        name = result.get("id")
        if not isinstance(name, str) or not 1 <= len(name.encode()) <= 64:
            raise bad("RESULT_ID_INVALID")
        if name in contents:
            raise bad("RESULT_ID_DUPLICATE")
        contents[name] = _result_content(telegram, account, result)
    late = query and telegram.clock() - query.at > INLINE_SECONDS
    if query is None or query.bot != account.bot or query.results is not None or late:
        raise bad(OLD_QUERY)
    query.contents, query.results = contents, results
    query.next_offset = params.get("next_offset", "")
    query.cache_time = params.get("cache_time", 300)
    query.is_personal = params.get("is_personal", False)
    query.button = button
    telegram.inline_answered(query)
    telegram.touch()
    return True


def _result_content(telegram, account, result):
    """What an InlineQueryResult sends when it is chosen, checked as Telegram checks it."""
    kind, markup = result.get("type"), _keyboard(result.get("reply_markup"))
    message = result.get("input_message_content")
    text = None
    if message is not None:
        if not isinstance(message, dict) or "message_text" not in message:
            raise bad("can't parse inline query result: Message content is not specified")
        text, entities = _text({**message, "text": message["message_text"]})
    if kind == "article":
        if not result.get("title"):
            raise bad("can't parse inline query result: Can't find field \"title\"")
        if text is None:
            raise bad("can't parse inline query result: Message content is not specified")
        return Content(text=text, entities=entities, markup=markup)
    if kind in ("photo", "document"):
        stored = result.get(f"{kind}_file_id")
        if stored is None:
            if kind == "photo" and result.get("photo_url") and result.get("thumbnail_url"):
                caption, entities = _caption(result)
                return Content(text=text or caption or result["photo_url"], entities=entities, markup=markup)
            raise bad(f"can't parse inline query result: {kind}_file_id not specified")
        file = _known_file(telegram, account, stored)
        if kind == "document" and not result.get("title"):
            raise bad("can't parse inline query result: Can't find field \"title\"")
        if (kind == "photo") != bool(file.photo):
            raise bad("wrong file identifier/HTTP URL specified")
        caption, found = _caption(result)
        if text is not None:
            return Content(text=text, entities=entities, markup=markup)
        above = bool(result.get("show_caption_above_media"))
        return Content(
            caption=caption,
            entities=found,
            photos=file.photo,
            document=file.document,
            markup=markup,
            above=above,
        )
    raise bad(f"type {kind!r} of inline query result is not supported by the sandbox")


# -- updates ------------------------------------------------------------------------------------------


def getUpdates(telegram, account, params):
    """An update is forgotten when a later offset is asked for, and only then."""
    with telegram.changed:
        if account.webhook:
            raise ApiError(
                409,
                "Conflict: can't use getUpdates method while webhook is active; "
                "use deleteWebhook to delete the webhook first",
            )
        account.poll += 1
        mine = account.poll
        telegram.changed.notify_all()  # an earlier poll ends with a conflict
        if "allowed_updates" in params:
            account.allowed = set(params["allowed_updates"])
        offset = params.get("offset", 0)
        if offset > account.next_update_id:
            offset = 0  # beyond the newest id: from the beginning of what waits
        waiting = telegram.waiting_updates(account)
        if offset < 0:
            account.updates = waiting[offset:]
        else:
            account.updates = [entry for entry in waiting if entry[0] >= offset]
        limit = params.get("limit", 100)
        limit = limit if 1 <= limit <= 100 else 100
        end = time.monotonic() + min(max(params.get("timeout", 0), 0), 50)
        account.polling += 1
        try:
            while True:
                if account.poll != mine:
                    raise ApiError(
                        409,
                        "Conflict: terminated by other getUpdates request; "
                        "make sure that only one bot instance is running",
                    )
                if account.webhook:
                    raise ApiError(409, "Conflict: terminated by setWebhook request")
                batch = [update for _, _, update in telegram.waiting_updates(account)[:limit]]
                left = end - time.monotonic()
                if batch or left <= 0 or telegram.closed:
                    return batch
                telegram.changed.wait(left)
        finally:
            account.polling -= 1
            account.polled_at = time.time()


def setWebhook(telegram, account, params):
    url = params["url"]
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "localhost")  # the real one wants HTTPS and a public address
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise bad("bad webhook: An HTTPS URL must be provided for webhook")
    secret = params.get("secret_token", "")
    if len(secret) > 256 or not re.fullmatch(r"[A-Za-z0-9_-]*", secret):
        raise bad("secret token contains unallowed characters")
    if not 1 <= params.get("max_connections", 40) <= 100:
        raise bad("max_connections must be from 1 to 100")
    if params.get("drop_pending_updates"):
        account.updates = []
    if "allowed_updates" in params:
        account.allowed = set(params["allowed_updates"])
    if account.webhook:
        account.webhook.stop()
    account.webhook = Webhook(telegram, account, url, secret, params.get("max_connections", 40))
    telegram.touch()
    return True


def deleteWebhook(telegram, account, params):
    if params.get("drop_pending_updates"):
        account.updates = []
    if account.webhook:
        account.webhook.stop()
        account.webhook = None
    telegram.touch()
    return True


def getWebhookInfo(telegram, account, params):
    hook = account.webhook
    info = {
        "url": hook.url if hook else "",
        "has_custom_certificate": False,
        "pending_update_count": len(telegram.waiting_updates(account)),
    }
    if hook:
        info |= {"max_connections": hook.max_connections, "ip_address": "127.0.0.1"}
        if hook.last_error_date:
            info |= {"last_error_date": hook.last_error_date, "last_error_message": hook.last_error_message}
    if account.allowed:
        info["allowed_updates"] = sorted(account.allowed)
    return info


# -- the bot itself -----------------------------------------------------------------------------------


def getMe(telegram, account, params):
    return account.bot.as_json() | {
        "can_join_groups": True,
        "can_read_all_group_messages": False,
        "supports_inline_queries": True,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


def _scope(params):
    scope = params.get("scope") or {"type": "default"}
    return json.dumps(scope, sort_keys=True), params.get("language_code", "")


def setMyCommands(telegram, account, params):
    if len(params["commands"]) > 100:
        raise bad("BOT_COMMANDS_TOO_MUCH")
    commands = []
    for item in params["commands"]:
        name, title = str(item.get("command", "")), str(item.get("description", ""))
        name = name.removeprefix("/")
        if not re.fullmatch(r"[a-z0-9_]{1,32}", name):
            raise bad("BOT_COMMAND_INVALID")
        if not 1 <= utf16(title) <= 256:
            raise bad("BOT_COMMAND_DESCRIPTION_INVALID")
        commands.append({"command": name, "description": title})
    if not re.fullmatch(r"([a-z]{2})?", params.get("language_code", "")):
        raise bad("invalid language code specified")
    account.commands[_scope(params)] = commands
    telegram.touch()
    return True


def getMyCommands(telegram, account, params):
    return account.commands.get(_scope(params), [])


def deleteMyCommands(telegram, account, params):
    account.commands.pop(_scope(params), None)
    telegram.touch()
    return True


def _set_text(what, limit):
    def method(telegram, account, params):
        text = params.get(what, "")
        if utf16(text) > limit:
            raise bad(f"the {what.replace('_', ' ')} is too long")
        account.texts[what, params.get("language_code", "")] = text
        telegram.touch()
        return True

    return method


def _get_text(what):
    def method(telegram, account, params):
        texts = account.texts
        return {what: texts.get((what, params.get("language_code", "")), texts.get((what, ""), ""))}

    return method


setMyName, getMyName = _set_text("name", 64), _get_text("name")
setMyDescription, getMyDescription = _set_text("description", 512), _get_text("description")
setMyShortDescription = _set_text("short_description", 120)
getMyShortDescription = _get_text("short_description")


def setChatMenuButton(telegram, account, params):
    account.menu_button = params.get("menu_button") or {"type": "commands"}
    return True


def getChatMenuButton(telegram, account, params):
    return account.menu_button


# -- chats and members --------------------------------------------------------------------------------


def getChat(telegram, account, params):
    chat = _chat(telegram, account, params["chat_id"], writing=False)
    full = chat.as_json() | {"accent_color_id": 0, "max_reaction_count": 11}
    return full | {
        "accepted_gift_types": dict.fromkeys(
            (
                "unlimited_gifts",
                "limited_gifts",
                "unique_gifts",
                "premium_subscription",
                "gifts_from_channels",
            ),
            False,
        )
    }


def member_json(member):
    """Bot API: ChatMember of one entry of Chat.members."""
    out = {"user": member["who"].as_json(), "status": member["status"]}
    if member["status"] == "kicked":
        out["until_date"] = 0
    if member["status"] == "creator":
        out["is_anonymous"] = False
    if member["status"] == "administrator":
        rights = ("can_manage_chat", "can_delete_messages", "can_manage_video_chats", "can_restrict_members")
        rights += ("can_promote_members", "can_change_info", "can_invite_users", "can_post_stories")
        rights += ("can_edit_stories", "can_delete_stories", "can_post_messages", "can_edit_messages")
        out |= {"can_be_edited": False, "is_anonymous": False}
        out |= {right: bool(member.get(right, right == "can_manage_chat")) for right in rights}
    return out


def getChatMember(telegram, account, params):
    chat = _chat(telegram, account, params["chat_id"], writing=False)
    user_id = params["user_id"]
    if chat.type == "private":
        who = {chat.person.id: chat.person, chat.bot.id: chat.bot}.get(user_id)
        member = {"who": who, "status": "member"} if who else None
    else:
        member = chat.members.get(user_id)
        if member is None and user_id in telegram.people:
            member = {"who": telegram.people[user_id], "status": "left"}
    if member is None:
        raise bad("member not found")
    return member_json(member)


def getChatAdministrators(telegram, account, params):
    chat = _chat(telegram, account, params["chat_id"], writing=False)
    if chat.type == "private":
        raise bad("there are no administrators in the private chat")
    return [member_json(m) for m in chat.members.values() if m["status"] in ("administrator", "creator")]


def getChatMemberCount(telegram, account, params):
    chat = _chat(telegram, account, params["chat_id"], writing=False)
    here = [m for m in chat.members.values() if m["status"] not in ("left", "kicked")]
    return 2 if chat.type == "private" else len(here)


def getUserProfilePhotos(telegram, account, params):
    return {"total_count": 0, "photos": []}


def leaveChat(telegram, account, params):
    chat = _chat(telegram, account, params["chat_id"], writing=False)
    if chat.type == "private":
        raise bad("chat member status can't be changed in private chats")
    telegram.set_member(chat, account.bot, "left")
    return True
