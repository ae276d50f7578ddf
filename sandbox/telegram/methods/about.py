"""Bot API: the bot itself, its commands and texts, its chats, their members, files."""

import json
import re
from typing import TYPE_CHECKING

from sandbox.telegram.account import Account
from sandbox.telegram.chat import JSON
from sandbox.telegram.chats import member_json
from sandbox.telegram.errors import bad
from sandbox.telegram.files import MAX_DOWNLOAD
from sandbox.telegram.methods.registry import METHODS, Function, Method, Params, method
from sandbox.telegram.methods.targets import find_chat
from sandbox.telegram.text import utf16

if TYPE_CHECKING:
    from sandbox.telegram.server import Telegram


@method
def getMe(telegram: "Telegram", account: Account, params: Params) -> object:
    return account.bot.as_json() | {
        "can_join_groups": True,
        "can_read_all_group_messages": False,
        "supports_inline_queries": True,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


def _scope(params: Params) -> tuple[str, str]:
    scope = params.get("scope") or {"type": "default"}
    return json.dumps(scope, sort_keys=True), params.get("language_code", "")


@method
def setMyCommands(telegram: "Telegram", account: Account, params: Params) -> object:
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


@method
def getMyCommands(telegram: "Telegram", account: Account, params: Params) -> object:
    return account.commands.get(_scope(params), [])


def _text_methods(what: str, limit: int) -> tuple[Function, Function]:
    """The methods that set and get one text about the bot."""

    def set_text(telegram: "Telegram", account: Account, params: Params) -> bool:
        text = params.get(what, "")
        if utf16(text) > limit:
            raise bad(f"the {what.replace('_', ' ')} is too long")
        account.texts[what, params.get("language_code", "")] = text
        telegram.touch()
        return True

    def get_text(telegram: "Telegram", account: Account, params: Params) -> JSON:
        texts = account.texts
        return {what: texts.get((what, params.get("language_code", "")), texts.get((what, ""), ""))}

    return set_text, get_text


for _what, _name, _limit in (("description", "Description", 512), ("short_description", "ShortDescription", 120)):
    _set, _get = _text_methods(_what, _limit)
    METHODS[f"setMy{_name}"] = Method(_set, locked=True)
    METHODS[f"getMy{_name}"] = Method(_get, locked=True)


@method
def getChat(telegram: "Telegram", account: Account, params: Params) -> object:
    chat = find_chat(telegram, account, params["chat_id"], writing=False)
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


@method
def getChatMember(telegram: "Telegram", account: Account, params: Params) -> object:
    chat = find_chat(telegram, account, params["chat_id"], writing=False)
    user_id = params["user_id"]
    member: JSON | None
    if chat.person and chat.bot:
        who = {chat.person.id: chat.person, chat.bot.id: chat.bot}.get(user_id)
        member = {"who": who, "status": "member"} if who else None
    else:
        member = chat.members.get(user_id)
        if member is None and user_id in telegram.people:
            member = {"who": telegram.people[user_id], "status": "left"}
    if member is None:
        raise bad("member not found")
    return member_json(member)


@method
def getFile(telegram: "Telegram", account: Account, params: Params) -> object:
    file = telegram.files.get(params["file_id"])
    if file is None or file.bot_id != account.bot.id:
        raise bad("wrong file_id or the file is temporarily unavailable")
    if len(file.content) > MAX_DOWNLOAD:
        raise bad("file is too big")
    return {
        "file_id": file.file_id,
        "file_unique_id": file.file_unique_id,
        "file_size": len(file.content),
        "file_path": str(telegram.on_disk(account.token, file)) if telegram.local_dir else file.path,
    }
