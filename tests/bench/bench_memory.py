"""Memory: the bot before and after so many cards, and a cluster of two workers, as PSS (shared pages counted once).

UPDATES=100000 .venv/bin/python -m tests.bench.bench_memory
"""

import os
import re
import time
from pathlib import Path

from tests.bench.bench_cards import bot_api, house, measure, process

UPDATES = int(os.environ.get("UPDATES", 20_000))


def pss(pid):
    """Megabytes of a process and all it started."""
    total = 0
    for entry in family(pid):
        text = Path(f"/proc/{entry}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss: +([0-9]+)", text, re.MULTILINE)[1])
    return total / 1024


def family(pid):
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from family(int(child))


def main():
    with house() as variables:
        with bot_api(0) as api, process("manage.py", "runbot", **variables, TELEGRAM_API_URL=api) as bot:
            measure(api, 32, 1000)
            before = pss(bot.pid)
            for _part in range(max(1, UPDATES // 5000)):
                measure(api, 32, 5000)
            print(f"bot: {before:.0f} MB after 1,000 cards, {pss(bot.pid):.0f} MB after {UPDATES:,} more")
        with process("manage.py", "qcluster", **variables, Q_WORKERS="2") as cluster:
            time.sleep(45)  # the clock has rung for every job once
            print(
                f"a cluster of two workers: {pss(cluster.pid):.0f} MB, its {len(list(family(cluster.pid)))} processes"
            )


if __name__ == "__main__":
    main()
