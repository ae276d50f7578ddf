"""Cards: how soon and how many, against a bare pyTelegramBotAPI that echoes a cached photo, on the same stand-in.

    .venv/bin/python -m tests.bench.bench_cards

Both run side by side in rounds, eight threads each, 0.8 ms an answer of Telegram's; then ours with 32 threads at
100 ms an answer; then the webhook, with one web process and with two. Uses DATABASE_URL and REDIS_URL where they are
set (a database of its own is made there), SQLite else.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TOKEN = "1000000001:bench-bench-bench-bench-bench-bench"
ECHO = """
import sys, telebot
telebot.apihelper.API_URL = sys.argv[1] + "/bot{0}/{1}"
bot = telebot.TeleBot(sys.argv[2], num_threads=8)
@bot.message_handler(func=lambda message: True)
def echo(message):
    bot.send_photo(message.chat.id, "AgACAgIAAx0", caption="Матрица")
bot.infinity_polling(long_polling_timeout=25, timeout=30)
"""
FILM = """
from movies.models import Movie, PosterStatus
Movie.objects.update_or_create(pk=603, defaults=dict(title="Матрица", original_title="The Matrix", details_at=1,
    overview="Хакер Нео узнаёт, что его мир — виртуальный. " * 12, release_date="1999-03-31", runtime=136,
    vote_average=8.2, vote_count=26000, poster_path="/m.jpg", poster_status=PosterStatus.TELEGRAM,
    telegram_file_id="AgACAgIAAx0", width=2000, height=3000, search_text="матрица"))
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def process(*command, **variables):
    running = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield running
    finally:
        running.terminate()
        running.wait(20)


@contextmanager
def bot_api(delay):
    port = free_port()
    with process("-m", "tests.bench.bot_api", str(port), str(delay)):
        url = f"http://127.0.0.1:{port}"
        wait_for(url + "/figures")
        yield url


def wait_for(url):
    for _try in range(200):
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def measure(api, chats, updates, **plan):
    """(milliseconds of each, photos a second) for so many updates of so many chats, each waiting for its photo."""
    plan = {"chats": chats, "updates": updates, "text": "/movie 603", **plan}
    urllib.request.urlopen(api + "/begin", json.dumps(plan).encode(), timeout=10).read()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.2)
        figures = json.loads(urllib.request.urlopen(api + "/figures", timeout=10).read())
        if figures["done"]:
            return figures["ms"], updates / figures["seconds"]
    raise SystemExit(f"{len(figures['ms'])} of {updates} answered: {figures['ms'][-5:]}")


