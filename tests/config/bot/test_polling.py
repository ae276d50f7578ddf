"""The loop that loses no update: real bot processes, killed and stopped while they work."""

import signal
import threading
import time

import pytest
import requests

from config.bot import client, polling
from config.bot.polling import Inbox
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
        person.wait(lambda message: "TMDB API" in (message.text or ""))
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


def test_updates_of_a_chat_keep_their_order_and_chats_do_not_wait_for_each_other():
    seen, slow = [], threading.Event()

    def handle(update):
        chat, number = update["message"]["chat"]["id"], update["update_id"]
        if number == 1:
            slow.wait(10)
        seen.append((chat, number))

    inbox = Inbox(handle, threads=4)
    for number, chat in enumerate([7, 7, 8, 8, 7], 1):
        inbox.put({"update_id": number, "message": {"chat": {"id": chat}}})
    wait_until(lambda: len(seen) == 2)
    assert seen == [(8, 3), (8, 4)]
    assert inbox.confirmed_to() == 1
    slow.set()
    wait_until(lambda: len(seen) == 5)
    assert [number for chat, number in seen if chat == 7] == [1, 2, 5]
    wait_until(lambda: inbox.confirmed_to() == 6)
    assert inbox.close(5) == 0


def test_an_update_that_is_here_already_is_not_taken_twice():
    handled, go = [], threading.Event()
    inbox = Inbox(lambda update: (go.wait(10), handled.append(update["update_id"])), threads=2)
    assert [inbox.put({"update_id": 5, "message": {"chat": {"id": 1}}}) for _ in range(3)] == [True, False, False]
    go.set()
    wait_until(lambda: inbox.confirmed_to() == 6)
    assert handled == [5]
    inbox.close(5)


def test_what_was_handled_while_telegram_answered_is_not_waited_for():
    """Else the next update of a quick chat would wait as long as one behind a slow chat."""
    inbox = Inbox(lambda update: None, threads=1)
    before = inbox.handled
    inbox.put({"update_id": 5, "message": {"chat": {"id": 1}}})
    wait_until(lambda: inbox.confirmed_to() == 6)
    waiting = threading.Thread(target=inbox.wait_for_progress, args=(before, 3600), daemon=True)
    waiting.start()
    waiting.join(10)
    assert not waiting.is_alive()
    inbox.close(5)


def test_a_slow_chat_does_not_hold_up_the_news_of_others(sandbox, start):
    """Behind an update that takes its time, new ones are looked for several times a second."""
    slow, quick = sandbox.telegram.person("Анна"), sandbox.telegram.person("Борис")
    bot = start("runbot")
    bot.wait_for_line("polling")
    sandbox.tmdb.fail(r"/search/movie", delay=4, times=1)
    slow.send("чего в таблице нет")
    wait_until(lambda: sandbox.tmdb.requests_of("/search/movie") or len(sandbox.telegram.calls_of("getUpdates")) > 3)
    quick.send("/help")
    quick.wait(lambda message: "TMDB API" in (message.text or ""))
    assert not [m for m in slow.chat if m.from_bot], "the slow one was answered first"


def test_a_slow_chat_does_not_make_the_loop_spin(sandbox, monkeypatch):
    """Behind an update that takes its time, the same updates are not asked for again and again."""
    release = threading.Event()
    monkeypatch.setattr(polling, "handle_update", lambda update: release.wait(20))
    sandbox.telegram.person("Анна").send("/help")
    stop = threading.Event()
    loop = threading.Thread(target=polling.poll, args=(stop,), daemon=True)
    loop.start()
    wait_until(lambda: len(sandbox.telegram.calls_of("getUpdates")) >= 2)
    before = len(sandbox.telegram.calls_of("getUpdates"))
    time.sleep(1.5)
    assert len(sandbox.telegram.calls_of("getUpdates")) - before <= 12
    release.set()
    stop.set()
    loop.join(15)


def test_a_bot_that_stops_does_not_take_its_own_last_question_for_anothers(sandbox, monkeypatch, caplog):
    """What confirms the last updates ends the question that still waits, with the 409 that a second bot would bring."""
    monkeypatch.setattr(polling, "handle_update", lambda update: None)
    sandbox.telegram.person("Анна").send("/help")
    stop = threading.Event()
    loop = threading.Thread(target=polling.poll, args=(stop,), daemon=True)
    loop.start()
    wait_until(lambda: len(sandbox.telegram.calls_of("getUpdates")) >= 2)
    question = next(thread for thread in threading.enumerate() if thread.name == "getUpdates")
    stop.set()
    loop.join(15)
    question.join(15)
    assert not question.is_alive()
    assert "another process" not in caplog.text


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
