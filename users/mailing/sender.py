"""Sends broadcasts: a table row per recipient is the queue.

A row is claimed, and that committed, before its message is sent; the answer is written down after it. A process that
is killed in between leaves the row CLAIMED: whether the message went out is not known, so it is not repeated, and the
row becomes UNKNOWN. Everybody else's row is WAITING still, and the next job goes on there.
"""

from __future__ import annotations

import logging
import threading
import time
from itertools import islice

from django.db import DatabaseError, connection, connections, transaction
from django.db.models import Sum

from config.jobs import rate_limiter
from config.jobs.enqueue import StopEvent, async_task
from config.models import MetricCount
from config.monitoring import metrics
from config.monitoring.logs import with_correlation_id
from users.mailing.delivery import Outcome, mark_blocked, send_broadcast
from users.mailing.models import Broadcast, BroadcastState, Delivery, Recipient
from users.models import User

log = logging.getLogger(__name__)

LEASE = "users.broadcast"
TASK = "users.tasks.send_broadcasts"
MAX_PER_SECOND = 25  # Telegram allows 30 over all chats (Bots FAQ: broadcasting)
MIN_PER_SECOND = 2  # however much is written in the chat
TOTAL_PER_SECOND = 28  # of broadcasts and the chat together
THREADS = 10  # so that slow answers cost no rate
CLAIM_TTL_SECONDS = 75  # longer than any call without repetition; then it is not known what became of it
FILL_BATCH = 1000  # recipients written in one statement
BURST_TOLERANCE_SECONDS = 0.1  # by which a late message lets the next follow sooner
MAX_REFUSALS = 5  # in a row: the text or picture is at fault, not the people
RATE_WINDOW_SECONDS = 60
RATE_TTL_SECONDS = 5
SAVE_DELAYS_SECONDS = (0.2, 0.5, 1, 2, 4)


def start(broadcast: Broadcast) -> bool:
    """Have a draft sent; False where it has been started already."""
    draft = Broadcast.objects.filter(pk=broadcast.pk, state=BroadcastState.DRAFT)
    started = draft.update(state=BroadcastState.SENDING, started_at=int(time.time()))
    wake()
    return bool(started)


def pause(broadcast: Broadcast, problem: str = "") -> bool:
    """Send nothing more until it is resumed. What is being sent at this moment still goes out."""
    sending = Broadcast.objects.filter(pk=broadcast.pk, state=BroadcastState.SENDING)
    return bool(sending.update(state=BroadcastState.PAUSED, problem=problem))


def resume(broadcast: Broadcast) -> bool:
    paused = Broadcast.objects.filter(pk=broadcast.pk, state=BroadcastState.PAUSED)
    resumed = paused.update(state=BroadcastState.SENDING, problem="")
    wake()
    return bool(resumed)


def end(broadcast: Broadcast) -> bool:
    """Stop for good: who has not got it never does."""
    unfinished = Broadcast.objects.filter(pk=broadcast.pk, state__in=[BroadcastState.SENDING, BroadcastState.PAUSED])
    return bool(unfinished.update(state=BroadcastState.STOPPED, finished_at=int(time.time())))


def wake() -> None:
    transaction.on_commit(lambda: async_task(TASK, save=False))


def send_due(seconds: float, stop: StopEvent) -> str:
    """Send what waits, oldest broadcast first, for at most so long; the caller holds the lease."""
    deadline, sent = time.monotonic() + seconds, 0
    give_up_lost_claims()
    while not stop.is_set() and time.monotonic() < deadline:
        broadcast = Broadcast.objects.filter(state=BroadcastState.SENDING).order_by("started_at", "pk").first()
        if broadcast is None:
            break
        fill(broadcast)
        run = _Run(broadcast, deadline, stop)
        run.work()
        sent += run.sent
        if not finish(broadcast) and not run.out_of_time:
            break  # Telegram is away, or others' claims are still open: the next job looks again
    return f"{sent} sent"


def fill(broadcast: Broadcast) -> None:
    """Write down the recipients; a process that dies at it leaves the rest to the next, and nothing is sent before."""
    if Broadcast.objects.filter(pk=broadcast.pk, filled_at=None).exists():
        people = broadcast.audience().values_list("pk", flat=True).iterator(FILL_BATCH)
        rows = (Recipient(broadcast=broadcast, user_id=user_id) for user_id in people)
        while batch := list(islice(rows, FILL_BATCH)):
            Recipient.objects.bulk_create(batch, ignore_conflicts=True)
        Broadcast.objects.filter(pk=broadcast.pk).update(filled_at=int(time.time()))


def give_up_lost_claims() -> int:
    """What a killed process was sending may have arrived: it is not sent again."""
    lost = Recipient.objects.filter(state=Delivery.CLAIMED, claimed_at__lt=int(time.time()) - CLAIM_TTL_SECONDS)
    return lost.update(state=Delivery.UNKNOWN, error="the process ended while it was sent")


def finish(broadcast: Broadcast) -> bool:
    """Close a broadcast for which nothing is left to send; returns whether that is so."""
    open_rows = Recipient.objects.filter(broadcast=broadcast, state__in=[Delivery.WAITING, Delivery.CLAIMED])
    if open_rows.exists():
        return not Broadcast.objects.filter(pk=broadcast.pk, state=BroadcastState.SENDING).exists()
    sending = Broadcast.objects.filter(pk=broadcast.pk, state=BroadcastState.SENDING)
    sending.update(state=BroadcastState.DONE, finished_at=int(time.time()))
    return True


