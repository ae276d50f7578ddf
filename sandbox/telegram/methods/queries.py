"""Bot API: answers to presses on buttons and to inline queries."""

import re
from typing import TYPE_CHECKING

from sandbox.telegram.account import Account
from sandbox.telegram.chat import JSON, Answer, Content
from sandbox.telegram.errors import bad
from sandbox.telegram.methods.parameters import OLD_QUERY, caption_of, keyboard, text_of
from sandbox.telegram.methods.registry import Params, method
from sandbox.telegram.methods.targets import known_file
from sandbox.telegram.text import utf16

if TYPE_CHECKING:
    from sandbox.telegram.server import Telegram


QUERY_SECONDS, INLINE_SECONDS = 150, 30  # how long a press and an inline query can be answered


@method
def answerCallbackQuery(telegram: "Telegram", account: Account, params: Params) -> object:
    query = telegram.callback_queries.get(params["callback_query_id"])
    if utf16(params.get("text", "")) > 200:
        raise bad("MESSAGE_TOO_LONG")
    late = query and telegram.clock() - query.at > QUERY_SECONDS
    if query is None or query.bot != account.bot or query.answer is not None or late:
        raise bad(OLD_QUERY)
    query.answer = Answer(params.get("text", ""), params.get("show_alert", False), params.get("url", ""))
    telegram.touch()
    return True


@method
def answerInlineQuery(telegram: "Telegram", account: Account, params: Params) -> object:
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


def _result_content(telegram: "Telegram", account: Account, result: JSON) -> Content:
    """What an InlineQueryResult sends when it is chosen, checked as Telegram checks it."""
    kind, markup = result.get("type"), keyboard(result.get("reply_markup"))
    message = result.get("input_message_content")
    text = None
    if message is not None:
        if not isinstance(message, dict) or "message_text" not in message:
            raise bad("can't parse inline query result: Message content is not specified")
        text, entities = text_of({**message, "text": message["message_text"]})
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
                caption, entities = caption_of(result)
                return Content(text=text or caption or result["photo_url"], entities=entities, markup=markup)
            raise bad(f"can't parse inline query result: {kind}_file_id not specified")
        file = known_file(telegram, account, stored)
        if kind == "document" and not result.get("title"):
            raise bad("can't parse inline query result: Can't find field \"title\"")
        if (kind == "photo") != bool(file.photo):
            raise bad("wrong file identifier/HTTP URL specified")
        caption, found = caption_of(result)
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
