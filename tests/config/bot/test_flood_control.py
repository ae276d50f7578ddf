"""One person who sends without waiting for answers: told once, held back, and nobody else notices."""

import io
import json
import threading
import time

import pytest

from config import wsgi
from config.bot import flood_control, polling
from config.bot.polling import Inbox
from config.models import Update
from tests.config.bot.test_webhook import HEADER, SECRET, at_once, message, serve  # noqa: F401 a fixture
from tests.conftest import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

HELP = "TMDB API"  # words of every help text
POLITE = {"en": "sending faster than I can answer", "ru": "быстрее, чем я успеваю"}
MOST = 100 + 2 * flood_control.ORDINARY  # updates of one person that one process handles at a stretch


@pytest.fixture
def clock(monkeypatch):
    """clock.now is the time that buckets go by."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(flood_control, "time", clock)
    return clock


@pytest.fixture
def told(monkeypatch):
    """What Inbox would have told, (update_id, whether a flood began with it)."""
    calls = []
    monkeypatch.setattr(flood_control, "tell", lambda update, begun: calls.append((update["update_id"], begun)))
    return calls


class Stuck(Inbox):
    """An Inbox whose one thread stays at the first update until `release()`."""

    def __init__(self):
        self.go, self.seen = threading.Event(), []
        super().__init__(self._see, threads=1)

    def _see(self, update):
        self.go.wait(30)
        self.seen.append(update["update_id"])

    def release(self, count):
        self.go.set()
        wait_until(lambda: not self.unfinished, explain=lambda: f"{self.seen} of {count}")
        self.close(5)
        return self.seen


def texts(sandbox, person):
    """What the bot has sent to a person's private chat, in order."""
    calls = sandbox.telegram.calls_of("sendMessage")
    return [call.params["text"] for call in calls if call.params["chat_id"] == str(person.id) and call.status == 200]


# --- What counts


def test_who_taps_quickly_is_never_held_back(clock, told):
    """Twenty updates in five seconds, and even ninety at once, while the bot is busy with the first."""
    inbox = Stuck()
    for number in range(1, 21):
        clock.now += 0.25
        inbox.put(message(number, "/help"))
    for number in range(21, 101):
        inbox.put(message(number, "/help"))
    assert inbox.release(100) == list(range(1, 101))
    assert told == []


def test_who_waits_for_each_answer_never_floods_however_quick_both_are(clock, told):
    handled = []
    inbox = Inbox(lambda update: handled.append(update["update_id"]), threads=1)
    for number in range(1, 201):
        inbox.put(message(number, "/help"))
        wait_until(lambda: len(handled) == number)  # noqa: B023
    inbox.close(5)
    assert told == []
    assert flood_control._senders == {}


def test_of_a_flood_the_surplus_and_what_waits_is_finished_unhandled(clock, told):
    """So that nothing of it stands between Telegram and others' updates, and the offset goes on."""
    inbox = Stuck()
    for number in range(1, 501):
        assert inbox.put(message(number, "/help"))
        assert not inbox.put(message(number, "/help")), "it came again"
    inbox.put(message(501, "/help", chat=502))
    assert len(inbox.unfinished) <= 3
    assert [begun for _number, begun in told].count(True) == 1
    assert told[0][1]
    assert set(inbox.release(501)) <= {1, 2, 501}
    assert inbox.confirmed_to() == 502


def test_after_a_second_of_quiet_all_is_as_before(clock, told):
    inbox = Stuck()
    for number in range(1, 300):
        inbox.put(message(number, "/help"))
    clock.now += 0.5
    inbox.put(message(300, "/help"))
    assert told[-1] == (300, False), "not yet"
    clock.now += 1.5
    inbox.put(message(301, "/help"))
    assert inbox.release(301)[-1] == 301
    assert told[-1] == (300, False)


