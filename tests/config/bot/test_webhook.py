"""Updates by webhook: real web processes under gunicorn, deliveries repeated, out of order and cut off."""

import io
import json
import random
import threading
import time
from collections import deque

import pytest
import requests
from django.core.management import CommandError, call_command
from django.db import connections
from PIL import Image

from config.bot import webhook
from config.models import Update
from movies.models import Movie, PosterStatus
from movies.tasks import check_answers
from tests.conftest import Process, wait_until
from tests.helpers.waiting import free_port
from users import disconnect

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "a-secret-of-this-test"
HEADER = "X-Telegram-Bot-Api-Secret-Token"
MARK = "TMDB API"  # words of every help text


class Web:
    """A web process and what Telegram would send it."""

    def __init__(self, environment, port=None):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/telegram/webhook/"
        self.environment = {**environment, "TELEGRAM_WEBHOOK_URL": self.url, "TELEGRAM_WEBHOOK_SECRET": SECRET}
        self.begin()

    def begin(self):
        self.process = Process(["-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}"], self.environment)
        self.process.wait_for_line("Booting worker")

    def post(self, body, secret=SECRET, **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return requests.post(self.url, body, headers={HEADER: secret, **headers}, timeout=60)


@pytest.fixture
def serve(environment):
    """serve(): a web process; every one is killed at the end."""
    running = []

    def begin(**variables):
        running.append(Web({**environment, **variables}))
        return running[-1]

    yield begin
    for web in running:
        web.process.kill()


def message(update_id, text, chat=501):
    """An update as Telegram sends it."""
    person = {"id": chat, "is_bot": False, "first_name": "Анна", "language_code": "ru"}
    place = {"id": chat, "type": "private", "first_name": "Анна"}
    written = {"message_id": update_id, "date": 1_700_000_000, "chat": place, "from": person, "text": text}
    if text.startswith("/"):
        written["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text.split()[0])}]
    return {"update_id": update_id, "message": written}


def at_once(calls):
    """Make the calls side by side; their results in order."""
    results = [None] * len(calls)

    def run(number, call):
        results[number] = call()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.fixture
def anna(sandbox):
    return sandbox.telegram.person("Анна", id=501)


def picture():
    poster = io.BytesIO()
    Image.new("RGB", (500, 750), "navy").save(poster, "JPEG")
    return poster.getvalue()


@pytest.fixture
def matrix(sandbox):
    """A film whose poster is in Telegram."""
    file_id = sandbox.telegram.keep_photo(sandbox.telegram.bot, picture())[-1].file_id
    return Movie.objects.create(
        id=603, title="Матрица", original_title="The Matrix", details_at=1_700_000_000, poster_path="/m.jpg",
        poster_status=PosterStatus.TELEGRAM, telegram_file_id=file_id, width=780, height=1170,
        vote_average=8.2, vote_count=100,
    )  # fmt: skip


def sent(sandbox):
    """The texts the bot has sent, in order."""
    return [call.params.get("text") for call in sandbox.telegram.calls_of("sendMessage")]


def test_a_card_goes_back_in_the_answer_with_no_second_request(sandbox, serve, anna, matrix):
    web = serve()
    answer = web.post(message(1, "/movie 603"))
    assert answer.status_code == 200
    call = answer.json()
    assert (call["method"], call["chat_id"], call["photo"]) == ("sendPhoto", 501, matrix.telegram_file_id)
    assert "Матрица" in call["caption"]
    assert "rate:603:10" in call["reply_markup"]
    assert [c.method for c in sandbox.telegram.calls if c.method.startswith("send")] == []


def test_who_was_answered_with_a_photo_that_telegram_has_forgotten_gets_the_card_after_all(
    sandbox, serve, anna, matrix, poster_dir
):
    """Telegram tells nobody that it took no call from an answer; a photo it knows is asked for once."""
    good = Movie.objects.create(
        id=604, title="Перезагрузка", poster_path="/r.jpg", details_at=1, poster_status=PosterStatus.TELEGRAM,
        telegram_file_id=sandbox.telegram.keep_photo(sandbox.telegram.bot, picture())[-1].file_id,
    )  # fmt: skip
    sandbox.telegram.forget_file(matrix.telegram_file_id)
    sandbox.tmdb.images["/m.jpg"] = (picture(), "image/jpeg")
    asked = anna.send("/movie 603")
    web = serve()
    assert web.post(message(1, "/movie 603")).json()["photo"] == matrix.telegram_file_id
    assert web.post(message(2, "/movie 604")).json()["photo"] == good.telegram_file_id
    assert check_answers() == "2 photos asked for, 1 cards sent again"
    card = anna.wait(after=asked)
    assert "Матрица" in card.caption
    matrix.refresh_from_db()
    assert matrix.telegram_file_id == card.photo.file_id
    assert len(sandbox.telegram.calls_of("sendPhoto")) == 2, "once refused, once with the poster's bytes"
    assert check_answers() == "0 photos asked for, 0 cards sent again"


def test_an_update_that_comes_again_gets_its_first_answer_again_and_is_handled_once(sandbox, serve, anna, matrix):
    web = serve()
    first = web.post(message(1, "/movie 603")).json()
    assert web.post(message(1, "/movie 603")).json() == first
    for _ in range(3):
        assert web.post(message(2, "/help")).content == b""
    assert len(sent(sandbox)) == 1


def test_an_update_is_handled_once_however_many_processes_it_comes_to(sandbox, serve, anna):
    sandbox.telegram.latency = 0.2
    webs = [serve(), serve()]
    answers = at_once([lambda web=web: web.post(message(7, "/help")) for web in webs * 6])
    assert {answer.status_code for answer in answers} == {200}
    assert len(sent(sandbox)) == 1
    row = Update.objects.get()
    assert (row.state, row.body, row.chat, row.tries) == (Update.State.DONE, "", "", 1), "nothing of the person stays"


def test_a_chat_keeps_its_order_across_processes_and_holds_up_no_other(sandbox, serve, anna):
    boris = sandbox.telegram.person("Борис", id=502)
    sandbox.telegram.latency = 0.3
    webs = [serve(), serve()]
    texts = [f"ничего такого {n}" for n in range(8)]

    def post(number, text):
        if number:  # Telegram sends them in order; how long each takes is another matter
            wait_until(lambda: Update.objects.filter(pk=9 + number).exists())
        return webs[number % 2].post(message(10 + number, f"/movie {text}"))

    calls = [lambda n=n, text=text: post(n, text) for n, text in enumerate(texts)]
    answers = at_once([*calls, lambda: webs[0].post(message(99, "/help", chat=boris.id))])
    assert {answer.status_code for answer in answers} == {200}
    wait_until(lambda: not Update.objects.exclude(state=Update.State.DONE).exists())
    asked = [r.query["query"] for r in sandbox.tmdb.requests if "query" in r.query]
    assert [text for n, text in enumerate(asked) if text not in asked[:n]] == texts
    assert len(sent(sandbox)) == 9


def test_updates_that_come_out_of_order_are_handled_in_theirs_while_the_chat_is_busy(sandbox, serve, anna):
    sandbox.telegram.latency = 0.6
    web = serve()
    first = threading.Thread(target=web.post, args=(message(20, "/help"),))
    first.start()
    wait_until(lambda: Update.objects.filter(state=Update.State.AT_HAND).exists())
    for number, text in ((23, "третий"), (22, "второй")):
        assert web.post(message(number, f"/movie {text} фильм")).status_code == 200
    first.join()
    asked = [r.query["query"] for r in sandbox.tmdb.requests if "query" in r.query]
    assert list(dict.fromkeys(asked)) == ["второй фильм", "третий фильм"]


def test_a_delivery_in_chunks_is_a_delivery(sandbox, serve, anna):
    web = serve()

    def in_chunks(body):
        return requests.post(
            web.url, (body[at : at + 7000] for at in range(0, len(body), 7000)), headers={HEADER: SECRET}, timeout=60
        )

    body = json.dumps({**message(1, "/help"), "more": "x" * 20_000}).encode()
    assert in_chunks(body).status_code == 200
    wait_until(lambda: len(sent(sandbox)) == 1, 30, lambda: web.process.output)
    assert in_chunks(body).status_code == 200
    assert in_chunks(b"[" * (2**20 + 10_000)).status_code == 200, "too long is too long, however it comes"
    web.process.wait_for_line("is left unread", 30)
    assert in_chunks(json.dumps(message(2, "/help")).encode()).status_code == 200
    wait_until(lambda: len(sent(sandbox)) == 2, 30, lambda: web.process.output)


def test_a_server_that_cannot_read_chunks_has_the_delivery_sent_again(client, settings):
    settings.TELEGRAM_WEBHOOK_SECRET = SECRET
    path = "/telegram/webhook/"
    body = json.dumps(message(1, "/help"))
    headers = {HEADER: SECRET, "Transfer-Encoding": "chunked"}
    answer = client.generic("POST", path, body, "application/json", headers=headers, CONTENT_LENGTH="")
    assert answer.status_code == 411


def test_a_killed_web_process_loses_nothing_and_another_goes_on(sandbox, serve, start, anna):
    web = serve()
    setting = start("set_webhook", **{name: web.environment[name] for name in web.environment if "WEBHOOK" in name})
    assert setting.wait() == 0
    sandbox.telegram.latency = 5
    people = [anna, *(sandbox.telegram.person(f"Зритель {n}") for n in range(5))]
    for person in people:
        person.send("/help")
    wait_until(lambda: Update.objects.filter(state=Update.State.AT_HAND).count() == len(people))
    web.process.kill()
    sandbox.telegram.latency = 0
    Update.objects.filter(state=Update.State.AT_HAND).update(held_until=0)  # their claims run out
    web.begin()
    for person in people:
        person.wait(lambda m: MARK in (m.text or ""))
    wait_until(lambda: set(Update.objects.values_list("state", flat=True)) == {Update.State.DONE})


def test_the_sweep_goes_on_with_what_dead_processes_left_and_gives_up_what_kills_them(sandbox, anna):
    def leave(update_id, chat, state, tries=1, text="/help"):
        Update.objects.create(
            update_id=update_id, chat=str(chat), state=state, tries=tries, held_until=time.time() - 1,
            received_at=time.time(), body=json.dumps(message(update_id, text, chat)),
        )  # fmt: skip

    sandbox.telegram.person("Борис", id=502)
    leave(1, 501, Update.State.AT_HAND)
    leave(2, 501, Update.State.WAITING, tries=0)
    leave(3, 502, Update.State.AT_HAND, tries=webhook.MOST_TRIES)
    leave(4, 502, Update.State.WAITING, tries=0)
    assert webhook.sweep().startswith("2 resumed")
    assert sorted(call.params["chat_id"] for call in sandbox.telegram.calls_of("sendMessage")) == [
        "501",
        "501",
        "502",
    ]
    assert set(Update.objects.values_list("state", flat=True)) == {Update.State.DONE}
    assert webhook.sweep().startswith("0 resumed")


def test_a_round_that_fails_unforeseen_does_not_end_the_keeping_of_claims(monkeypatch):
    rounds = iter([ValueError("nobody thought of this"), SystemExit])

    def fail():
        raise next(rounds)

    monkeypatch.setattr(webhook, "RENEW", 0)
    monkeypatch.setattr(webhook, "close_old_connections", lambda: None)
    monkeypatch.setattr(webhook, "_go_on_with_left_chats", fail)
    with pytest.raises(SystemExit):
        webhook._keep_claims()


def test_old_updates_are_forgotten_and_answers_sooner(sandbox, anna):
    now = time.time()
    for update_id, age, reply in ((1, 26 * 3600, ""), (2, 3600, '{"method": "x"}'), (3, 10, '{"method": "x"}')):
        Update.objects.create(
            update_id=update_id, chat="501", state=Update.State.DONE, body="", received_at=now - age, reply=reply
        )
    webhook.sweep()
    assert dict(Update.objects.values_list("update_id", "reply")) == {2: "", 3: '{"method": "x"}'}
    assert Update.objects.get(pk=2).chat == ""


def test_who_is_forgotten_leaves_no_answer_behind(sandbox, serve, anna, matrix):
    serve().post(message(1, "/movie 603"))
    assert Update.objects.get().reply
    disconnect.forget(anna.id)
    assert (Update.objects.get().reply, Update.objects.get().chat) == ("", "")


def test_only_who_knows_the_secret_is_let_in(sandbox, serve, anna):
    web = serve()
    for secret in ("", "wrong", SECRET[:-1], SECRET + "x", SECRET.upper(), "секрет".encode().decode("latin-1")):
        assert web.post(message(1, "/help"), secret=secret).status_code == 403
    assert requests.post(web.url, json=message(1, "/help"), timeout=10).status_code == 403
    assert requests.get(web.url, timeout=10).status_code == 405
    assert not Update.objects.exists()
    assert sent(sandbox) == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"not JSON", b"null", b"[]", b"{}", b'{"update_id": "1"}', b'{"update_id": true}', b'{"update_id": -1}',
        b'{"update_id": 1' + b"0" * 30 + b"}", b'{"update_id": ' + b"1" * 10_000 + b"}", b"\xff\xfe\x00",
        b"[" * 200_000,
        b'{"update_id": 1, "a": ' + b'{"a": ' * 100_000, b'{"update_id": 1, "message": 5}',
    ],
)  # fmt: skip
def test_what_is_no_update_is_answered_like_one_and_harms_nothing(client, settings, sandbox, body):
    settings.TELEGRAM_WEBHOOK_SECRET = SECRET
    answer = client.post("/telegram/webhook/", body, content_type="application/json", headers={HEADER: SECRET})
    assert answer.status_code == 200
    assert not Update.objects.exclude(state=Update.State.DONE).exists()
    assert sandbox.telegram.calls == []


