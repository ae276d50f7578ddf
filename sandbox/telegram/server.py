"""A stand-in for Telegram's Bot API: real HTTP, real errors and limits, people to talk to the bot.

Everything is in memory behind one lock. The methods a film bot may call are in telegram_methods; each
other method of Bot API 10.3 is accepted once its parameters have been checked, and answers true.

Stricter than the real service: an unknown parameter is refused, and so is one in the address
(`strict_query`), since addresses end up in logs. A file_id lives as long as the stand-in, and MarkdownV2
is not understood.
"""

import json
import math
import re
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from sandbox.http_server import Faults, Request, Response
from sandbox.telegram import methods
from sandbox.telegram.chat import Bot, CallbackQuery, Chat, Content, InlineQuery, Message, Person
from sandbox.telegram.errors import ApiError
from sandbox.telegram.files import StoredFile, store_document, store_photo
from sandbox.telegram.webhook import Webhook

TOKEN = "1000000001:SANDBOX-TOKEN-kinoteka"  # noqa: S105
USERNAME = "kinoteka_sandbox_bot"
CHANNEL = -1001000000001  # where the bot may post posters

API = json.loads(Path(__file__).with_name("bot_api.json").read_text())
NAMES: dict[str, str] = {name.lower(): name for name in API["methods"]}  # method names come in any case
UNASKED = {"chat_member", "message_reaction", "message_reaction_count"}  # come only when asked for
DAY = 24 * 3600


@dataclass
class Call:
    """One call of the API as it came: text parameters as sent, files as web.Upload."""

    method: str
    params: dict[str, str] = field(default_factory=dict)
    files: dict = field(default_factory=dict)
    at: float = field(default_factory=time.time)
    token_ok: bool = True
    in_query: bool = False
    status: int = 0  # 0 while it is under way
    description: str = ""
    seconds: float = 0


@dataclass
class Account:
    """What Telegram keeps about one bot."""

    bot: Bot
    token: str
    next_update_id: int
    updates: list[tuple[int, float, dict]] = field(default_factory=list)  # (update_id, time, Update)
    allowed: set[str] | None = None
    poll: int = 0  # the number of the latest getUpdates
    polling: int = 0  # how many are waiting
    polled_at: float = 0  # when the latest ended
    webhook: Webhook | None = None
    commands: dict[tuple[str, str], list[dict]] = field(default_factory=dict)  # by (scope, language)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)  # by (what, language)
    menu_button: dict = field(default_factory=lambda: {"type": "commands"})


