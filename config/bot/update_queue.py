"""The table of updates: a durable queue that polling and the webhook fill and `config.bot.engine` works off.

States of a row, and who changes them:

    WAITING   stored, not begun. Any process may claim it, as long as it is its chat's oldest and none of the chat is
              CLAIMED (a unique index decides between two processes).
    CLAIMED   a process handles it. Each claim counts an attempt before it begins and expires CLAIM_TTL_SECONDS after
              its last renewal; then any process makes the row WAITING again.
    HANDLED, TIMED_OUT, GIVEN_UP   ended: by its handler, by MAX_HANDLER_SECONDS, by MAX_ATTEMPTS dead processes.
    DROPPED   never begun, because MAX_WAITING_PER_CHAT of its chat waited already, or because the person was forgotten.

A claim is identified by (id, attempts): a process whose claim has expired changes nothing any more. Every statement
here is one transaction of its own (autocommit), so that a kill leaves each row in one of these states. What has ended
holds nothing but its id, by which it is known if Telegram sends it again, and is deleted after KEEP_SECONDS.

Order within a chat is that of (numbering, update_id). Telegram may restart at lower ids (Bot API, Update: after a
week without updates; or another server): an id far below the newest begins the next numbering.
"""

import json
import os
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from django.db import IntegrityError, connection

from config.database import POSTGRESQL_NOW
from config.models import Update

CLAIM_TTL_SECONDS = 20
MAX_HANDLER_SECONDS = 120
MAX_ATTEMPTS = 3  # an update that ends its process so often is given up
MAX_WAITING_PER_CHAT = 30
KEEP_SECONDS = 25 * 3600  # Telegram itself gives an update up after a day
NEW_NUMBERING_GAP = 100_000  # ids below the newest; at 350 updates a second it is five minutes
MAX_CLOCK_ERROR_SECONDS = 5  # of the one clock that writes and reads, except where it is set back
MAX_PURGED = 20_000  # rows in one statement

# The clock of the database server, since machines need not agree on the time. The SQL stays the same, so that SQLite
# finds its statement prepared.
SQLITE_NOW = "((julianday('now') - 2440587.5) * 86400.0)"

RawUpdate = dict[str, Any]  # Bot API's Update, of any shape: nothing in it has been checked but update_id
State = Update.State


@dataclass(eq=False)
class Claim:
    """An update that this process handles; no other process handles one of its chat meanwhile."""

    pk: int
    attempts: int
    body: str
    update: RawUpdate | None = None  # what the body says, where that is at hand
    end: Update.State = State.HANDLED
    began_at: float | None = None  # of time.monotonic()

    def parsed(self) -> RawUpdate:
        """The raw update."""
        return self.update if self.update is not None else json.loads(self.body)


class Stored(NamedTuple):
    """What became of updates that came in; known ones are in none of these."""

    claimed: list[Claim]
    waiting: int
    dropped: list[RawUpdate]


class Incoming(NamedTuple):
    """An update to store: its JSON, how many of its chat come earlier in the same batch, whether it may begin."""

    update: RawUpdate
    body: str
    chat: str
    earlier: int
    begins: bool


def chat_of(update: RawUpdate) -> str:
    """What orders updates: the chat they happen in, else the person they come from, else nothing (their own id)."""
    for kind, part in update.items():
        if isinstance(part, dict):
            if kind == "callback_query" and isinstance(part.get("message"), dict):
                part = part["message"]
            for owner in ("chat", "from"):
                if isinstance(part.get(owner), dict) and isinstance(part[owner].get("id"), int):
                    return str(part[owner]["id"])[:64]
    return f"update {update.get('update_id')}"[:64]


def is_update(data: object) -> bool:
    """Whether this is an update that can be stored: an object with an id that Telegram may give."""
    return isinstance(data, dict) and type(data.get("update_id")) is int and 0 <= data["update_id"] < 2**63


def now_sql() -> str:
    """The UNIX time in seconds, as SQL."""
    return POSTGRESQL_NOW if connection.vendor == "postgresql" else SQLITE_NOW


def waited_sql() -> str:
    """SQL for updates that came so many seconds ago (one parameter), or in the future: the clock was set back since."""
    now = now_sql()
    return f"(received_at <= {now} - %s OR received_at > {now} + {MAX_CLOCK_ERROR_SECONDS})"


# --- Coming in


