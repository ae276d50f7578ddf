"""A call's parameters: read from the form, checked against the Bot API's description, texts and keyboards parsed."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sandbox.http_server import Upload
from sandbox.telegram.account import Facts
from sandbox.telegram.chat import JSON
from sandbox.telegram.errors import bad
from sandbox.telegram.methods.registry import Params
from sandbox.telegram.text import EntityError, find_entities, parse_html, trim, utf16

MAX_TEXT, MAX_CAPTION = 4096, 1024  # UTF-16 code units
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
    "options": "poll options",
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


def parse(facts: Facts, form: dict[str, str], files: dict[str, Upload]) -> Params:
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


def _value(name: str, text: str, types: list[str]) -> Any:
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


def _formatted(
    text: str,
    params: Mapping[str, Any],
    limit: int,
    entities: str = "entities",
    too_long: str = "message is too long",
) -> tuple[str, tuple[JSON, ...]]:
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


def text_of(params: Mapping[str, Any]) -> tuple[str, tuple[JSON, ...]]:
    """(text, entities) of a message."""
    text, entities = _formatted(params.get("text", ""), params, MAX_TEXT)
    if not text:
        raise bad("message text is empty")
    return text, entities


def caption_of(params: Mapping[str, Any]) -> tuple[str | None, tuple[JSON, ...]]:
    """(caption, entities) of a photo or a document."""
    text, entities = _formatted(
        params.get("caption", ""), params, MAX_CAPTION, "caption_entities", "message caption is too long"
    )
    return text or None, entities


def keyboard(markup: Any) -> JSON | None:
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


def _check_url(url: Any) -> None:
    """Telegram wants a host with a dot in it; 127.0.0.1, where the sandbox is, will do here."""
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts and parts.scheme in ("tg", "ton"):
        return
    if not parts or parts.scheme not in ("http", "https") or "." not in (parts.hostname or "") or " " in url:
        raise bad(f"inline keyboard button URL '{url}' is invalid: Wrong HTTP URL")
