"""Updates that come by webhook: each kept in a table before it is handled, once, in order within its chat.

An update is answered when it has been handled, so that a card can ride in the answer; or as soon as it is kept, where
an earlier one of its chat is at hand in any process: who has that goes on with this. What a process that died had at
hand is free again when its claim runs out; Telegram's next delivery, any web process or the sweep takes it up.

In the ordinary case this costs two statements: the insert, which is also the claim, and the update that ends it.
"""

import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
    connections,
    transaction,
)

from config.bot import client, flood_control
from config.bot.dispatch import handle_update
from config.bot.polling import chat_of
from config.database import now_sql
from config.models import Update

log = logging.getLogger(__name__)

HOLD = 20  # seconds until the claim of a process that died runs out
RENEW = 5  # seconds between two looks after claims, ours and others'
MOST_TRIES = 3  # an update that ends its process so often is given up
ANSWER_WITHIN = 25  # seconds in which Telegram still reads our answer; after that it sends the update again
KEEP = 25 * 3600  # seconds; Telegram itself gives an update up after a day
KEEP_REPLIES = 600  # seconds
SIDE_BY_SIDE = 8  # chats of dead processes that one process goes on with at a time

WAITING, AT_HAND, DONE = Update.State.WAITING, Update.State.AT_HAND, Update.State.DONE


@dataclass
class Held:
    """An update of ours to handle: nobody else handles one of its chat meanwhile."""

    update_id: int
    body: str
    tries: int


def receive(update, body):
    """Take in an update (and its JSON): handle it, unless its chat is busy. Returns the JSON of a call to answer with.

    Raises DatabaseError where it could not be kept; it must then be sent again.
    """
    began = time.monotonic()
    _look_after_claims()
    update_id, chat = update["update_id"], str(chat_of(update))[:64]
    state = _keep(update_id, chat, body)
    if state == AT_HAND:
        return _work_off(chat, Held(update_id, body, 1), update_id, began)
    if state == WAITING and flood_control.begins(update, _waiting_before(update_id, chat)):
        _drop_waiting(chat, flood_control.person_of(update))
        return decline(update, begun=True)
    reply = _work_off(chat, _claim(chat), update_id, began)
    if state is None:
        return reply or _reply_of_first_delivery(update_id, chat, began)
    return reply


def decline(update, begun=False):
    """What an update of a flood is answered with, unhandled: the JSON of a call that says so, or nothing."""
    call = flood_control.polite_call(update, begun)
    return json.dumps(call) if call else ""


def _reply_of_first_delivery(update_id, chat, began):
    """What an update is answered with that comes again: its first answer, which Telegram has then not had.

    While another process is at it we wait for that, and take over if it dies.
    """
    while time.monotonic() < began + ANSWER_WITHIN:
        row = Update.objects.filter(pk=update_id).values_list("state", "reply").first()
        if row is None or row[0] == DONE:
            return row[1] if row else ""
        time.sleep(0.25)
        _free_claims_of_the_dead()
        if reply := _work_off(chat, _claim(chat), update_id, began):
            return reply
    return ""


def _work_off(chat, held, mine=None, began=0.0):
    """Handle the update we hold and all that wait behind it in the chat.

    Returns the call to answer update `mine` with, unless something came after it: then it has been made.
    """
    while held:
        with _at_hand(held), client.answer_slot(until=began + ANSWER_WITHIN if held.update_id == mine else 0) as slot:
            if held.tries > MOST_TRIES:
                log.error("update %s has ended its process %s times: given up", held.update_id, MOST_TRIES)
            else:
                handle_update(json.loads(held.body))
            if slot.call and time.monotonic() > slot.until:
                slot.make_call()
            reply = json.dumps(slot.call, ensure_ascii=False) if slot.call else ""
            if _stubbornly(lambda held=held, reply=reply: _finish(held, chat, reply)):
                return reply
            slot.make_call()  # before the answers to what comes next
            held = _stubbornly(lambda held=held: _finish_and_claim(held, chat))
    return ""


def forget_answers(user_id):
    """Keep nothing of what a person was answered."""
    Update.objects.filter(chat=str(user_id), state=DONE).update(chat="", reply="")


def sweep():
    """Go on with what dead processes left; forget what can no longer come again."""
    left = _go_on_with_left_chats()
    gone = _forget()
    return f"{left} resumed, {gone} purged"


# --- The table


def _keep(update_id, chat, body):
    """Keep an update: AT_HAND, ours to handle; WAITING, its chat is busy; None, it is here already."""
    now, values = now_sql(), [update_id, chat, body]
    with connection.cursor() as cursor:
        # The state is settled in the insert itself; the unique index decides between two that come at once.
        cursor.execute(
            "INSERT INTO updates (update_id, chat, body, received_at, held_until, tries, state)"
            f" SELECT %s, %s, %s, {now}, {now} + {HOLD}, first.state, first.state FROM"
            " (SELECT CASE WHEN EXISTS (SELECT 1 FROM updates WHERE chat = %s AND state < 2) THEN 0 ELSE 1 END"
            " AS state) AS first WHERE true ON CONFLICT DO NOTHING RETURNING state",
            [*values, chat],
        )
        if row := cursor.fetchone():
            return row[0]
        cursor.execute(
            "INSERT INTO updates (update_id, chat, body, received_at, held_until, tries, state)"
            f" VALUES (%s, %s, %s, {now}, 0, 0, 0) ON CONFLICT (update_id) DO NOTHING",
            values,
        )
        return WAITING if cursor.rowcount else None