def test_in_a_group_each_person_counts_alone(clock, told):
    """Whoever writes beside a flood in their group is answered, in order."""

    def written(number, person):
        update = message(number, "/help@kinoteka_sandbox_bot", chat=-4001)
        update["message"]["chat"]["type"] = "group"
        update["message"]["from"]["id"] = person
        return update

    inbox = Stuck()
    for number in range(1, 1001):
        inbox.put(written(number, person=number % 50 + 1 if number % 10 == 0 else 7))
    others = [number for number in range(10, 1001, 10) if number % 50 + 1 != 7]
    seen = inbox.release(1000)
    assert [number for number in seen if number in others] == others
    assert len(seen) < len(others) + MOST


def test_a_limit_of_nought_is_none(clock, told, settings):
    settings.FLOOD_UPDATES_PER_SECOND = 0
    inbox = Stuck()
    for number in range(1, 501):
        inbox.put(message(number, "/help"))
    assert len(inbox.release(500)) == 500


def test_what_names_no_sender_is_let_through_to_whoever_turns_it_away(clock, told):
    inbox = Stuck()
    odd = [{}, {"message": None}, {"message": {"chat": {"id": []}, "from": {"id": []}}}, {"message": {"from": 5}},
           {"callback_query": {"from": {"id": 2**70}, "message": 5}}, {"inline_query": []}]  # fmt: skip
    for number in range(1, 301):
        inbox.put({"update_id": number} | odd[number % len(odd)])
    assert len(inbox.release(300)) == 300


def test_a_crowd_of_floods_is_remembered_in_bounded_memory(clock, monkeypatch):
    monkeypatch.setattr(flood_control, "MOST_PEOPLE", 50)
    for person in range(1, 1001):
        clock.now += 0.01
        flood_control.begins(message(person, "/help", chat=person), waiting=flood_control.ORDINARY)
    assert len(flood_control._senders) <= 50


# --- In words


@pytest.mark.parametrize("language", ["en", "ru"])
def test_by_polling_a_flood_is_told_once_and_another_person_is_answered_at_once(sandbox, start, language):
    anna, boris = (
        sandbox.telegram.person("Anna", language_code=language),
        sandbox.telegram.person("Boris"),
    )
    sandbox.telegram.latency = 0.02
    bot = start("runbot")
    bot.wait_for_line("polling")
    for _number in range(1500):
        anna.send("/help")
    boris.send("/help")
    boris.wait(lambda m: HELP in (m.text or ""))
    anna.wait(lambda m: POLITE[language] in (m.text or ""))
    wait_until(lambda: not sandbox.telegram.accounts[sandbox.telegram_token].updates)
    answered = texts(sandbox, anna)
    assert sum(HELP in text for text in answered) <= MOST
    assert sum(POLITE[language] in text for text in answered) == 1

    def answered_again():
        asked = anna.send("/help")
        time.sleep(1.5)
        return any(HELP in (m.text or "") for m in anna.chat if m.from_bot and m.id > asked.id)

    wait_until(answered_again)
    assert bot.terminate() == 0
    assert "Traceback" not in bot.output


def test_by_webhook_a_flood_is_told_once_over_all_processes(sandbox, serve):  # noqa: F811
    anna, boris = sandbox.telegram.person("Анна", id=501), sandbox.telegram.person("Борис", id=502)
    anna.send("/start"), boris.send("/start")
    sandbox.telegram.latency = 0.05
    webs = [serve(), serve()]
    numbers = iter(range(1, 1201))
    told, lock = [], threading.Lock()

    def deliver(web):
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            answer = web.post(message(number, "/help"))
            assert answer.status_code == 200
            if answer.content:
                told.append(answer.json())

    flooding = [lambda web=web: deliver(web) for web in webs * 6]
    at_once([*flooding, lambda: webs[0].post(message(2000, "/help", chat=502))])
    assert len(told) == 1
    assert (told[0]["method"], told[0]["chat_id"]) == ("sendMessage", 501)
    assert POLITE["ru"] in told[0]["text"]
    wait_until(lambda: not Update.objects.exclude(state=Update.State.DONE).exists())
    assert len(texts(sandbox, anna)) <= len(webs) * MOST
    assert len(texts(sandbox, boris)) == 1
    sandbox.telegram.latency = 0
    later = iter(range(3000, 4000))

    def answered_again():
        before = len(texts(sandbox, anna))
        time.sleep(1.5)
        for web in webs:
            assert web.post(message(next(later), "/help")).status_code == 200
        return len(texts(sandbox, anna)) == before + 2

    wait_until(answered_again)