def test_ten_megabytes_are_left_unread_and_the_next_update_is_answered(sandbox, serve, anna):
    web = serve()
    assert web.post(b" " * 10_000_000).status_code == 200
    assert web.post(b" " * 10_000_000, secret="wrong").status_code == 403
    assert web.post(message(1, "/help")).status_code == 200
    assert len(sent(sandbox)) == 1


def test_a_proxy_that_ends_tls_may_bring_updates_without_it(client, settings, sandbox):
    settings.SECURE_SSL_REDIRECT, settings.TELEGRAM_WEBHOOK_SECRET = True, SECRET
    answer = client.post("/telegram/webhook/", b"[]", content_type="application/json", headers={HEADER: SECRET})
    assert answer.status_code == 200
    assert client.get("/admin/").status_code == 301


def test_without_a_secret_nobody_is_let_in(client, settings, sandbox):
    settings.TELEGRAM_WEBHOOK_SECRET = ""
    answer = client.post("/telegram/webhook/", b"{}", content_type="application/json", headers={HEADER: ""})
    assert answer.status_code == 403


def test_set_and_delete_webhook_say_what_happened(sandbox, settings):
    def run(command, **options):
        out = io.StringIO()
        call_command(command, stdout=out, **options)
        return out.getvalue()

    settings.TELEGRAM_WEBHOOK_URL = ""
    with pytest.raises(CommandError, match="TELEGRAM_WEBHOOK_URL is missing"):
        run("set_webhook")
    settings.TELEGRAM_WEBHOOK_URL, settings.TELEGRAM_WEBHOOK_SECRET = "https://kinoteka.example", ""
    with pytest.raises(CommandError, match="TELEGRAM_WEBHOOK_SECRET is missing"):
        run("set_webhook")
    settings.TELEGRAM_WEBHOOK_SECRET = SECRET
    said = run("set_webhook", max_connections=20)
    assert (
        said == "Telegram now sends updates to https://kinoteka.example/telegram/webhook/, at most 20 side by side.\n"
    )
    call = sandbox.telegram.calls_of("setWebhook")[-1]
    assert call.params["secret_token"] == SECRET
    assert "inline_query" in call.params["allowed_updates"]
    assert sandbox.telegram.calls_of("setMyCommands")
    assert "https://kinoteka.example/telegram/webhook/ is deleted" in run("delete_webhook")
    assert "No webhook was set" in run("delete_webhook")
    settings.TELEGRAM_WEBHOOK_URL = "ftp://kinoteka.example"
    with pytest.raises(CommandError, match="Telegram refuses the webhook"):
        run("set_webhook")


