"""Updates by webhook: real web processes under gunicorn, deliveries repeated, out of order and cut off."""

import io
import json
from functools import partial

import pytest
import requests
from django.core.management import CommandError, call_command

from config.models import Update
from tests.conftest import Process, wait_until
from tests.helpers.updates import at_once, message
from tests.helpers.waiting import free_port

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


HANDLED = Update.State.HANDLED


def all_ended():
    return not Update.objects.filter(state__lt=HANDLED).exists()


@pytest.fixture
def anna(sandbox):
    return sandbox.telegram.person("Анна", id=501)


def sent(sandbox):
    """The texts the bot has sent, in order."""
    return [call.params.get("text") for call in sandbox.telegram.calls_of("sendMessage")]


def test_the_answer_does_not_wait_for_the_handler(sandbox, serve, anna):
    sandbox.telegram.latency = 8
    web = serve()
    answer = web.post(message(1, "/help"))
    assert (answer.status_code, answer.content) == (200, b"")
    assert not all_ended()
    assert web.process.terminate() == 0
    assert len(sent(sandbox)) == 1, "what was being handled is finished first"


def test_an_update_that_comes_again_is_handled_once(sandbox, serve, anna):
    web = serve()
    for _ in range(3):
        assert web.post(message(2, "/help")).status_code == 200
    web.post(message(3, "/help"))
    wait_until(lambda: len(sent(sandbox)) == 2)
    assert Update.objects.count() == 2


def test_an_update_is_handled_once_however_many_processes_it_comes_to(sandbox, serve, anna):
    sandbox.telegram.latency = 0.2
    webs = [serve(), serve()]
    answers = at_once([partial(web.post, message(7, "/help")) for web in webs * 6])
    assert {answer.status_code for answer in answers} == {200}
    wait_until(all_ended)
    assert len(sent(sandbox)) == 1
    row = Update.objects.get()
    assert (row.state, row.body, row.chat, row.attempts) == (HANDLED, "", "", 1), "nothing of the person stays"


def test_a_chat_keeps_its_order_across_processes_and_holds_up_no_other(sandbox, serve, anna):
    boris = sandbox.telegram.person("Борис", id=502)
    sandbox.telegram.latency = 0.3
    webs = [serve(), serve()]
    texts = [f"ничего такого {letter * 3}" for letter in "бвгджзкл"]

    def post(number, text):
        if number:  # Telegram sends them in order; how long each takes is another matter
            wait_until(lambda: Update.objects.filter(update_id=9 + number).exists())
        return webs[number % 2].post(message(10 + number, f"/movie {text}"))

    calls = [lambda n=n, text=text: post(n, text) for n, text in enumerate(texts)]
    answers = at_once([*calls, lambda: webs[0].post(message(99, "/help", chat=boris.id))])
    assert {answer.status_code for answer in answers} == {200}
    wait_until(all_ended)
    asked = [r.query["query"] for r in sandbox.tmdb.requests if "query" in r.query]
    assert [text for n, text in enumerate(asked) if text in texts and text not in asked[:n]] == texts
    assert len(sent(sandbox)) == 9


def test_updates_that_come_out_of_order_are_handled_in_theirs_while_the_chat_is_busy(sandbox, serve, anna):
    sandbox.telegram.latency = 0.6
    web = serve()
    web.post(message(20, "/help"))
    wait_until(lambda: Update.objects.filter(state=Update.State.CLAIMED).exists())
    for number, text in ((23, "третий"), (22, "второй")):
        assert web.post(message(number, f"/movie {text} фильм")).status_code == 200
    wait_until(all_ended)
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
    wait_until(lambda: len(sent(sandbox)) == 1, 60, lambda: web.process.output)
    assert in_chunks(body).status_code == 200
    assert in_chunks(b"[" * (2**20 + 10_000)).status_code == 200, "too long is too long, however it comes"
    web.process.wait_for_line("is left unread")
    assert in_chunks(json.dumps(message(2, "/help")).encode()).status_code == 200
    wait_until(lambda: len(sent(sandbox)) == 2, 60, lambda: web.process.output)


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
    wait_until(lambda: Update.objects.filter(state=Update.State.CLAIMED).count() == len(people))
    web.process.kill()
    sandbox.telegram.latency = 0
    web.begin()
    for person in people:
        person.wait(lambda m: MARK in (m.text or ""), timeout=40)
    wait_until(all_ended)


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
    wait_until(all_ended)
    assert sandbox.telegram.calls == []


def test_ten_megabytes_are_left_unread_and_the_next_update_is_answered(sandbox, serve, anna):
    web = serve()
    assert web.post(b" " * 10_000_000).status_code == 200
    assert web.post(b" " * 10_000_000, secret="wrong").status_code == 403
    assert web.post(message(1, "/help")).status_code == 200
    wait_until(lambda: len(sent(sandbox)) == 1)


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
