"""Cards: how soon and how many, against the same card by stock pyTelegramBotAPI and Django's ORM (stock_bot.py).

    .venv/bin/python -m tests.bench.bench_cards

Both run on one database and one kind of fake Bot API, measured alternately: eight threads and 0.8 ms an answer, then 32
threads and 100 ms an answer. Then the webhook, with one web process and with two. Uses DATABASE_URL and REDIS_URL
where they are set (a database of its own is made there), SQLite else.
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
FILL = """
from django.db import connection
from movies.models import Movie, PosterStatus
Movie.objects.update_or_create(pk=603, defaults=dict(title="Матрица", original_title="The Matrix", details_at=1,
    overview="Хакер Нео узнаёт, что его мир — виртуальный. " * 12, release_date="1999-03-31", runtime=136,
    vote_average=8.2, vote_count=26000, poster_path="/m.jpg", poster_status=PosterStatus.TELEGRAM,
    telegram_file_id="AgACAgIAAx0", width=2000, height=3000, search_text="матрица"))
with connection.cursor() as cursor:
    for person in range(1, 41):
        cursor.execute("INSERT INTO users (telegram_user_id) VALUES (%s)", [person])
        cursor.execute("INSERT INTO user_movie_ratings (telegram_user_id, movie_id, normalized_rating, rated_at,"
                       " source) VALUES (%s, 603, 8, 1, 'manual')", [person])
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
        wait_for(url + "/result")
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
        result = json.loads(urllib.request.urlopen(api + "/result", timeout=10).read())
        if result["done"]:
            return result["ms"], updates / result["seconds"]
    raise SystemExit(f"{len(result['ms'])} of {updates} answered: {result['ms'][-5:]}")


@contextmanager
def installation():
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
            "TELEGRAM_BOT_TOKEN": TOKEN, "POSTER_DIR": folder, "TMDB_API_KEY": "none", "LOG_LEVEL": "ERROR",
        }  # fmt: skip
        for command in (["migrate", "--verbosity", "0"], ["shell", "--verbosity", "0", "-c", FILL]):
            subprocess.run(
                [sys.executable, "manage.py", *command], cwd=ROOT, env={**os.environ, **variables}, check=True
            )
        yield variables


def median_of(rounds):
    """The median p50 in ms, and the median of cards a second."""
    return statistics.median(p50 for p50, _rate in rounds), statistics.median(rate for _p50, rate in rounds)


def against_stock(ours, delay, threads, updates, rounds):
    """Print ours and the stock bot's, both with so many threads and chats, measured alternately."""
    results = {"stock": [], "ours": []}
    with bot_api(delay) as theirs, bot_api(delay) as mine, ExitStack() as stack:
        database = ours["DATABASE_URL"]
        stack.enter_context(process("-m", "tests.bench.stock_bot", theirs, TOKEN, database, str(threads), **ours))
        stack.enter_context(process("manage.py", "runbot", **ours, TELEGRAM_API_URL=mine, BOT_THREADS=str(threads)))
        for api in (theirs, mine):
            measure(api, threads, 200)  # everything imported and compiled
        for _round in range(rounds):
            for name, api in (("stock", theirs), ("ours", mine)):
                alone, _rate = measure(api, 1, 200 if delay < 0.01 else 20)
                _ms, rate = measure(api, threads, updates)
                results[name].append((statistics.median(alone), rate))
    (their_p50, their_rate), (p50, rate) = median_of(results["stock"]), median_of(results["ours"])
    print(f"a card, {delay * 1000:g} ms an answer, {threads} threads (medians of {rounds} rounds):")
    print(f"  p50 {p50:.1f} ms, stock {their_p50:.1f} ms: {p50 / their_p50:.2f}x")
    print(f"  {rate:.0f} cards/s, stock {their_rate:.0f}: {rate / their_rate:.2f}x", flush=True)


def by_webhook(ours):
    """Two web processes against one, where Telegram takes 100 ms for an answer."""
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
                _ms, rates[number] = measure(api, 12 * number, 1000 * number, **plan)
                print(f"webhook, {number} of 12 threads, 100 ms an answer: {rates[number]:.0f} updates/s")
    print(f"  two against one: {rates[2] / rates[1]:.2f}x")


if __name__ == "__main__":
    with installation() as variables:
        against_stock(variables, 0.0008, 8, 800, rounds=5)
        against_stock(variables, 0.1, 32, 2000, rounds=3)
        by_webhook(variables)
