"""The durable queue of updates: order, bounds, deaths and timeouts, in this process against the real tables."""

import json
import random
import threading
import time

import pytest
from django.db import OperationalError, connections
from django.db.models import F

from config.bot import drop_notice, engine, update_queue
from config.bot.engine import Engine
from config.models import Update
from config.monitoring import metrics
from tests.conftest import wait_until
from tests.helpers.updates import at_once, message

pytestmark = pytest.mark.django_db(transaction=True)

State = Update.State


def pairs(*updates):
    return [(update, json.dumps(update)) for update in updates]


@pytest.fixture
def run(monkeypatch):
    """run(handle, threads): an Engine of this test; all are stopped at the end."""
    engines = []
    monkeypatch.setattr(drop_notice, "give", lambda update: None)

    def begin(handle, threads=4, **options):
        engines.append(Engine(handle, threads, **options))
        return engines[-1]

    yield begin
    for one in engines:
        one.stop(5)


def states():
    return dict(Update.objects.values_list("update_id", "state"))


def all_ended():
    return not Update.objects.filter(state__lt=State.HANDLED).exists()


def leave(update_id, chat=501, state=State.WAITING, attempts=0, expired_for=1.0, age=60.0):
    """A row as a process that died has left it."""
    now = time.time()
    return Update.objects.create(
        update_id=update_id, chat=str(chat), state=state, attempts=attempts, received_at=now - age,
        claim_expires_at=now - expired_for, body=json.dumps(message(update_id, "/help", chat)),
    )  # fmt: skip


def test_updates_of_a_chat_keep_their_order_and_chats_do_not_wait_for_each_other(run):
    seen, slow = [], threading.Event()

    def handle(update):
        chat, number = update["message"]["chat"]["id"], update["update_id"]
        if number == 1:
            slow.wait(20)
        seen.append((chat, number))

    queue = run(handle)
    queue.store(pairs(*(message(number, "x", chat) for number, chat in enumerate([7, 7, 8, 8, 7], 1))))
    wait_until(lambda: len(seen) == 2)
    assert seen == [(8, 3), (8, 4)]
    slow.set()
    wait_until(all_ended)
    assert [number for chat, number in seen if chat == 7] == [1, 2, 5]
    row = Update.objects.get(update_id=5)
    assert (row.state, row.body, row.chat, row.attempts) == (State.HANDLED, "", "", 1), "nothing of the person stays"


def test_one_slow_chat_delays_only_itself_however_many_updates_come(run):
    seen, slow = [], threading.Event()
    queue = run(lambda update: slow.wait(30) if update["update_id"] == 1 else seen.append(update["update_id"]))
    queue.store(pairs(message(1, "x", 7)))
    for first in range(2, 602, 100):
        queue.store(pairs(*(message(number, "x", 1000 + number) for number in range(first, first + 100))))
    wait_until(lambda: len(seen) == 600)
    slow.set()
    wait_until(all_ended)


def test_ids_that_come_again_are_known_whatever_has_become_of_them(run):
    handled, go = [], threading.Event()
    queue = run(lambda update: (go.wait(20), handled.append(update["update_id"])), threads=2)
    for _ in range(3):
        queue.store(pairs(message(5, "x"), message(6, "x"), message(6, "x")))
    go.set()
    wait_until(all_ended)
    queue.store(pairs(message(5, "x")))
    queue.store(pairs(message(6, "x"), message(7, "x")))
    wait_until(lambda: len(handled) == 3 and all_ended())
    assert handled == [5, 6, 7]


def test_ids_far_below_the_last_ones_are_a_new_numbering(run):
    handled = []
    queue = run(lambda update: handled.append(update["update_id"]))
    queue.store(pairs(message(1_000_005, "x"), message(1_000_006, "x")))
    queue.store(pairs(message(3, "x"), message(4, "x")))
    wait_until(lambda: len(handled) == 4)
    queue.store(pairs(message(4, "x")))
    queue.store(pairs(message(999_000, "x")))
    queue.store(pairs(message(1_000_005, "x")))
    wait_until(lambda: len(handled) == 6 and all_ended())
    assert handled == [1_000_005, 1_000_006, 3, 4, 999_000, 1_000_005]


def test_updates_that_come_out_of_order_are_handled_in_theirs_while_the_chat_is_busy(run):
    handled, go = [], threading.Event()
    queue = run(lambda update: (go.wait(20), handled.append(update["update_id"])))
    for number in (20, 23, 22):
        queue.store(pairs(message(number, "x")))
    go.set()
    wait_until(lambda: len(handled) == 3)
    assert handled == [20, 22, 23]