def claim(broadcast_id: int) -> int | None:
    """The next recipient, claimed; None where none waits or the broadcast is not being sent any more."""
    skip = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE broadcast_recipients SET state = 1, claimed_at = %s
            WHERE broadcast_id = %s AND state = 0 AND telegram_user_id = (
                SELECT telegram_user_id FROM broadcast_recipients WHERE broadcast_id = %s AND state = 0
                ORDER BY telegram_user_id LIMIT 1 {skip})
            AND EXISTS (SELECT 1 FROM broadcasts WHERE id = %s AND state = 1)
            RETURNING telegram_user_id
            """,  # noqa: S608
            [int(time.time()), broadcast_id, broadcast_id, broadcast_id],
        )
        row = cursor.fetchone()
    return row[0] if row else None


def record(broadcast_id: int, user_id: int, outcome: Outcome) -> None:
    """Write down what became of a claimed message, even if the database is away for a moment."""
    columns = {"state": outcome.state, "error": outcome.error[:300]}
    if outcome.state == Delivery.SENT:
        columns["sent_at"] = int(time.time())
    claimed = Recipient.objects.filter(broadcast_id=broadcast_id, user_id=user_id, state=Delivery.CLAIMED)
    for delay in (*SAVE_DELAYS_SECONDS, None):
        try:
            claimed.update(**columns)
            return
        except DatabaseError as error:
            connection.close()
            if delay is None:
                raise
            log.warning("the database is away: %s; again in %s s", error, delay)
            time.sleep(delay)


class _Rate:
    """How many messages a second a broadcast may send beneath what the bot sends in the chat."""

    def __init__(self) -> None:
        self.per_second, self.valid_until = float(MAX_PER_SECOND), 0.0

    def now(self) -> float:
        if time.monotonic() >= self.valid_until:
            self.valid_until = time.monotonic() + RATE_TTL_SECONDS
            since = int(time.time()) - RATE_WINDOW_SECONDS - 60
            names = ["telegram.requests", "broadcasts.sent"]
            rows = MetricCount.objects.filter(name__in=names, minute__gt=since).values_list("name")
            counted = dict(rows.annotate(Sum("number")))
            others = counted.get("telegram.requests", 0) - counted.get("broadcasts.sent", 0)
            in_the_chat = max(0, others) / (2 * RATE_WINDOW_SECONDS)
            self.per_second = max(MIN_PER_SECOND, min(MAX_PER_SECOND, TOTAL_PER_SECOND - in_the_chat))
        return self.per_second


class _Run:
    """One job's work at one broadcast, on several threads."""

    def __init__(self, broadcast: Broadcast, deadline: float, stop: StopEvent) -> None:
        self.broadcast, self.deadline, self.stop = broadcast, deadline, stop
        self.lock, self.pace, self.over = threading.Lock(), threading.Lock(), threading.Event()
        self.sent = self.refusals = 0
        self.rate = _Rate()

    @property
    def out_of_time(self) -> bool:
        return self.stop.is_set() or time.monotonic() >= self.deadline

    def work(self) -> None:
        """Return when nothing waits, the time is over, or Telegram takes nothing."""
        first = self._one()  # alone: a picture is uploaded once, and a text that Telegram refuses is refused once
        if not first:
            return
        target = with_correlation_id(self._loop)
        threads = [threading.Thread(target=target, name=f"broadcast-{number}") for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _loop(self) -> None:
        try:
            while self._one():
                pass
        except Exception:
            log.exception("broadcast %s: a thread has ended", self.broadcast.pk)
            self.over.set()
        finally:
            connections.close_all()

    def _one(self) -> bool:
        """Send to the next recipient; False where there is none or nothing more may be sent."""
        if not self._take_slot():
            return False
        user_id = claim(self.broadcast.pk)
        if user_id is None:
            return False
        user = User.objects.filter(pk=user_id).only("language", "blocked_at", "banned_at", "takes_broadcasts").first()
        if user is None:
            return True  # forgotten, and the row with them
        if user.blocked_at or user.banned_at or not user.takes_broadcasts:
            outcome = Outcome(Delivery.BLOCKED if user.blocked_at else Delivery.SKIPPED)
        else:
            metrics.increment("broadcasts.sent")
            outcome = send_broadcast(self.broadcast, user_id, user.language)
        record(self.broadcast.pk, user_id, outcome)
        self._take(user_id, outcome)
        return not self.over.is_set()

    def _take_slot(self) -> bool:
        """Wait for a slot of what the bot may send; False where nothing more is to be sent. One thread waits."""
        with self.pace:
            while not (self.over.is_set() or self.out_of_time):
                wait = rate_limiter.try_acquire("telegram", self.rate.now(), BURST_TOLERANCE_SECONDS)
                if not wait:
                    return True
                self.stop.wait(min(wait, 1.0))
        return False

    def _take(self, user_id: int, outcome: Outcome) -> None:
        """What an outcome means for the rest."""
        if outcome.state == Delivery.BLOCKED and outcome.error:
            mark_blocked(user_id)
        with self.lock:
            self.sent += outcome.state == Delivery.SENT
            self.refusals = self.refusals + 1 if outcome.state == Delivery.FAILED else 0
            at_fault = self.refusals >= MAX_REFUSALS
        if outcome.retry_after_seconds:
            log.warning("broadcast %s: %s", self.broadcast.pk, outcome.error)
            rate_limiter.block_for("telegram", outcome.retry_after_seconds)
        elif outcome.state == Delivery.WAITING:
            log.warning("broadcast %s goes on later: %s", self.broadcast.pk, outcome.error)
            self.over.set()
        elif at_fault:
            pause(self.broadcast, outcome.error)
            self.over.set()