def store(updates: Sequence[tuple[RawUpdate, str]], free: int) -> Stored:
    """Store updates, each with its JSON, in one statement; claim as many as `free` whose chats are idle.

    Raises DatabaseError where nothing, or an unknown part, was stored: then they must come again.
    """
    incoming = _prepared(updates, free)
    newest = incoming[-1].update["update_id"]
    states = _insert(incoming, newest)
    raced = [one for one in incoming if one.begins and one.update["update_id"] not in states]
    if raced:  # known, or another process has claimed an update of the chat since
        states |= _insert([one._replace(begins=False) for one in raced], newest)
    claimed, waiting, dropped = [], 0, []
    for one in incoming:
        pk, state = states.pop(one.update["update_id"], (0, None))
        if state == State.CLAIMED:
            claimed.append(Claim(pk, 1, one.body, one.update))
        elif state == State.DROPPED:
            dropped.append(one.update)
        waiting += state == State.WAITING
    return Stored(claimed, waiting, dropped)


def _prepared(updates: Sequence[tuple[RawUpdate, str]], free: int) -> list[Incoming]:
    prepared: list[Incoming] = []
    before: Counter[str] = Counter()
    for update, body in sorted(updates, key=lambda pair: pair[0]["update_id"]):
        chat = chat_of(update)
        begins = not before[chat] and len(before) < free
        prepared.append(Incoming(update, body, chat, before[chat], begins))
        before[chat] += 1
    return prepared


def _insert(incoming: list[Incoming], newest: int) -> dict[int, tuple[int, int]]:
    """{update_id: (primary key, state)} of unknown ones; the newest id of the batch tells the numbering."""
    values: list[int | str] = []
    for update, body, chat, earlier, begins in incoming:
        values += (update["update_id"], chat, body, earlier, int(begins))
    with _writing(), connection.cursor() as cursor:
        cursor.execute(_insert_sql(len(incoming)).replace("NOW", now_sql()), [*values, newest])
        return {update_id: (pk, state) for pk, update_id, state in cursor.fetchall()}


@cache
def _insert_sql(rows: int) -> str:
    row = "(CAST(%s AS bigint), CAST(%s AS text), CAST(%s AS text), CAST(%s AS int), CAST(%s AS int))"
    return f"""
        WITH incoming (update_id, chat, body, earlier, begins) AS (VALUES {", ".join([row] * rows)}),
        newest AS (SELECT numbering, update_id FROM updates ORDER BY numbering DESC, update_id DESC LIMIT 1),
        judged AS (
            SELECT *,
                COALESCE((SELECT numbering + CASE WHEN newest.update_id - {NEW_NUMBERING_GAP} > %s THEN 1 ELSE 0 END
                    FROM newest), 0)
                    AS numbering,
                CASE
                WHEN earlier + (SELECT count(*) FROM updates AS other
                    WHERE other.chat = incoming.chat AND state < 2 AND state = 0) >= {MAX_WAITING_PER_CHAT}
                    THEN {State.DROPPED:d}
                WHEN begins = 1 AND NOT EXISTS (SELECT 1 FROM updates AS other
                    WHERE other.chat = incoming.chat AND state < 2) THEN {State.CLAIMED:d}
                ELSE {State.WAITING:d} END AS new_state
            FROM incoming
        )
        INSERT INTO updates (numbering, update_id, chat, body, received_at, state, attempts, claim_expires_at)
        SELECT numbering, update_id,
            CASE WHEN new_state < 2 THEN chat ELSE '' END, CASE WHEN new_state < 2 THEN body ELSE '' END,
            NOW, new_state, CASE WHEN new_state = 1 THEN 1 ELSE 0 END, NOW + {CLAIM_TTL_SECONDS}
        FROM judged WHERE true ORDER BY update_id ON CONFLICT DO NOTHING RETURNING id, update_id, state
    """


# --- Being handled


