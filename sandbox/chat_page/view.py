"""What the chat page shows, as JSON: chats, messages, buttons, the calls of the bot."""

import json
import time
from typing import Any

from sandbox.chat_page.samples import SAMPLES
from sandbox.telegram.account import Call
from sandbox.telegram.chat import JSON, Button, Chat, Content, Message, Poll
from sandbox.telegram.person import Person
from sandbox.telegram.server import Telegram
from sandbox.tmdb.server import TMDb

LATEST = 200  # messages of a chat that are shown


def find_person(telegram: Telegram, number: str | None) -> Person | None:
    """The person with this id, else the first one."""
    if number and number.isdigit() and int(number) in telegram.people:
        return telegram.people[int(number)]
    return next(iter(telegram.people.values()), None)


def find_chat(telegram: Telegram, person: Person | None, number: str | None) -> Chat | None:
    """The group with this id that the person is in, else their chat with the bot: None before they have started it."""
    group = telegram.chats.get(int(number)) if number and number.lstrip("-").isdigit() else None
    if group and person and person.id in group.members and group.type != "channel":
        return group
    return person.private_chat() if person else None


def group_json(group: Chat) -> JSON:
    return {"id": group.id, "title": group.title, "members": len(group.members)}


def groups_of(telegram: Telegram, person: Person) -> list[JSON]:
    found = [chat for chat in telegram.chats.values() if chat.type != "channel" and person.id in chat.members]
    return [{"id": chat.id, "title": chat.title} for chat in found if not chat.deleted]


def waiting_messages(telegram: Telegram, chat: Chat | None) -> set[int]:
    """The ids of messages of this chat that the bot has not taken yet."""
    updates = [update.get("message", {}) for _number, _at, update in telegram.account_of(telegram.bot).updates]
    return {one["message_id"] for one in updates if chat and one.get("chat", {}).get("id") == chat.id}


def state(telegram: Telegram, tmdb: TMDb | None, person: Person | None, place: str | None = None) -> JSON:
    """Everything the page shows to one person in one chat. Needs the fake's lock."""
    chat = find_chat(telegram, person, place)
    waiting = waiting_messages(telegram, chat)
    messages = list(chat.messages.values())[-LATEST:] if chat else []
    doing, until = chat.action if chat else ("", 0)
    posters = list(telegram.poster_channel.messages.values())[-LATEST:]
    calls = [call for call in telegram.calls[-300:] if call.method != "getUpdates"][-60:]
    return {
        "version": telegram.version,
        "bot": telegram.bot.as_json(),
        "polled": is_polled(telegram),
        "people": [p.as_json() | {"groups": groups_of(telegram, p)} for p in telegram.people.values()],
        "group": {"id": chat.id, "title": chat.title, "members": len(chat.members)}
        if chat and not chat.person
        else None,
        "samples": list(SAMPLES),
        "person": person.as_json() if person else None,
        "started": bool(messages),
        "blocked": bool(chat and chat.blocked),
        "action": doing if until > time.time() else "",
        "action_left": max(0, until - time.time()),
        "commands": commands(telegram, person, bool(chat and not chat.person)) if person else [],
        "description": description(telegram, person) if person else "",
        "messages": [message_json(m, person) | {"taken": m.id not in waiting} for m in messages],
        "channel": [message_json(m, person) for m in reversed(posters)],
        "channel_title": telegram.poster_channel.title,
        "calls": [call_json(c) for c in reversed(calls)],
        "tmdb_requests": len(tmdb.requests) if tmdb else 0,
        "calls_total": sum(1 for call in telegram.calls if call.method != "getUpdates"),
    }


def is_polled(telegram: Telegram) -> bool:
    """Is a bot listening?"""
    account = telegram.account_of(telegram.bot)
    return bool(account.webhook) or account.polled_at > time.time() - 5 or account.polling > 0


def commands(telegram: Telegram, person: Person, group: bool = False) -> list[JSON]:
    """Bot API, "Determining list of commands": the narrowest scope, the person's language first."""
    known = telegram.account_of(telegram.bot).commands
    own: list[JSON] = [{"type": "chat", "chat_id": person.id}, {"type": "all_private_chats"}]
    scopes: list[JSON] = [*([{"type": "all_group_chats"}] if group else own), {"type": "default"}]
    for scope in scopes:
        for language in (person.language_code or "", ""):
            found = known.get((json.dumps(scope, sort_keys=True), language))
            if found:
                return found
    return []


def description(telegram: Telegram, person: Person) -> str:
    texts = telegram.account_of(telegram.bot).texts
    return texts.get(("description", person.language_code or ""), texts.get(("description", ""), ""))


def says_the_same(one: Content, other: Content) -> bool:
    """Whether an edit changed no more than buttons: the app does not call that edited."""
    return (one.text, one.caption, one.photos[-1:]) == (other.text, other.caption, other.photos[-1:])


def message_json(message: Message, person: Person | None) -> JSON:
    content = message.content
    out: dict[str, Any] = {
        "id": message.id,
        "version": message.version,
        "mine": message.sender is person and person is not None,
        "from": "" if message.chat.type in ("private", "channel") or not message.sender else message.sender.first_name,
        "date": message.date,
        "edited": any(not says_the_same(before, content) for before in message.edits),
        "text": content.text if content.text is not None else content.caption or "",
        "entities": list(content.entities),
        "rows": [[button_json(b) for b in row] for row in content.buttons],
        "above": content.above,
    }
    best = content.photo
    if best:
        out["photo"] = {"file_id": best.file_id, "width": best.width, "height": best.height}
    if content.document:
        document = content.document
        out["document"] = {
            "file_id": document.file_id,
            "name": document.file_name,
            "size": document.file_size,
        }
    if content.poll:
        out["poll"] = poll_json(content.poll, person)
    if message.service:
        out["service"] = next(iter(message.service))
    if message.reply_to:
        out["reply_to"] = {"id": message.reply_to.id, "text": message.reply_to.words[:100]}
    if message.via_bot:
        out["via"] = message.via_bot.username
    if message.origin:
        origin = message.origin.get("sender_user") or message.origin.get("chat") or {}
        out["origin"] = origin.get("first_name") or origin.get("title") or ""
    return out


def poll_json(poll: Poll, person: Person | None) -> JSON:
    return {
        **poll.as_json(in_message=True),
        "chosen": poll.votes.get(person.id, []) if person else [],
        "photos": [option.photos[min(1, len(option.photos) - 1)].file_id if option.photos else None
                   for option in poll.options],
    }  # fmt: skip


def button_json(button: Button) -> JSON:
    out: dict[str, Any] = {"text": button.text}
    if button.data is not None:
        out["data"] = button.data
    elif button.url:
        out["url"] = button.url
    elif button.switch_inline is not None:
        out["inline"] = button.switch_inline
    elif "copy_text" in button.raw:
        out["copy"] = button.raw["copy_text"].get("text", "")
    return out


def call_json(call: Call) -> JSON:
    how = ""
    if call.method == "sendPhoto":
        how = "upload" if call.files else "file_id"
    return {
        "method": call.method,
        "how": how,
        "ms": round(call.seconds * 1000),
        "status": call.status,
        "description": call.description,
        "at": call.at,
    }