def _waiting_before(update_id, chat):
    """How many updates of a chat wait before this one; no more than are worth counting."""
    return Update.objects.filter(chat=chat, state=WAITING, update_id__lt=update_id)[: flood_control.stock()].count()


def _drop_waiting(chat, person):
    """Leave unhandled what waits of a person in a chat."""
    waiting = Update.objects.filter(chat=chat, state=WAITING)
    theirs = [
        pk for pk, body in waiting.values_list("pk", "body") if flood_control.person_of(json.loads(body)) == person
    ]
    waiting.filter(pk__in=theirs).update(state=DONE, body="", chat="")


def _claim(chat):
    """The chat's oldest waiting update, ours from now on; None where none waits or one is at hand."""
    # A row that another process is about to claim is left to it: waiting for each other would be a deadlock.
    skip = " FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    now = now_sql()
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE updates SET state = 1, tries = tries + 1, held_until = {now} + {HOLD} WHERE update_id IN"
                " (SELECT update_id FROM updates WHERE update_id ="
                f" (SELECT min(update_id) FROM updates WHERE chat = %s AND state = 0) AND state = 0{skip})"
                " RETURNING update_id, body, tries",
                [chat],
            )
            row = cursor.fetchone()
    except IntegrityError:
        return None
    return row and Held(*row)


def _finish(held, chat, reply):
    """End an update, if no other waits behind it; returns whether that was so."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE updates SET state = 2, body = '', chat = %s, reply = %s WHERE update_id = %s"
            " AND NOT EXISTS (SELECT 1 FROM updates AS others WHERE others.chat = %s AND others.state = 0)",
            [chat if reply else "", reply, held.update_id, chat],
        )
        return bool(cursor.rowcount)


@transaction.atomic
def _finish_and_claim(held, chat):
    """End an update and take the next of its chat in one step, so that no later one comes between."""
    Update.objects.filter(pk=held.update_id).update(state=DONE, body="", chat="")
    return _claim(chat)


def _stubbornly(write):
    """Write what came of an update even if the database is away for a moment: else it would be handled twice."""
    for pause in (0.1, 0.5, 1, 2, 4, 8):
        try:
            return write()
        except (OperationalError, InterfaceError):
            connection.close()
            time.sleep(pause)
    return write()


def _forget():
    with connection.cursor() as cursor:
        now = now_sql()
        cursor.execute(
            f"UPDATE updates SET reply = '', chat = '' WHERE reply <> '' AND received_at < {now} - {KEEP_REPLIES}"
        )
        cursor.execute(
            "DELETE FROM updates WHERE update_id IN (SELECT update_id FROM updates WHERE state = 2"
            f" AND received_at < {now} - {KEEP} ORDER BY received_at LIMIT 20000)"
        )
        return cursor.rowcount


# --- What processes hold, and what the dead have left

_held: dict[int, Held] = {}  # what this process has at hand
_lock = threading.Lock()
_keeper: threading.Thread | None = None


@contextmanager
def _at_hand(held):
    """While the block runs, the claim on an update is renewed."""
    _held[held.update_id] = held
    try:
        yield
    finally:
        del _held[held.update_id]


def _look_after_claims():
    """From the first update on, renew this process's claims and take over those of the dead."""
    global _keeper
    if _keeper is None:
        with _lock:
            if _keeper is None:
                _keeper = threading.Thread(target=_keep_claims, daemon=True, name="claims")
                _keeper.start()


def _keep_claims():
    while True:
        time.sleep(RENEW)
        close_old_connections()
        try:
            _renew(list(_held))
            _go_on_with_left_chats()
        except DatabaseError as error:  # away: the next round tries again
            log.debug("claims could not be looked after: %s", error)
        except Exception:  # without this thread the process would lose its claims
            log.exception("claims could not be looked after")
        finally:
            close_old_connections()


def _renew(update_ids):
    if update_ids:
        marks = ", ".join(["%s"] * len(update_ids))
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE updates SET held_until = {now_sql()} + {HOLD} WHERE state = 1 AND update_id IN ({marks})",
                update_ids,
            )


def _free_claims_of_the_dead():
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE updates SET state = 0 WHERE state = 1 AND held_until < {now_sql()}")


def _go_on_with_left_chats():
    """Handle what waits in chats that nobody is at; returns how many chats there were."""
    _free_claims_of_the_dead()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT chat FROM updates AS waiting WHERE state = 0 AND NOT EXISTS"
            " (SELECT 1 FROM updates AS busy WHERE busy.chat = waiting.chat AND busy.state = 1) LIMIT 200"
        )
        chats = [chat for (chat,) in cursor.fetchall()]
    if chats:
        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="left") as pool:
            list(pool.map(_go_on_with, chats))
    return len(chats)


def _go_on_with(chat):
    try:
        _work_off(chat, _claim(chat))
    finally:
        connections.close_all()