@pytest.fixture
def flooding(clock, sandbox):
    """Anna, who floods this process."""
    anna = sandbox.telegram.person("Anna", id=501, language_code="en")
    anna.send("/help")
    while not flood_control.begins(message(1, "/help"), waiting=flood_control.ORDINARY):
        pass
    return anna


def asked_inline(number, person):
    return {"update_id": number, "inline_query": {"id": "7", "from": person.as_json(), "query": "м", "offset": ""}}


def test_a_declined_tap_says_so_and_a_declined_query_is_answered_with_nothing(flooding, client, settings, sandbox):
    settings.TELEGRAM_WEBHOOK_SECRET = SECRET

    def post(update):
        answer = client.post("/telegram/webhook/", update, content_type="application/json", headers={HEADER: SECRET})
        assert answer.status_code == 200
        return json.loads(answer.content or "null")

    tap = {"id": "9", "from": flooding.as_json(), "chat_instance": "1", "data": "rate:603:8"}
    call = post({"update_id": 2, "callback_query": tap})
    assert (call["method"], call["callback_query_id"]) == ("answerCallbackQuery", "9")
    assert POLITE["en"] in call["text"]
    call = post(asked_inline(3, flooding))
    assert (call["method"], call["inline_query_id"], call["results"]) == ("answerInlineQuery", "7", "[]")
    assert post(message(4, "/help")) is None, "a flood is told of where it begins, not at each message"
    assert not Update.objects.exists(), "what is declined costs no query"
    assert [call.method for call in sandbox.telegram.calls] == []


def test_a_web_server_declines_a_flood_before_django_sees_it_and_lets_all_else_through(flooding, settings, monkeypatch):
    """The same answers, whichever of the two gives them; only the right secret lets anybody skip anything."""
    settings.TELEGRAM_WEBHOOK_SECRET = SECRET
    seen = []
    monkeypatch.setattr(wsgi, "django", lambda environ, start: seen.append(environ["wsgi.input"].read()) or [b"django"])

    def ask(update, secret=SECRET, path="/telegram/webhook/", length=None):
        body = update if isinstance(update, bytes) else json.dumps(update).encode()
        environ = {"PATH_INFO": path, "REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(body)}
        environ |= {"HTTP_X_TELEGRAM_BOT_API_SECRET_TOKEN": secret, "CONTENT_LENGTH": length or str(len(body))}
        return b"".join(wsgi.application(environ, lambda status, headers: None))

    assert b"answerInlineQuery" in ask(asked_inline(3, flooding))
    assert ask(message(4, "/help")) == b""
    assert seen == []
    for through in (
        (message(5, "/help", chat=502),),
        (message(6, "/help"), "wrong"),
        (message(7, "/help"), SECRET, "/admin/"),
        (message(8, "/help"), SECRET, "/telegram/webhook/", "x"),
        (b"no JSON",),
    ):
        assert ask(*through) == b"django"
    assert json.loads(seen[0]) == message(5, "/help", chat=502), "what was read is handed on"


def test_by_polling_no_more_than_a_tap_a_second_is_answered(flooding, clock, sandbox, handle):
    query = flooding.inline("матрица")
    handle_all = polling.get_updates(None, timeout=0)
    (raw,) = [update for update in handle_all if "inline_query" in update]
    for _times in range(50):
        flood_control.tell(raw, begun=False)
    assert query.wait() == []
    clock.now += 2
    flood_control.tell(raw, begun=False)
    wait_until(lambda: len(sandbox.telegram.calls_of("answerInlineQuery")) == 2)
