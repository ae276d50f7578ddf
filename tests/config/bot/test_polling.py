"""The loop that loses no update: real bot processes, killed and stopped while they work."""

import signal
import threading
import time

import pytest
import requests
from django.db import OperationalError

from config.bot import client, engine, polling, update_queue
from config.models import Update
from tests.conftest import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def answers(sandbox):
    """Every text the bot has sent, in order."""
    return [
        call.params["text"]
        for call in list(sandbox.telegram.calls)
        if call.method == "sendMessage" and call.status == 200
    ]


def test_a_killed_bot_loses_none_of_the_updates_it_had_taken(sandbox, start):
    people = [sandbox.telegram.person(f"Зритель {n}") for n in range(20)]
    sandbox.telegram.latency = 0.3
    first = start("runbot", BOT_THREADS="4")
    first.wait_for_line("polling")
    for person in people:
        person.send("/help")
    wait_until(lambda: len(answers(sandbox)) >= 3, explain=lambda: first.output)
    first.kill()
    sandbox.telegram.latency = 0
    second = start("runbot")
    for person in people:
        person.wait(lambda message: "TMDB API" in (message.text or ""), timeout=40)
    assert second.terminate() == 0


def test_sigterm_finishes_what_is_at_hand_and_confirms_it(sandbox, start):
    anna = sandbox.telegram.person("Анна")
    bot = start("runbot")
    bot.wait_for_line("polling")
    sandbox.telegram.latency = 0.8
    anna.send("/help")
    wait_until(lambda: any(call.method == "sendMessage" for call in sandbox.telegram.calls) or anna.chat[1:])
    assert bot.terminate() == 0
    sandbox.telegram.latency = 0
    assert len(answers(sandbox)) == 1
    again = start("runbot")
    anna.send("603")
    anna.wait(lambda message: message.photo)
    assert len(answers(sandbox)) == 1, "the first update came a second time"
    assert again.terminate() == 0


def test_a_slow_chat_does_not_hold_up_the_news_of_others(sandbox, start):
    slow, quick = sandbox.telegram.person("Анна"), sandbox.telegram.person("Борис")
    bot = start("runbot")
    bot.wait_for_line("polling")
    sandbox.tmdb.fail(r"/search/movie", delay=4, times=1)
    slow.send("чего в таблице нет")
    wait_until(lambda: Update.objects.filter(state=Update.State.CLAIMED).exists())
    quick.send("/help")
    quick.wait(lambda message: "TMDB API" in (message.text or ""))
    assert not [m for m in slow.chat if m.from_bot], "the slow one was answered first"


@pytest.fixture
def polling_here(sandbox, monkeypatch):
    """polling_here(handle): the loop in this process, with another handler; stopped at the end."""
    stop, loops = threading.Event(), []

    def begin(handle):
        monkeypatch.setattr(engine, "handle_update", handle)
        loops.append(threading.Thread(target=polling.poll, args=(stop,), daemon=True))
        loops[-1].start()

    yield begin
    stop.set()
    for loop in loops:
        loop.join(15)
        assert not loop.is_alive()


def test_one_slow_update_and_three_hundred_others(sandbox, polling_here):
    """Others are answered however many come after the slow one."""
    go, seen = threading.Event(), []
    slow = sandbox.telegram.person("Анна")

    def handle(update):
        if update["message"]["chat"]["id"] == slow.id:
            go.wait(30)
        seen.append(update["message"]["chat"]["id"])

    polling_here(handle)
    slow.send("/help")
    people = [sandbox.telegram.person(f"Зритель {n}") for n in range(300)]
    for person in people:
        person.send("/help")
    wait_until(lambda: len(seen) == 300)
    go.set()
    wait_until(lambda: len(seen) == 301)


def test_an_answer_is_confirmed_at_once_while_its_updates_are_handled(sandbox, polling_here):
    go = threading.Event()
    polling_here(lambda update: go.wait(20))
    sandbox.telegram.person("Анна").send("/help")
    wait_until(lambda: Update.objects.filter(state=Update.State.CLAIMED).exists())
    wait_until(lambda: not sandbox.telegram.accounts[sandbox.telegram_token].updates)
    before = len(sandbox.telegram.calls_of("getUpdates"))
    time.sleep(1)
    assert len(sandbox.telegram.calls_of("getUpdates")) - before <= 1, "the same is not asked for again and again"
    go.set()