def test_at_most_thirty_updates_of_a_chat_wait_and_the_rest_is_dropped(run, monkeypatch):
    counted, noticed, handled, go = [], [], [], threading.Event()
    monkeypatch.setattr(metrics, "increment", lambda name, number=1: counted.append(name))
    queue = run(lambda update: (go.wait(20), handled.append(update["update_id"])))
    monkeypatch.setattr(drop_notice, "give", lambda update: noticed.append(update["update_id"]))
    queue.store(pairs(message(1, "x")))
    queue.store(pairs(*(message(number, "x") for number in range(2, 101)), message(101, "x", chat=502)))
    for number in range(102, 300):
        queue.store(pairs(message(number, "x")))
    assert Update.objects.filter(chat="501", state=State.WAITING).count() == 30
    assert len(noticed) == counted.count("updates.dropped") == 267
    assert not Update.objects.filter(state=State.DROPPED).exclude(body="", chat="").exists()
    go.set()
    wait_until(lambda: all_ended() and len(handled) == 32)
    assert sorted(handled) == [*range(1, 32), 101]
    wait_until(lambda: not queue.store(pairs(message(random.randrange(1000, 90_000), "x"))).dropped)


def test_a_claim_lives_as_long_as_its_handler_and_nobody_else_handles_the_update(run, monkeypatch):
    """By a thread that does nothing else; the recovery of another process finds nothing to take over."""
    monkeypatch.setattr(update_queue, "CLAIM_TTL_SECONDS", 1)
    update_queue._insert_sql.cache_clear()
    monkeypatch.setattr(engine, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(engine, "RECOVERED_AFTER_SECONDS", 0)
    again = []
    monkeypatch.setattr(engine, "handle_update", lambda update: again.append(update))
    go = threading.Event()
    queue = run(lambda update: go.wait(20), threads=1)
    queue.store(pairs(message(1, "x"), message(2, "x")))
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        assert engine.recover(threading.Event()) == 0
        time.sleep(0.2)
    go.set()
    wait_until(all_ended)
    update_queue._insert_sql.cache_clear()
    assert again == []
    assert set(Update.objects.values_list("attempts", flat=True)) == {1}


def test_a_handler_is_bounded_and_its_end_recorded(run, monkeypatch, caplog):
    monkeypatch.setattr(engine, "MAX_HANDLER_SECONDS", 0.5)
    monkeypatch.setattr(engine, "RENEW_SECONDS", 0.1)
    seen, go = [], threading.Event()
    queue = run(lambda update: go.wait(20) if update["update_id"] == 1 else seen.append(update["update_id"]), threads=1)
    queue.store(pairs(message(1, "x"), message(2, "x")))
    wait_until(lambda: seen == [2])
    wait_until(all_ended)
    assert states() == {1: State.TIMED_OUT, 2: State.HANDLED}
    assert "update 1 takes more than" in caplog.text
    go.set()
    queue.store(pairs(message(3, "x"), message(4, "x", chat=9)))
    wait_until(lambda: len(seen) == 3 and all_ended())
    assert states()[1] == State.TIMED_OUT


def test_a_handler_that_raises_has_ended_too(run, caplog):
    def handle(update):
        raise ValueError("nobody thought of this")

    run(handle, threads=1).store(pairs(message(1, "x"), message(2, "x"), message(3, "x", chat=8)))
    wait_until(all_ended)
    assert set(states().values()) == {State.HANDLED}
    assert "nobody thought of this" in caplog.text


def test_what_a_dead_process_left_is_handled_once_more_in_order_and_what_kills_is_given_up(run, caplog, monkeypatch):
    monkeypatch.setattr(update_queue, "CLAIM_TTL_SECONDS", 60)  # of the process that lives
    leave(1, 501, State.CLAIMED, attempts=1)
    leave(2, 501)
    leave(3, 502, State.CLAIMED, attempts=update_queue.MAX_ATTEMPTS)
    leave(4, 502)
    leave(5, 503, State.CLAIMED, attempts=1, expired_for=-60)
    leave(6, 503)
    handled = []
    run(lambda update: handled.append(update["update_id"]))
    wait_until(lambda: len(handled) == 3)
    wait_until(lambda: not Update.objects.filter(state=State.WAITING).exclude(chat="503").exists())
    wait_until(lambda: states()[4] == State.HANDLED)
    assert [number for number in handled if number < 3] == [1, 2]
    assert states() == {1: 2, 2: 2, 3: State.GIVEN_UP, 4: 2, 5: State.CLAIMED, 6: State.WAITING}
    assert "update 3 has ended its process 3 times" in caplog.text


def test_who_has_lost_a_claim_changes_nothing_any_more():
    row = leave(1, state=State.CLAIMED, attempts=1)
    stale = update_queue.Claim(row.pk, 1, row.body)
    assert update_queue.release_expired() == 1
    (fresh,) = update_queue.claim(5)
    assert fresh.attempts == 2
    update_queue.finish([stale])
    assert states() == {1: State.CLAIMED}
    update_queue.finish([fresh])
    assert states() == {1: State.HANDLED}


def test_the_recovery_takes_over_what_was_left_and_leaves_to_the_living_what_just_came(monkeypatch):
    handled = []
    monkeypatch.setattr(engine, "handle_update", lambda update: handled.append(update["update_id"]))
    leave(1, 501, State.CLAIMED, attempts=1)
    leave(2, 501)
    leave(3, 502, age=1)
    assert engine.recover(threading.Event()) == 2
    assert handled == [1, 2]
    assert states() == {1: State.HANDLED, 2: State.HANDLED, 3: State.WAITING}
    assert engine.recover(threading.Event()) == 0


def test_the_recovery_stops_when_its_cluster_does(monkeypatch):
    handled, stop = [], threading.Event()
    monkeypatch.setattr(engine, "handle_update", lambda update: (stop.set(), time.sleep(0.7), handled.append(update)))
    for number in range(1, 30):
        leave(number)
    engine.recover(stop)
    assert 1 <= len(handled) <= 3
    assert not Update.objects.filter(state=State.CLAIMED).exists()


def test_old_rows_are_deleted_once_they_have_ended():
    leave(1, state=State.HANDLED, age=26 * 3600)
    leave(2, state=State.DROPPED, age=24 * 3600)
    leave(3, state=State.WAITING, age=26 * 3600)
    assert update_queue.purge() == 1
    assert set(states()) == {2, 3}


def test_who_is_forgotten_leaves_nothing_in_the_queue_and_takes_nothing_of_others_along():
    leave(1, 1234)
    leave(2, 912345)
    group = message(3, "x", -100)
    group["message"]["from"]["id"] = 1234
    Update.objects.create(update_id=3, chat="-100", body=json.dumps(group), received_at=1.5)
    other = message(4, "x", -100)
    other["message"]["from"]["id"] = 12345
    Update.objects.create(update_id=4, chat="-100", body=json.dumps(other), received_at=1.5)
    update_queue.forget(1234)
    assert states() == {1: State.DROPPED, 2: State.WAITING, 3: State.DROPPED, 4: State.WAITING}
    assert set(Update.objects.filter(state=State.DROPPED).values_list("chat", "body")) == {("", "")}


def test_an_end_is_written_even_if_the_database_is_away_for_a_moment(run, monkeypatch):
    write, failures = update_queue.finish, iter([OperationalError, OperationalError])

    def finish(claims):
        if failure := next(failures, None):
            raise failure
        return write(claims)

    monkeypatch.setattr(update_queue, "finish", finish)
    handled = []
    run(handled.append).store(pairs(message(1, "x")))
    wait_until(all_ended)
    assert len(handled) == 1


def test_whatever_comes_at_the_same_time_is_handled_once_in_order_and_nothing_is_left(run):
    """Four hundred deliveries of two hundred updates of ten chats to two processes' engines by sixteen threads."""
    lock, running, handled = threading.Lock(), set(), []

    def handle(update):
        chat = update["message"]["chat"]["id"]
        with lock:
            assert chat not in running, "two updates of a chat at once"
            running.add(chat)
        time.sleep(random.random() * 0.004)
        with lock:
            running.remove(chat)
            handled.append(update["update_id"])

    engines = [run(handle), run(handle)]
    updates = [message(n, "/help", chat=n % 10) for n in range(1, 201)]
    deliveries = sorted(updates * 2, key=lambda update: update["update_id"] + random.random() * 10)
    numbers = iter(range(len(deliveries)))

    def deliver():
        try:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                engines[number % 2].store(pairs(deliveries[number]))
        finally:
            connections.close_all()

    at_once([deliver] * 16)
    wait_until(all_ended)
    assert sorted(handled) == list(range(1, 201))
    assert set(states().values()) == {State.HANDLED}


@pytest.mark.parametrize("hours", [-24, -2, 2, 24])
def test_a_clock_that_jumps_holds_up_neither_waiting_updates_nor_a_dead_processs_claims(hours):
    """The database's clock stays: what it has written moves instead."""
    update_queue.store(pairs(message(1, "x", 7), message(2, "x", 7), message(3, "x", 8)), free=1)
    assert update_queue.release_expired() == 0
    moved = {name: F(name) - hours * 3600 for name in ("received_at", "claim_expires_at")}
    Update.objects.update(**moved)
    assert update_queue.release_expired() == 1
    assert update_queue.is_anything_left(20)
    assert [one.pk for one in update_queue.claim(10, 20)] == sorted(
        Update.objects.filter(update_id__in=(1, 3)).values_list("pk", flat=True)
    )