@contextmanager
def house():
    """The variables of an installation of its own, with one film in it."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        url = os.environ.get("DATABASE_URL") or ""
        if url.startswith("postgres"):
            import psycopg

            admin = stack.enter_context(psycopg.connect(url, autocommit=True))
            admin.execute("DROP DATABASE IF EXISTS kinoteka_bench WITH (FORCE)")
            admin.execute("CREATE DATABASE kinoteka_bench")
            stack.callback(admin.execute, "DROP DATABASE kinoteka_bench WITH (FORCE)")
            url = url.rsplit("/", 1)[0] + "/kinoteka_bench"
        variables = {
            "ENV_FILE": os.devnull, "DEBUG": "1", "SECRET_KEY": "bench " * 10, "SANDBOX": "0",
            "DATABASE_URL": url or f"sqlite:///{folder}/bench.sqlite3", "REDIS_URL": os.environ.get("REDIS_URL", ""),
            "TELEGRAM_BOT_TOKEN": TOKEN, "POSTER_DIR": folder, "TMDB_API_KEY": "none", "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        for command in (["migrate", "--verbosity", "0"], ["shell", "--verbosity", "0", "-c", FILM]):
            subprocess.run(
                [sys.executable, "manage.py", *command], cwd=ROOT, env={**os.environ, **variables}, check=True
            )
        yield variables


def against_an_echo(ours):
    rounds = {"echo": [], "bot": []}
    with bot_api(0.0008) as theirs, bot_api(0.0008) as mine, ExitStack() as stack:
        stack.enter_context(process("-c", ECHO, theirs, TOKEN))
        stack.enter_context(process("manage.py", "runbot", **ours, TELEGRAM_API_URL=mine, BOT_THREADS="8"))
        for api in (theirs, mine):
            measure(api, 8, 200)  # everything imported and compiled
        for _round in range(5):
            for name, api in (("echo", theirs), ("bot", mine)):
                alone, _rate = measure(api, 1, 200)
                _ms, rate = measure(api, 8, 800)
                rounds[name].append((statistics.median(alone), rate))
    p50 = {name: statistics.median(ms for ms, _rate in rounds[name]) for name in rounds}
    rate = {name: statistics.median(rate for _ms, rate in rounds[name]) for name in rounds}
    print(
        f"a card, 0.8 ms an answer, 8 threads: p50 {p50['bot']:.1f} ms (echo {p50['echo']:.1f} ms): "
        f"{p50['bot'] / p50['echo']:.2f}×"
    )
    print(f"  {rate['bot']:.0f} a second (echo {rate['echo']:.0f}): {rate['bot'] / rate['echo']:.2f}×")


def slow_telegram(ours):
    with bot_api(0.1) as api, process("manage.py", "runbot", **ours, TELEGRAM_API_URL=api, BOT_THREADS="32"):
        measure(api, 32, 200)
        ms, rate = measure(api, 32, 2000)
        print(f"100 ms an answer, 32 threads, polling: {rate:.0f} cards a second, p50 {statistics.median(ms):.0f} ms")


def by_webhook(ours):
    """/help waits for a call of its own, for 100 ms; a card rides in the answer and waits for nothing."""
    rates = {}
    with bot_api(0.1) as api:
        for number in (1, 2):
            ports = [free_port() for _web in range(number)]
            hooks = [f"http://127.0.0.1:{port}/telegram/webhook/" for port in ports]
            variables = {**ours, "TELEGRAM_API_URL": api, "BOT_THREADS": "4"}
            variables |= {"TELEGRAM_WEBHOOK_URL": hooks[0], "TELEGRAM_WEBHOOK_SECRET": "bench"}
            with ExitStack() as stack:
                for port in ports:
                    stack.enter_context(process("-m", "gunicorn", "--bind", f"127.0.0.1:{port}", **variables))
                for port in ports:
                    wait_for(f"http://127.0.0.1:{port}/healthz")
                plan = {"webhook": hooks, "secret": "bench", "text": "/help"}
                measure(api, 12, 100, **plan)
                ms, rates[number] = measure(api, 12 * number, 1000 * number, **plan)
                print(f"webhook, {number} of 12 threads, 100 ms an answer: {rates[number]:.0f} updates a second")
    print(f"  two against one: {rates[2] / rates[1]:.2f}×")
    with bot_api(0) as api:
        port = free_port()
        hook = f"http://127.0.0.1:{port}/telegram/webhook/"
        variables = {**ours, "TELEGRAM_API_URL": api, "TELEGRAM_WEBHOOK_URL": hook, "TELEGRAM_WEBHOOK_SECRET": "bench"}
        with process("-m", "gunicorn", "--bind", f"127.0.0.1:{port}", **variables):
            wait_for(f"http://127.0.0.1:{port}/healthz")
            plan = {"webhook": [hook], "secret": "bench"}
            measure(api, 8, 100, **plan)
            alone, _rate = measure(api, 1, 200, **plan)
            _ms, rate = measure(api, 8, 1000, **plan)
            print(f"a card by webhook: p50 {statistics.median(alone):.1f} ms, {rate:.0f} a second")


if __name__ == "__main__":
    with house() as variables:
        against_an_echo(variables)
        slow_telegram(variables)
        by_webhook(variables)
