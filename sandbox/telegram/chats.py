"""People, the chats they and the bots are in, the topics of forums, and inline mode."""

import secrets
import time
from collections.abc import Sequence
from typing import Any

from sandbox.telegram.chat import JSON, Bot, CallbackQuery, Chat, Content, InlineQuery, Message, Poll, Topic
from sandbox.telegram.messages import Messages
from sandbox.telegram.person import Person

TOKEN = "1000000001:SANDBOX-TOKEN-kinoteka"  # noqa: S105
USERNAME = "kinoteka_sandbox_bot"
CHANNEL = -1001000000001  # where the bot may post posters
RIGHTS = [f"can_{right}" for right in ("manage_chat", "delete_messages", "manage_video_chats", "restrict_members")]
RIGHTS += [f"can_{right}" for right in ("promote_members", "change_info", "invite_users", "post_stories")]
RIGHTS += [f"can_{right}" for right in ("edit_stories", "delete_stories", "post_messages", "edit_messages")]


def member_json(member: JSON) -> JSON:
    """Bot API: ChatMember of one entry of Chat.members."""
    out = {"user": member["who"].as_json(), "status": member["status"]}
    if member["status"] == "kicked":
        out["until_date"] = 0
    if member["status"] == "creator":
        out["is_anonymous"] = False
    if member["status"] == "administrator":
        out |= {"can_be_edited": False, "is_anonymous": False}
        out |= {right: bool(member.get(right, right == "can_manage_chat")) for right in RIGHTS}
    return out