@pytest.mark.parametrize(
    ("address", "set_to"),
    [
        ("https://kinoteka.example/telegram/webhook", "https://kinoteka.example/telegram/webhook/"),
        ("https://kinoteka.example/films/telegram/webhook", "https://kinoteka.example/films/telegram/webhook/"),
        ("https://kinoteka.example/films/telegram/webhook/", "https://kinoteka.example/films/telegram/webhook/"),
        ("https://kinoteka.example/", "https://kinoteka.example/telegram/webhook/"),
        ("https://kinoteka.example/hook", None),
        ("https://kinoteka.example/telegram/webhook/x", None),
        ("https://kinoteka.example/notelegram/webhook/", None),
        ("https://[kinoteka.example", None),
    ],
)
def test_updates_are_sent_to_no_path_that_the_web_server_does_not_serve(sandbox, settings, address, set_to):
    settings.TELEGRAM_WEBHOOK_URL, settings.TELEGRAM_WEBHOOK_SECRET = address, SECRET
    if set_to:
        call_command("set_webhook", stdout=io.StringIO())
        assert sandbox.telegram.calls_of("setWebhook")[-1].params["url"] == set_to
    else:
        with pytest.raises(CommandError, match="TELEGRAM_WEBHOOK_URL.*/telegram/webhook/.$"):
            call_command("set_webhook", stdout=io.StringIO())
        assert not sandbox.telegram.calls_of("setWebhook")


