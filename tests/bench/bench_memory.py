"""Memory: the bot before and after so many cards, a cluster of two workers before and after so many posters.

    [UPDATES=100000] [POSTERS=10000] .venv/bin/python -m tests.bench.bench_memory

As PSS: what several processes share is counted once.
"""

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.bench.bench_cards import ROOT, bot_api, installation, measure, process
from tests.bench.bench_posters import TOKEN, Services

UPDATES = int(os.environ.get("UPDATES", 100_000))
POSTERS = int(os.environ.get("POSTERS", 10_000))


def pss(pid):
    """Megabytes of a process and all it started."""
    total = 0
    for entry in family(pid):
        with suppress(OSError):  # ended meanwhile
            text = Path(f"/proc/{entry}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss: +([0-9]+)", text, re.MULTILINE)[1])
    return total / 1024


def family(pid):
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):  # a thread that ended meanwhile
            for child in (task / "children").read_text().split():
                yield from family(int(child))


def main():
    with installation() as variables:
        with bot_api(0) as api, process("manage.py", "runbot", **variables, TELEGRAM_API_URL=api) as bot:
            measure(api, 32, 1000)
            before = pss(bot.pid)
            for _part in range(max(1, UPDATES // 5000)):
                measure(api, 32, 5000)
            print(f"bot: {before:.0f} MB after 1,000 cards, {pss(bot.pid):.0f} MB after {UPDATES:,} more")
        through_a_cluster(variables)


def through_a_cluster(variables):
    services = Services()
    (channel,) = services.ask(images=POSTERS, channels=1, limit=0)["channels"]
    variables = variables | {
        "DEBUG": "0", "SANDBOX": "0", "TELEGRAM_API_URL": services.url, "TMDB_IMAGE_URL": services.url + "/t/p",
        "TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_POSTER_CHANNELS": str(channel),
        "TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE": "0", "Q_WORKERS": "2",
    }  # fmt: skip
    with process("manage.py", "qcluster", **variables) as cluster:
        time.sleep(60)  # the clock has rung for every job once
        before, processes = pss(cluster.pid), len(list(family(cluster.pid)))
        films = f"from tests.bench.bench_posters import fill; fill({POSTERS})"
        command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", films]
        subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=True)
        highest = before
        while (photos := services.ask()["photos"]) < POSTERS:
            highest = max(highest, pss(cluster.pid))
            time.sleep(2)
        time.sleep(10)
        print(
            f"a cluster of two workers, {processes} processes: {before:.0f} MB, "
            f"{pss(cluster.pid):.0f} MB after {photos:,} posters (highest {highest:.0f} MB)"
        )
    services.stop()


if __name__ == "__main__":
    main()
