"""A chat that sends faster than it is answered is told so once; each tap and inline query gets an answer of its own."""

import json
import threading
from itertools import count

import pytest

from config.bot import drop_notice, engine, update_queue
from config.bot.engine import Engine
from config.models import Update
from tests.helpers.updates import message
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def overwhelmed(sandbox, anna, monkeypatch):
    """overwhelmed(update): what comes while thirty updates of Anna's chat wait behind one that takes its time."""
    sandbox.telegram.open_private_chat(sandbox.telegram.bot, anna)
    go = threading.Event()
    busy, ids = Engine(lambda update: go.wait(60), 2), count(1)

    def come(update):
        update["update_id"] = next(ids)
        return busy.store([(update, json.dumps(update))])

    for _ in range(1 + update_queue.MAX_WAITING_PER_CHAT):
        come(message(0, "x", anna.id))
    wait_until(lambda: Update.objects.filter(state=Update.State.WAITING).count() == update_queue.MAX_WAITING_PER_CHAT)
    yield come
    go.set()
    busy.stop(30)


def notices(anna):
    return [one.text for one in anna.chat if "faster than I can answer" in (one.text or "")]


def english(update):
    update["message"]["from"]["language_code"] = "en"
    return update


def test_messages_are_declined_once_in_words(anna, overwhelmed):
    dropped = [overwhelmed(english(message(0, "x", anna.id))) for _ in range(100)]
    assert {taken.dropped for taken in dropped} == {1}
    wait_until(lambda: notices(anna))
    wait_until(drop_notice._pending.empty)
    assert len(notices(anna)) == 1


def test_another_process_does_not_tell_it_again(anna, overwhelmed):
    overwhelmed(english(message(0, "x", anna.id)))
    wait_until(lambda: notices(anna))
    drop_notice._notified_at.clear()  # as another process, which has only the cache in common
    assert drop_notice.call_for(english(message(1, "x", anna.id))) is None


def test_a_quiet_minute_later_it_is_told_again(anna, overwhelmed, monkeypatch):
    monkeypatch.setattr(drop_notice, "QUIET_SECONDS", 0)
    for number in (1, 2):
        overwhelmed(english(message(0, "x", anna.id)))
        wait_until(lambda number=number: len(notices(anna)) == number)


def test_every_tap_and_every_inline_query_is_answered(sandbox, anna, overwhelmed):
    sender = {"id": anna.id, "is_bot": False, "first_name": "Anna", "language_code": "en"}
    place = message(0, "x", anna.id)["message"]
    for number in range(3):
        overwhelmed(
            {"update_id": 0, "callback_query": {"id": str(number), "from": sender, "message": place, "data": "x"}}
        )
        overwhelmed({"update_id": 0, "inline_query": {"id": str(number), "from": sender, "query": "x", "offset": ""}})
    wait_until(lambda: len(sandbox.telegram.calls_of("answerCallbackQuery")) == 3)
    wait_until(lambda: len(sandbox.telegram.calls_of("answerInlineQuery")) == 3)
    assert {call.params["results"] for call in sandbox.telegram.calls_of("answerInlineQuery")} == {"[]"}
    assert not notices(anna)


def test_an_update_that_can_be_no_ones_is_dropped_in_silence(anna, overwhelmed):
    overwhelmed(
        {"update_id": 0, "my_chat_member": {"chat": {"id": anna.id, "type": "private"}, "from": {"id": anna.id}}}
    )
    assert drop_notice._pending.empty()
    assert engine.Taken(0, 1) == overwhelmed(message(0, "x", anna.id))
