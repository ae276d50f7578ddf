"""What others notice of one person who sends 500 updates a second: a card for another person, alone and beside it.

    .venv/bin/python -m tests.bench.bench_flood

Real processes, polling and by webhook, in rounds side by side, at 0.8 ms and at 50 ms an answer of Telegram's. Uses
DATABASE_URL and REDIS_URL where they are set, like bench_cards.
"""

import json
import statistics
import urllib.request
from contextlib import contextmanager

from tests.bench.bench_cards import bot_api, free_port, installation, measure, process, wait_for

FLOOD = 500  # updates a second
ROUNDS, CARDS = 3, 300  # of them in each
WANTED = 1.5


def p95(ms):
    return statistics.quantiles(ms, n=20)[-1]


@contextmanager
def flooding(webhook=(), **plan):
    """Post so many updates of one person a second to a webhook, if there is one, while the block runs."""
    if not webhook:
        yield
        return
    with bot_api(0) as api:
        plan = {"chats": 0, "updates": 1, "text": "/movie 603", "webhook": webhook, "flood": FLOOD, **plan}
        urllib.request.urlopen(api + "/begin", json.dumps(plan).encode(), timeout=10).read()
        yield


def compare(title, api, **plan):
    alone, beside = [], []
    flood = {} if "webhook" in plan else {"flood": FLOOD}  # by webhook it comes from a process of its own
    measure(api, 1, 100, **plan)  # everything imported and compiled
    for _round in range(ROUNDS):
        alone.append(measure(api, 1, CARDS, **plan)[0])
        with flooding(**plan):
            beside.append(measure(api, 1, CARDS, **flood, **plan)[0])
    before, after = (statistics.median(map(p95, rounds)) for rounds in (alone, beside))
    middle = [statistics.median(statistics.median(ms) for ms in rounds) for rounds in (alone, beside)]
    print(
        f"{title}: p95 {before:.1f} ms alone, {after:.1f} ms beside {FLOOD} updates/s of one person: "
        f"{after / before:.2f}× (wanted: at most {WANTED}×); p50 {middle[0]:.1f} and {middle[1]:.1f} ms",
        flush=True,
    )


if __name__ == "__main__":
    with installation() as ours:
        for delay in (0.0008, 0.05):
            with bot_api(delay) as api, process("manage.py", "runbot", **ours, TELEGRAM_API_URL=api):
                compare(f"polling, {delay * 1000:g} ms an answer", api)
            port = free_port()
            hook = f"http://127.0.0.1:{port}/telegram/webhook/"
            variables = {"TELEGRAM_WEBHOOK_URL": hook, "TELEGRAM_WEBHOOK_SECRET": "bench"}
            with (
                bot_api(delay) as api,
                process("-m", "gunicorn", "--bind", f"127.0.0.1:{port}", **ours, **variables, TELEGRAM_API_URL=api),
            ):
                wait_for(f"http://127.0.0.1:{port}/healthz")
                compare(f"webhook, {delay * 1000:g} ms an answer", api, webhook=[hook], secret="bench")