def claim(limit: int, min_age_seconds: float = 0) -> list[Claim]:
    """Claim the oldest waiting update of up to `limit` chats, of those that have waited for so long."""
    # A row that another process is about to claim is left to it: waiting for each other would be a deadlock.
    skip = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    now = now_sql()
    assert not connection.in_atomic_block, "two that claim one chat at once: PostgreSQL ends the loser's transaction"
    try:
        with _writing(), connection.cursor() as cursor:
            cursor.execute(
                f"""
                WITH heads AS (
                    SELECT id FROM updates AS head
                    WHERE state < 2 AND state = 0 AND {waited_sql()} AND NOT EXISTS (
                        SELECT 1 FROM updates AS other WHERE other.chat = head.chat AND other.state < 2 AND (
                            other.state = 1
                            OR (other.numbering, other.update_id) < (head.numbering, head.update_id)))
                    ORDER BY id LIMIT %s {skip})
                UPDATE updates SET state = 1, attempts = attempts + 1, claim_expires_at = {now} + {CLAIM_TTL_SECONDS}
                WHERE state = 0 AND id IN (SELECT id FROM heads) RETURNING id, attempts, body
                """,
                [min_age_seconds, limit],
            )
            return [Claim(*row) for row in sorted(cursor.fetchall())]
    except IntegrityError:
        return []  # another process has claimed one of these chats at the same moment: the next look tells


def renew(claims: Sequence[Claim]) -> None:
    """Let claims live on for CLAIM_TTL_SECONDS."""
    _change(claims, f"claim_expires_at = {now_sql()} + {CLAIM_TTL_SECONDS}")


def finish(claims: Sequence[Claim]) -> bool:
    """Record how claimed updates have ended, and forget what was in them; returns whether others may wait.

    SQLite writes one transaction after the other, so that what is not seen here finds its chat idle when it comes.
    """
    waiting = connection.vendor != "sqlite"
    for end in {one.end for one in claims}:
        ended = [one for one in claims if one.end == end]
        waiting |= _change(ended, f"state = {end:d}, body = '', chat = ''")
    return waiting


def _change(claims: Sequence[Claim], assignment: str) -> bool:
    """Change rows that are still claimed so; returns whether any update waits."""
    if not claims:
        return False
    mine = ", ".join(["(%s, %s)"] * len(claims))
    with _writing(), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE updates SET {assignment} WHERE state = 1 AND (id, attempts) IN (VALUES {mine})"
            " RETURNING EXISTS (SELECT 1 FROM updates AS other WHERE state < 2 AND state = 0)",
            [number for one in claims for number in (one.pk, one.attempts)],
        )
        rows = cursor.fetchall()
    return len(rows) < len(claims) or any(waits for (waits,) in rows)


def release_expired() -> int:
    """Make what dead processes had claimed wait again; returns how many updates that were."""
    with _writing(), connection.cursor() as cursor:
        # an expiry that lies further ahead than any is set to was set before the clock was set back
        longest = CLAIM_TTL_SECONDS + MAX_CLOCK_ERROR_SECONDS
        cursor.execute(
            "UPDATE updates SET state = 0 WHERE state = 1"
            f" AND NOT (claim_expires_at BETWEEN {now_sql()} AND {now_sql()} + {longest})"
        )
        return int(cursor.rowcount)


def is_anything_left(min_age_seconds: float) -> bool:
    """Whether an update has waited for so long."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT 1 FROM updates WHERE state < 2 AND state = 0 AND {waited_sql()} LIMIT 1", [min_age_seconds]
        )
        return cursor.fetchone() is not None


@contextmanager
def _writing() -> Iterator[None]:
    """One writing thread of this process at a time, on SQLite: a second one would sleep and look, sleep and look."""
    if connection.vendor != "sqlite":
        yield
        return
    with _write_lock:
        yield


_write_lock = threading.Lock()


def _after_fork() -> None:
    global _write_lock
    _write_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


# --- Being forgotten


def purge() -> int:
    """Delete what has ended and can no longer come again; returns how many rows that were."""
    with _writing(), connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM updates WHERE id IN (SELECT id FROM updates WHERE state > 1"
            f" AND received_at < {now_sql()} - {KEEP_SECONDS} ORDER BY received_at LIMIT {MAX_PURGED})"
        )
        return int(cursor.rowcount)


def forget(user_id: int) -> None:
    """Drop what waits of a person, or holds their id; what is being handled forgets its content when it ends."""
    whole_id = re.compile(rf"(?<!\d){user_id}(?!\d)")
    candidates = Update.objects.filter(state=State.WAITING, body__contains=str(user_id)).values_list("pk", "body")
    found = [pk for pk, body in candidates.iterator() if whole_id.search(body)]
    dropped = {"state": State.DROPPED, "chat": "", "body": ""}
    Update.objects.filter(pk__in=found, state=State.WAITING).update(**dropped)
    Update.objects.filter(chat=str(user_id), state=State.WAITING).update(**dropped)