class Telegram:
    """The service. `changed` is its lock and the condition everything waits on; `version` counts changes."""

    def __init__(self, faults=None, limits=False):
        self.faults = faults if faults is not None else Faults()
        self.faults.watchers.append(self._faulted)
        self.changed = threading.Condition(threading.RLock())
        self.version = 0
        self.closed = False
        self.clock = time.time  # tests may put their own here

        self.strict_query = True
        self.latency = 0  # seconds every call takes
        self.inline_cache = limits  # does Telegram answer a repeated inline query by itself, as cache_time says
        self.inline_feedback = False  # are chosen inline results told to the bot
        self.limits = limits
        self.messages_per_minute = 20  # in a group or channel
        self.messages_per_second = 30  # over all chats
        self.private_burst = 5  # messages at once to one person; then one a second
        self.refused = 0  # calls answered with 429 by these limits

        self.calls: list[Call] = []
        self.photos = []  # the largest PhotoSize of every photo uploaded to a channel, in order
        self.accounts: dict[str, Account] = {}
        self.people: dict[int, Person] = {}
        self.chats: dict[int, Chat] = {}  # groups, supergroups, channels
        self.private_chats: dict[tuple[int, int], Chat] = {}  # by (bot id, person id)
        self.files: dict[str, StoredFile] = {}
        self.callback_queries: dict[str, CallbackQuery] = {}
        self.inline_queries: dict[str, InlineQuery] = {}
        self.inline_messages: dict[str, Message] = {}
        self._inline_answers: dict[tuple, tuple[float, InlineQuery]] = {}
        self._sent: dict[tuple, deque] = {}

        self.bot = self.add_bot(TOKEN, USERNAME, "Кинотека")
        self.poster_channel = self.channel("Постеры", id=CHANNEL, admins=[self.bot])
        self.accounts[TOKEN].updates.clear()  # the bot was added long ago

    # -- the HTTP side ----------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """Answer /bot<token>/<method> and /file/bot<token>/<path>."""
        path = unquote(request.path)
        if match := re.fullmatch(r"/file/bot([^/]+)/(.+)", path):
            return self._download(*match.groups())
        match = re.fullmatch(r"/bot([^/]+)/([^/]+)/?", path)
        if not match:
            return _refusal(ApiError(404, "Not Found"))
        token, name = match[1], match[2]
        started = time.monotonic()
        call = Call(NAMES.get(name.lower(), name), at=request.at, token_ok=token in self.accounts)
        call.in_query = bool(request.query)
        try:
            form, call.files = request.fields()
        except (ValueError, AttributeError):  # AttributeError: JSON that is no object
            form = None
        call.params = request.query | (form or {})
        with self.changed:  # only now: who looks at a call sees all of it
            self.calls.append(call)
            del self.calls[:-20000]
        try:
            if form is None:
                raise ApiError(400, "Bad Request: the body cannot be parsed")
            if self.latency:
                time.sleep(self.latency)
            if ":" not in token:
                raise ApiError(404, "Not Found")
            if token not in self.accounts:
                raise ApiError(401, "Unauthorized")
            if call.method not in API["methods"]:
                raise ApiError(404, "Not Found")
            if call.in_query and self.strict_query:
                raise ApiError(400, "Bad Request: parameters belong in the body, not in the address")
            response = Response.json({"ok": True, "result": self.perform(self.accounts[token], call)})
        except ApiError as error:
            call.description = error.description
            response = _refusal(error)
        call.seconds = time.monotonic() - started
        call.status = response.status
        if call.method != "getUpdates":
            with self.changed:
                self.touch()
        return response

    def perform(self, account, call):
        """Check a call's parameters and carry it out; the result, or ApiError."""
        params = methods.parse(API["methods"][call.method], call.params, call.files)
        function = getattr(methods, call.method, None)
        if function is None:
            return True
        if call.method in methods.UNLOCKED:
            return function(self, account, params)
        with self.changed:
            return function(self, account, params)

    def _faulted(self, request, fault):
        """A fault answered in our stead: the call is recorded all the same, with status 0 if it was dropped."""
        match = re.fullmatch(r"/bot([^/]+)/([^/]+)/?", unquote(request.path))
        if not match:
            return
        token, name = match[1], match[2]
        call = Call(NAMES.get(name.lower(), name), at=request.at, token_ok=token in self.accounts)
        call.in_query = bool(request.query)
        form, call.files = request.fields()
        call.params = request.query | form
        if fault.response and not fault.drop:
            call.status, call.description = fault.response.status, "a fault of the test's"
        with self.changed:
            self.calls.append(call)
            self.touch()

    def perform_recorded(self, account, call):
        """A call that did not come in a request of its own: the answer to a webhook."""
        try:
            self.perform(account, call)
            call.status = 200
        except ApiError as error:
            call.status, call.description = error.code, error.description
        with self.changed:
            self.calls.append(call)
            self.touch()

    def _download(self, token, path):
        account = self.accounts.get(token)
        with self.changed:
            for file in self.files.values():
                if account and file.bot_id == account.bot.id and file.path == path:
                    return Response(200, file.content, {"Content-Type": file.mime_type})
        return _refusal(ApiError(404 if account else 401, "Not Found" if account else "Unauthorized"))

    def stop(self):
        """Let go of everything that waits."""
        with self.changed:
            self.closed = True
            for account in self.accounts.values():
                if account.webhook:
                    account.webhook.stop()
            self.changed.notify_all()

    # -- what tests look at -----------------------------------------------------------------------

    def calls_of(self, method):
        """The calls of one method so far, in order."""
        return [call for call in list(self.calls) if call.method == method]

    def touch(self):
        """Something changed: wake those who wait for it."""
        self.version += 1
        self.changed.notify_all()

    def wait_until(self, condition, timeout=10):
        """Wait until the condition holds; False if it does not come to that."""
        with self.changed:
            return self.changed.wait_for(condition, timeout)

    def wait_for_change(self, version, timeout):
        """Wait until `version` is no longer the latest; False if nothing happens."""
        return self.wait_until(lambda: self.version != version or self.closed, timeout) and not self.closed

    def fail(
        self,
        method,
        status=500,
        description="Internal Server Error",
        times=1,
        retry_after=None,
        delay=0,
        drop="",
        body=None,
    ):
        """Make the next `times` calls of a method go wrong (None: until faults.clear()).

        With `status` 200, or with `drop` ("before" or "after" the work is done), no answer is put in place
        of the real one: that is a mere delay, or a connection that breaks. `retry_after` makes it a 429;
        `body` are the raw bytes of an answer that is not JSON.
        """
        if retry_after is not None:
            status, description = 429, f"Too Many Requests: retry after {retry_after}"
        parameters = {"retry_after": retry_after} if retry_after is not None else None
        if body is not None:
            response = Response(status, body, {"Content-Type": "text/html"})
        elif status == 200 or drop:
            response = None
        else:
            response = _refusal(ApiError(status, description, parameters))

        return self.faults.add(
            rf"(?i)^/bot[^/]+/{method}/?$",
            times=times,
            response=response,
            delay=delay,
            drop=drop,
        )

    def forget_file(self, file_id):
        """Make a file_id, with its photo's other sizes, one that Telegram no longer knows."""
        with self.changed:
            file = self.files[file_id]
            for size in file.photo or (file,):
                self.files.pop(size.file_id, None)

    # -- bots, people, chats ----------------------------------------------------------------------

    def add_bot(self, token, username, first_name="Bot"):
        """Register one more bot; returns its Bot."""
        bot = Bot(int(token.split(":")[0]), username, first_name)
        # starts at the clock, so that a bot's database never meets an old number after a restart
        self.accounts[token] = Account(bot, token, next_update_id=int(time.time()))
        return bot

    def account_of(self, bot):
        return next(a for a in self.accounts.values() if a.bot.id == bot.id)

    def person(self, first_name, language_code="ru", id=None, username=None, last_name=None):
        """Somebody with a phone, not yet in a chat with the bot."""
        with self.changed:
            if id is None:
                id = 7_000_000_001  # real ids no longer fit in 32 bits
                while id in self.people:
                    id += 1
            person = Person(self, id, first_name, last_name, username, language_code)
            self.people[id] = person
            return person

    def _chat(self, id, type, title, username=None):
        chat = Chat(id, type, title, username, next_id=self._first_message_id())
        self.chats[id] = chat
        return chat

    def _first_message_id(self):
        """Message ids, too, must not come back after a restart."""
        return int(time.time()) - 1_600_000_000

    def group(self, title, members=(), id=None, supergroup=False, bots=None):
        """A group with these people and the bot (or `bots`), which are told that they were added."""
        with self.changed:
            if id is None:
                id = -1_002_000_000_001 if supergroup else -4_000_000_001
                while id in self.chats:
                    id -= 1
            chat = self._chat(id, "supergroup" if supergroup else "group", title)
            for person in members:
                chat.members[person.id] = {"who": person, "status": "member"}
            if members:
                chat.members[members[0].id]["status"] = "creator"
            for bot in [self.bot] if bots is None else bots:
                self.set_member(chat, bot, "member")
            return chat

    def channel(self, title, id=None, admins=(), members=(), can_post=True, username=None):
        """A channel; its `admins` may post unless `can_post` is false."""
        with self.changed:
            if id is None:
                id = CHANNEL - 1
                while id in self.chats:
                    id -= 1
            chat = self._chat(id, "channel", title, username)
            for who in admins:
                self.set_member(chat, who, "administrator", can_post_messages=can_post)
            for who in members:
                self.set_member(chat, who, "member")
            return chat

    def set_member(self, chat, who, status, **rights):
        """Make somebody "member", "administrator", "left" or "kicked"; a bot is told about itself."""
        with self.changed:
            old = chat.members.get(who.id, {"who": who, "status": "left"})
            new = chat.members[who.id] = {"who": who, "status": status, **rights}
            if who.is_bot:
                by = next((m["who"] for m in chat.members.values() if not m["who"].is_bot), who)
                self._tell_membership(who, chat, by, old, new)
            self.touch()

    def delete_chat(self, chat):
        """The owner deletes a group or channel."""
        with self.changed:
            chat.deleted = True
            self.touch()

    def migrate(self, group):
        """Turn a group into a supergroup, which gets a new id; returns the new chat."""
        with self.changed:
            new = self.group(group.title, supergroup=True, bots=())
            new.members = dict(group.members)
            leaving = self.add_message(group, None, Content(), service={"migrate_to_chat_id": new.id})
            coming = self.add_message(new, None, Content(), service={"migrate_from_chat_id": group.id})
            group.migrated_to = new.id
            self.tell_bots(leaving)
            self.tell_bots(coming)
            return new

    def open_private_chat(self, bot, person):
        """The private chat of a bot and a person, made if there is none."""
        key = (bot.id, person.id)
        if key not in self.private_chats:
            self.private_chats[key] = Chat(
                person.id, "private", person=person, bot=bot, next_id=self._first_message_id()
            )
        return self.private_chats[key]

    def set_blocked(self, person, bot, blocked):
        """Bot API: my_chat_member tells the bot that a person has blocked or unblocked it."""
        with self.changed:
            chat = self.open_private_chat(bot, person)
            if chat.blocked == blocked:
                return
            chat.blocked = blocked
            old, new = ("member", "kicked") if blocked else ("kicked", "member")
            self._tell_membership(bot, chat, person, {"who": bot, "status": old}, {"who": bot, "status": new})
            self.touch()

    def _tell_membership(self, bot, chat, by, old, new):
        update = {
            "chat": chat.as_json(),
            "from": by.as_json(),
            "date": int(self.clock()),
            "old_chat_member": methods.member_json(old),
            "new_chat_member": methods.member_json(new),
        }
        self.add_update(bot, "my_chat_member", update)

    # -- messages ---------------------------------------------------------------------------------

    def add_message(self, chat, sender, content, **more):
        """Put a message into a chat."""
        message = Message(chat.next_id, chat, sender, int(self.clock()), content, **more)
        chat.next_id += 1
        chat.messages[message.id] = message
        chat.action = ("", 0)
        self.touch()
        message.version = self.version
        return message

    def edit_message(self, message, content):
        """Change what a message says, keeping what it said."""
        message.edits.append(message.content)
        message.content = content
        message.edit_date = int(self.clock())
        self.touch()
        message.version = self.version

    def delete_message(self, message):
        message.deleted = True
        message.chat.messages.pop(message.id, None)
        self.touch()

    def origin_of(self, message):
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

    def tell_bots(self, message, edited=False):
        """Send a person's message to the bots that may see it."""
        chat = message.chat
        kind = ("edited_" if edited else "") + ("channel_post" if chat.type == "channel" else "message")
        if chat.type == "private":
            self.add_update(chat.bot, kind, message.as_json())
            return
        for member in chat.members.values():
            bot, admin = member["who"], member["status"] == "administrator"
            if not bot.is_bot or member["status"] not in ("member", "administrator"):
                continue
            if admin or (chat.type != "channel" and self._meant_for(bot, message)):
                self.add_update(bot, kind, message.as_json())

    def _meant_for(self, bot, message):
        """Privacy mode: in a group a bot sees commands, replies to it, what came via it, service messages."""
        if message.service or message.via_bot == bot or (message.reply_to and message.reply_to.bot == bot):
            return True
        command = re.match(r"/\w+(?:@(\w+))?", message.words)
        return bool(command) and (command.group(1) or bot.username).lower() == bot.username.lower()

    def take_turn(self, account, chat, messages=1):
        """Count messages about to be sent against the limits; ApiError 429 if they are too many.

        Only new messages count. The numbers are those of Telegram's Bots FAQ; the burst is ours.
        """
        if not self.limits:
            return
        now = self.clock()
        windows = [((account.bot.id,), self.messages_per_second, 1)]
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
            excess = len(sent) + messages - size
            if sent and excess > 0:
                wait = max(wait, sent[min(excess, len(sent)) - 1] + seconds - now)
        if wait > 0:
            self.refused += 1
            seconds = max(1, math.ceil(wait))
            raise ApiError(429, f"Too Many Requests: retry after {seconds}", {"retry_after": seconds})
        for name, _, _ in windows:
            self._sent[name].extend([now] * messages)

    # -- files ------------------------------------------------------------------------------------

    def keep_photo(self, bot, content):
        """Store a photo; its sizes, smallest first. Slow: call it without the lock."""
        files = store_photo(bot.id, content)
        with self.changed:
            self.files |= {file.file_id: file for file in files}
        return files[-1].photo

    def keep_document(self, bot, name, content, mime_type=""):
        """Store a file; its Document."""
        file = store_document(bot.id, name, content, mime_type)
        with self.changed:
            self.files[file.file_id] = file
        return file.document

    # -- updates ----------------------------------------------------------------------------------

    def add_update(self, bot, kind, payload):
        """Queue an update for a bot, unless it does not want the kind."""
        with self.changed:
            account = self.account_of(bot)
            wanted = kind in account.allowed if account.allowed else kind not in UNASKED
            if wanted:
                update = {"update_id": account.next_update_id, kind: payload}
                account.updates.append((account.next_update_id, self.clock(), update))
                account.next_update_id += 1
            self.touch()

    def waiting_updates(self, account):
        """The updates a bot has not confirmed; those older than a day are gone."""
        oldest = self.clock() - DAY
        account.updates = [entry for entry in account.updates if entry[1] > oldest]
        return account.updates

    # -- inline mode ------------------------------------------------------------------------------

    def ask_inline(self, person, text, offset, bot, chat_type="sender"):
        """Somebody typed "@bot text": ask the bot, or answer from Telegram's own cache."""
        with self.changed:
            text = text[:256]
            query = InlineQuery(str(secrets.randbits(62)), person, text, offset, bot, self.clock(), self)
            for who in (person.id, None):
                until, known = self._inline_answers.get((bot.id, who, text, offset), (0, None))
                if self.inline_cache and until > self.clock():
                    query.results, query.contents = known.results, known.contents
                    query.next_offset, query.button = known.next_offset, known.button
                    return query
            self.inline_queries[query.id] = query
            update = {"id": query.id, "from": person.as_json(), "chat_type": chat_type}
            self.add_update(bot, "inline_query", update | {"query": text, "offset": offset})
            return query

    def inline_answered(self, query):
        who = query.person.id if query.is_personal else None
        key = (query.bot.id, who, query.query, query.offset)
        self._inline_answers[key] = (self.clock() + query.cache_time, query)

    def send_inline_result(self, person, query, result, chat=None):
        """A person picks a result: it becomes their message, sent via the bot."""
        with self.changed:
            chat = chat or self.open_private_chat(query.bot, person)
            content = query.contents[result["id"]]
            message = self.add_message(chat, person, content, via_bot=query.bot)
            if content.markup:
                message.inline_message_id = secrets.token_urlsafe(20)
                self.inline_messages[message.inline_message_id] = message
            self.tell_bots(message)
            if self.inline_feedback:
                chosen = {"result_id": result["id"], "from": person.as_json(), "query": query.query}
                if message.inline_message_id:
                    chosen["inline_message_id"] = message.inline_message_id
                self.add_update(query.bot, "chosen_inline_result", chosen)
            return message


def _refusal(error):
    body = {"ok": False, "error_code": error.code, "description": error.description}
    if error.parameters:
        body["parameters"] = error.parameters
    return Response.json(body, error.code)