def test_polling_refuses_to_start_where_a_webhook_is_set_up(sandbox, start):
    bot = start("runbot", TELEGRAM_WEBHOOK_URL="https://kinoteka.example", TELEGRAM_WEBHOOK_SECRET=SECRET)
    assert bot.wait() != 0
    assert "TELEGRAM_WEBHOOK_URL is set" in bot.output
    assert "delete_webhook" in bot.output
    assert "Traceback" not in bot.output


def test_whatever_comes_side_by_side_is_handled_once_in_order_and_nothing_is_left_lying(sandbox, monkeypatch):
    """Four hundred deliveries of two hundred updates of five chats by sixteen threads, without the sweep's help."""
    lock, under_way, handled = threading.Lock(), set(), []

    def handle(update):
        chat = update["message"]["chat"]["id"]
        with lock:
            assert chat not in under_way, "two updates of a chat at hand"
            under_way.add(chat)
        time.sleep(random.random() * 0.004)
        with lock:
            under_way.remove(chat)
            handled.append(update["update_id"])

    monkeypatch.setattr(webhook, "handle_update", handle)
    monkeypatch.setattr(webhook, "_look_after_claims", lambda: None)
    updates = [message(n, "/help", chat=n % 5) for n in range(1, 201)]
    deliveries = deque(sorted(updates * 2, key=lambda update: update["update_id"] + random.random() * 10))

    def deliver():
        try:
            while deliveries:
                update = deliveries.popleft()
                webhook.receive(update, json.dumps(update))
        except IndexError:
            pass
        finally:
            connections.close_all()

    at_once([deliver] * 16)
    assert sorted(handled) == list(range(1, 201))
    assert set(Update.objects.values_list("state", flat=True)) == {Update.State.DONE}