def test_ids_that_begin_anew_at_a_lower_number_are_handled_once_each(sandbox, polling_here):
    seen = []
    polling_here(lambda update: seen.append(update["update_id"]))
    anna = sandbox.telegram.person("Анна")
    anna.send("/help")
    account = sandbox.telegram.accounts[sandbox.telegram_token]
    wait_until(lambda: len(seen) == 1 and not account.updates)
    account.next_update_id = 5
    for _ in range(3):
        anna.send("/help")
    anna.send("/start")
    wait_until(lambda: len(seen) >= 5)
    assert seen[1:] == [5, 6, 7, 8]


def test_an_old_update_among_those_of_a_new_numbering_has_nothing_handled_twice(sandbox, polling_here):
    seen = []
    account = sandbox.telegram.accounts[sandbox.telegram_token]
    anna = sandbox.telegram.person("Анна")
    anna.send("/help")
    old = account.next_update_id - 1
    account.next_update_id = 5
    anna.send("/help")
    polling_here(lambda update: seen.append(update["update_id"]))
    wait_until(lambda: len(seen) == 2)
    before = len(sandbox.telegram.calls_of("getUpdates"))
    anna.send("/help")
    wait_until(lambda: len(seen) >= 3)
    wait_until(lambda: len(sandbox.telegram.calls_of("getUpdates")) >= before + 2)
    assert seen == [5, old, 6]


def test_what_cannot_be_stored_is_not_confirmed_and_comes_again(sandbox, polling_here, monkeypatch):
    store, failures, seen = update_queue.store, iter([OperationalError, OperationalError]), []

    def fail_twice(updates, free):
        if failure := next(failures, None):
            raise failure
        return store(updates, free)

    monkeypatch.setattr(update_queue, "store", fail_twice)
    polling_here(lambda update: seen.append(update["update_id"]))
    sandbox.telegram.person("Анна").send("/help")
    wait_until(lambda: len(seen) == 1)


def test_a_wrong_token_is_said_in_one_sentence(start):
    bot = start("runbot", TELEGRAM_BOT_TOKEN="123456789:this-is-no-token-of-any-bot-at-all0")
    assert bot.wait() != 0
    assert "@BotFather" in bot.output
    assert "Traceback" not in bot.output


def test_no_token_is_said_in_one_sentence(start):
    bot = start("runbot", TELEGRAM_BOT_TOKEN="")
    assert bot.wait() != 0
    assert "TELEGRAM_BOT_TOKEN is missing" in bot.output
    assert "Traceback" not in bot.output


def test_polling_beside_a_webhook_stops_and_says_why(sandbox, start):
    url = f"{sandbox.telegram_api_url}/bot{sandbox.telegram_token}/setWebhook"
    requests.post(url, json={"url": "https://kinoteka.example/telegram/webhook/"}, timeout=10).raise_for_status()
    bot = start("runbot")
    assert bot.wait() != 0
    assert "delete_webhook" in bot.output


@pytest.mark.parametrize(("status", "body"), [(502, "<html>Bad Gateway</html>"), (500, "{}"), (200, "not JSON")])
def test_the_loop_outlives_a_telegram_that_talks_nonsense(sandbox, start, status, body):
    sandbox.telegram.fail("getUpdates", status=status, body=body.encode(), times=2)
    anna = sandbox.telegram.person("Анна")
    bot = start("runbot")
    anna.send("/help")
    anna.wait(lambda message: "TMDB API" in (message.text or ""))
    assert bot.terminate(signal.SIGINT) == 0


def test_every_call_carries_its_parameters_in_the_body(sandbox, handle):
    anna = sandbox.telegram.person("Анна")
    for text in ("/start", "603", "Матрица", "/connect"):
        anna.send(text)
    handle()
    assert len(sandbox.telegram.calls) > 5
    assert not any(call.in_query for call in sandbox.telegram.calls)


def test_a_long_poll_may_last_longer_than_a_connection_takes(sandbox):
    url = f"{sandbox.telegram_api_url}/bot{sandbox.telegram_token}/getUpdates"
    assert client.request("post", url, {"timeout": 3}, timeout=(1, 30)).json()["ok"]