class Chats(Messages):
    """Who talks where. The first bot and the poster channel are there from the start."""

    def __init__(self, limits: bool = False) -> None:
        super().__init__(limits)
        self.inline_cache = limits  # does Telegram answer a repeated inline query by itself, as cache_time says
        self.inline_feedback = False  # are chosen inline results told to the bot
        self.people: dict[int, Person] = {}
        self.chats: dict[int, Chat] = {}  # groups, supergroups, channels
        self.private_chats: dict[tuple[int, int], Chat] = {}  # by (bot id, person id)
        self.callback_queries: dict[str, CallbackQuery] = {}
        self.inline_queries: dict[str, InlineQuery] = {}
        self.inline_messages: dict[str, Message] = {}
        self.polls: dict[str, Message] = {}  # by the poll's id
        self._inline_answers: dict[tuple[int, int | None, str, str], tuple[float, InlineQuery]] = {}
        self.bot = self.add_bot(TOKEN, USERNAME, "Кинотека")
        self.clear()

    def clear(self) -> None:
        """Forget everybody and everything said, but not what the bot says of itself."""
        with self.changed:
            for kept in (self.people, self.chats, self.private_chats, self.files, self.polls):
                kept.clear()
            for asked in (self.callback_queries, self.inline_queries, self.inline_messages, self._inline_answers):
                asked.clear()
            self.poster_channel = self.channel("Постеры", id=CHANNEL, admins=[self.bot])
            self.accounts[TOKEN].updates.clear()  # the bot was added long ago
            self.touch()

    # -- people and chats -------------------------------------------------------------------------

    def person(
        self,
        first_name: str,
        language_code: str | None = "ru",
        id: int | None = None,
        username: str | None = None,
        last_name: str | None = None,
    ) -> Person:
        """A user of Telegram, not yet in a chat with the bot."""
        with self.changed:
            if id is None:
                id = 7_000_000_001  # real ids no longer fit in 32 bits
                while id in self.people:
                    id += 1
            person = Person(self, id, first_name, last_name, username, language_code)
            self.people[id] = person
            return person

    def _chat(self, first_id: int, type: str, title: str, id: int | None, username: str | None = None) -> Chat:
        """A new chat with the given id, or the first free one down from `first_id`."""
        if id is None:
            id = first_id
            while id in self.chats:
                id -= 1
        chat = self.chats[id] = Chat(id, type, title, username, next_id=self._first_message_id())
        return chat

    def _first_message_id(self) -> int:
        """Message ids, too, must not come back after a restart."""
        return int(time.time()) - 1_600_000_000

    def group(
        self,
        title: str,
        members: Sequence[Person] = (),
        id: int | None = None,
        supergroup: bool = False,
        bots: Sequence[Bot] | None = None,
        forum: bool = False,
    ) -> Chat:
        """A group with these people and the bot (or `bots`), which are told that they were added.

        A `forum` is a supergroup with topics, of which only General is there at first.
        """
        with self.changed:
            if supergroup or forum:
                chat = self._chat(-1_002_000_000_001, "supergroup", title, id)
            else:
                chat = self._chat(-4_000_000_001, "group", title, id)
            chat.is_forum = forum
            for person in members:
                chat.members[person.id] = {"who": person, "status": "member"}
            if members:
                chat.members[members[0].id]["status"] = "creator"
            for bot in [self.bot] if bots is None else bots:
                self.set_member(chat, bot, "member")
            return chat

    def channel(
        self,
        title: str,
        id: int | None = None,
        admins: Sequence[Person | Bot] = (),
        members: Sequence[Person | Bot] = (),
        can_post: bool = True,
        username: str | None = None,
    ) -> Chat:
        """A channel; its `admins` may post unless `can_post` is false."""
        with self.changed:
            chat = self._chat(CHANNEL - 1, "channel", title, id, username)
            for who in admins:
                self.set_member(chat, who, "administrator", can_post_messages=can_post)
            for who in members:
                self.set_member(chat, who, "member")
            return chat

    def set_member(self, chat: Chat, who: Person | Bot, status: str, **rights: bool) -> None:
        """Make a person or a bot "member", "administrator", "left" or "kicked"; a bot is told about itself."""
        with self.changed:
            old = chat.members.get(who.id, {"who": who, "status": "left"})
            new = chat.members[who.id] = {"who": who, "status": status, **rights}
            if isinstance(who, Bot):
                by = next((m["who"] for m in chat.members.values() if not m["who"].is_bot), who)
                self._tell_membership(who, chat, by, old, new)
            self.touch()

    def delete_chat(self, chat: Chat) -> None:
        """The owner deletes a group or channel."""
        with self.changed:
            chat.deleted = True
            self.touch()

    def migrate(self, group: Chat) -> Chat:
        """Make a group a supergroup, which gets a new id; returns the new chat."""
        with self.changed:
            new = self.group(group.title, supergroup=True, bots=())
            new.members = dict(group.members)
            leaving = self.add_message(group, None, Content(), service={"migrate_to_chat_id": new.id})
            coming = self.add_message(new, None, Content(), service={"migrate_from_chat_id": group.id})
            group.migrated_to = new.id
            self.tell_bots(leaving)
            self.tell_bots(coming)
            return new

    def open_private_chat(self, bot: Bot, person: Person) -> Chat:
        """The private chat of a bot and a person, made if there is none."""
        key = (bot.id, person.id)
        if key not in self.private_chats:
            self.private_chats[key] = Chat(
                person.id, "private", person=person, bot=bot, next_id=self._first_message_id()
            )
        return self.private_chats[key]

    def set_blocked(self, person: Person, bot: Bot, blocked: bool) -> None:
        """Bot API: my_chat_member tells the bot that a person has blocked or unblocked it."""
        with self.changed:
            chat = self.open_private_chat(bot, person)
            if chat.blocked == blocked:
                return
            chat.blocked = blocked
            old, new = ("member", "kicked") if blocked else ("kicked", "member")
            self._tell_membership(bot, chat, person, {"who": bot, "status": old}, {"who": bot, "status": new})
            self.touch()

    def _tell_membership(self, bot: Bot, chat: Chat, by: Person | Bot, old: JSON, new: JSON) -> None:
        update = {
            "chat": chat.as_json(),
            "from": by.as_json(),
            "date": int(self.clock()),
            "old_chat_member": member_json(old),
            "new_chat_member": member_json(new),
        }
        self.add_update(bot, "my_chat_member", update)

    # -- topics of a forum ------------------------------------------------------------------------

    def topic(self, chat: Chat, name: str) -> Topic:
        """A new topic of a forum; bots are told."""
        with self.changed:
            message = self._service_message(chat, {"forum_topic_created": {"name": name, "icon_color": 7322096}})
            topic = message.topic = chat.topics[message.id] = Topic(name, message)
            self.tell_bots(message)
            return topic

    def close_topic(self, chat: Chat, topic: Topic | None = None) -> None:
        """Close a topic, or General: from now on only those who may manage topics write there."""
        with self.changed:
            if topic:
                topic.closed = True
            else:
                chat.general_closed = True
            message = self._service_message(chat, {"forum_topic_closed": {}})
            message.topic = topic
            self.tell_bots(message)

    def _service_message(self, chat: Chat, service: JSON) -> Message:
        by = next((m["who"] for m in chat.members.values() if not m["who"].is_bot), self.bot)
        return self.add_message(chat, by, Content(), service=service)

    def delete_topic(self, chat: Chat, topic: Topic) -> None:
        """Delete a topic with its messages; bots are not told."""
        with self.changed:
            del chat.topics[topic.id]
            chat.messages = {number: one for number, one in chat.messages.items() if one.topic is not topic}
            self.touch()

    # -- polls ------------------------------------------------------------------------------------

    def vote(self, person: Person, poll: Poll, options: Sequence[int]) -> None:
        """A person chooses these options, or takes their vote back with none; the bot is told both ways."""
        with self.changed:
            assert not poll.is_closed, "the poll is closed"
            assert poll.allows_multiple_answers or len(options) <= 1, "the poll takes one answer"
            assert poll.allows_revoting or not poll.votes.get(person.id), "the poll takes no second answer"
            poll.votes[person.id] = list(options)
            if not poll.is_anonymous:
                chosen = {
                    "option_ids": list(options),
                    "option_persistent_ids": [poll.options[number].persistent_id for number in options],
                }
                self.add_update(poll.bot, "poll_answer", {"poll_id": poll.id, "user": person.as_json(), **chosen})
            self._poll_changed(poll)

    def close_poll(self, poll: Poll) -> None:
        """The bot stopped it, or its time is over."""
        with self.changed:
            if not poll.is_closed and not self.closed:
                poll.is_closed = True
                self._poll_changed(poll)

    def _poll_changed(self, poll: Poll) -> None:
        self.add_update(poll.bot, "poll", poll.as_json())
        message = self.polls[poll.id]
        self.touch()
        message.version = self.version

    # -- inline mode ------------------------------------------------------------------------------

    def ask_inline(self, person: Person, text: str, offset: str, bot: Bot, chat_type: str = "sender") -> InlineQuery:
        """A person typed "@bot text": ask the bot, or answer from Telegram's own cache."""
        with self.changed:
            text = text[:256]
            query = InlineQuery(str(secrets.randbits(62)), person, text, offset, bot, self.clock(), self)
            for who in (person.id, None):
                until, known = self._inline_answers.get((bot.id, who, text, offset), (0, None))
                if known and self.inline_cache and until > self.clock():
                    query.results, query.contents = known.results, known.contents
                    query.next_offset, query.button = known.next_offset, known.button
                    return query
            self.inline_queries[query.id] = query
            update = {"id": query.id, "from": person.as_json(), "chat_type": chat_type}
            self.add_update(bot, "inline_query", update | {"query": text, "offset": offset})
            return query

    def inline_answered(self, query: InlineQuery) -> None:
        who = query.person.id if query.is_personal else None
        key = (query.bot.id, who, query.query, query.offset)
        self._inline_answers[key] = (self.clock() + query.cache_time, query)

    def send_inline_result(self, person: Person, query: InlineQuery, result: JSON, chat: Chat | None = None) -> Message:
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
                chosen: dict[str, Any] = {"result_id": result["id"], "from": person.as_json(), "query": query.query}
                if message.inline_message_id:
                    chosen["inline_message_id"] = message.inline_message_id
                self.add_update(query.bot, "chosen_inline_result", chosen)
            return message
