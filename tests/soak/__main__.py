"""Faults under load: the whole system with 200 simulated people, while processes are killed and services fail.

    MINUTES=10 PEOPLE=200 SEED=… UPDATES_BY=webhook|polling .venv/bin/python -m tests.soak

PostgreSQL and Redis are started for it alone and restart twice each; a process is killed every 20 seconds; both
stand-ins answer 5 % with 429, 2 % with 5xx, hang in 1 % and lose the answer in 1 %. Afterwards the storm stops, all
that waits comes to rest, and every invariant must hold; the exit status says whether it does.
"""

import logging
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from sandbox.server import Sandbox
from tests.helpers.servers import Postgres, Redis
from tests.helpers.waiting import free_port
from tests.soak.fault_injection import Weather
from tests.soak.people import Simulation, Viewer
from tests.soak.system import EVERY, System, Unit

MINUTES = float(os.environ.get("MINUTES", 10))
PEOPLE = int(os.environ.get("PEOPLE", 200))
SEED = int(os.environ.get("SEED") or random.randrange(10**6))
POLLING = os.environ.get("UPDATES_BY", "webhook") == "polling"
SETTLE = 420  # seconds that all may take to come to rest
ARRIVE = 0.35  # of the time, in which everybody comes
WARM = 0.4, 0.7  # of the time: when memory is what it should be at the end, too
GROWTH, ROOM = 1.15, 40  # what memory may grow by until then: a factor and megabytes


def say(*words):
    print(f"{time.monotonic() - BEGAN:6.0f} s ", *words, flush=True)


BEGAN = time.monotonic()


def variables_of(sandbox, postgres, redis, folder):
    port = free_port()
    webhook = f"http://127.0.0.1:{port}/telegram/webhook/"
    return port, {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONUNBUFFERED": "1",
        "ENV_FILE": os.devnull,
        "DEBUG": "1",
        "SECRET_KEY": "soak " * 10,
        "DATABASE_URL": postgres.url,
        "REDIS_URL": redis.url,
        "Q_CLUSTERS": "1",
        "BOT_THREADS": "32",
        "TELEGRAM_BOT_TOKEN": sandbox.telegram_token,
        "TELEGRAM_API_URL": sandbox.telegram_api_url,
        "TELEGRAM_WEB_URL": sandbox.url,
        "TELEGRAM_POSTER_CHANNELS": str(sandbox.channel),
        "TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE": "300",
        "TMDB_API_KEY": sandbox.tmdb_key,
        "TMDB_API_URL": sandbox.tmdb_api_url,
        "TMDB_IMAGE_URL": sandbox.tmdb_image_url,
        "TMDB_WEB_URL": sandbox.tmdb_web_url,
        "TMDB_REQUESTS_PER_SECOND": "35",
        "POSTER_DIR": str(folder / "posters"),
        "THUMBNAIL_DIR": str(folder / "thumbnails"),
        "SANDBOX": "0",
        **({} if POLLING else {"TELEGRAM_WEBHOOK_URL": webhook, "TELEGRAM_WEBHOOK_SECRET": "soak-secret"}),
    }


def units_of(port, variables, folder):
    def unit(name, *command, **more):
        return Unit(name, list(command), {**variables, **more}, folder / f"{name}.log")

    def cluster(name, of, workers="2"):
        return unit(name, "manage.py", "qcluster", Q_CLUSTER_NAME=of, Q_WORKERS=workers)

    units = [
        unit("web", "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", WEB_CONCURRENCY="2", DATABASE_POOL="10"),
        cluster("worker", "kinoteka"),
        cluster("imports-1", "imports"),
        cluster("imports-2", "imports"),
        cluster("posters", "posters"),
    ]
    return [*units, unit("bot", "manage.py", "runbot", DATABASE_POOL="10")] if POLLING else units


def viewers_of(sandbox):
    dice = random.Random(SEED)
    films = list(sandbox.tmdb.films) + sandbox.tmdb.add_films(150)
    viewers = []
    for n in range(PEOPLE):
        theirs = dice.sample(films, 60)
        account = sandbox.tmdb.add_account(f"viewer{n}")
        for film in theirs[:40]:
            account.rate(film, dice.randint(1, 20) / 2)
        person = sandbox.telegram.person(f"Viewer {n}", language_code="en")
        viewers.append(Viewer(person, account, theirs[:40], theirs[40:], random.Random(dice.random())))
    return viewers


class Watch(threading.Thread):
    """Takes the calls off the stand-in's list, so that a long run keeps little of them."""

    def __init__(self, telegram):
        super().__init__(daemon=True)
        self.telegram, self.calls = telegram, []
        self.stopping = threading.Event()
        self.first_update = telegram.account_of(telegram.bot).next_update_id

    def run(self):
        while not self.stopping.wait(1):
            with self.telegram.changed:
                over = [call for call in self.telegram.calls if call.status]
                self.telegram.calls[:] = [call for call in self.telegram.calls if not call.status]
            self.calls += [
                (call.method, call.at + call.seconds, call.status, call.params.get("callback_query_id", ""))
                for call in over
                if call.method != "getUpdates"
            ]

    def latencies(self):
        """Seconds from each press to its answer."""
        first = {}
        for method, at, status, query in self.calls:
            if method == "answerCallbackQuery" and status == 200:
                first.setdefault(query, at)
        queries = self.telegram.callback_queries
        return sorted(at - queries[query].at for query, at in first.items() if query in queries)


def storm(system, postgres, redis):
    """Kill something every 20 seconds; restart both servers twice. Returns (time, what) of each."""
    restarts = {0.3: ("PostgreSQL", lambda: postgres.restart(away=3)), 0.45: ("Redis", lambda: redis.restart(away=3)),
                0.65: ("PostgreSQL, by a crash", lambda: postgres.restart(away=1, signum=Postgres.crash)),
                0.8: ("Redis", lambda: redis.restart(away=3))}  # fmt: skip
    began, length, moments = time.monotonic(), MINUTES * 60, []
    next_kill = began + EVERY
    while (now := time.monotonic()) < began + length:
        part = (now - began) / length
        for when in [when for when in restarts if part > when]:
            what, restart = restarts.pop(when)
            moments.append((time.time(), what))
            restart()
            moments.append((time.time(), what))
            say(f"{what} has been restarted")
        if now > next_kill:
            next_kill += EVERY
            system.kill_something()
            say("killed:", *system.kills[-1][1:])
        time.sleep(0.2)
    return moments + [(at, unit) for at, unit, _how in system.kills]


def main():
    folder = Path(tempfile.mkdtemp(prefix="kinoteka-soak-"))
    print(f"SEED={SEED} MINUTES={MINUTES:g} PEOPLE={PEOPLE} UPDATES_BY={'polling' if POLLING else 'webhook'}; {folder}")
    with Postgres() as postgres, Redis() as redis, Sandbox() as sandbox:
        postgres.migrate()
        port, variables = variables_of(sandbox, postgres, redis, folder)
        os.environ.update({name: value for name, value in variables.items() if name != "HOME"})
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        import django

        django.setup()
        logging.disable()
        failed = soak(sandbox, postgres, redis, port, variables, folder)
    if failed:
        print(f"the logs are in {folder}")
        sys.exit(1)
    shutil.rmtree(folder)


def soak(sandbox, postgres, redis, port, variables, folder):
    from django.core.management import call_command
    from django.db import connection

    from tests.soak import invariants

    viewers = viewers_of(sandbox)
    if not POLLING:
        call_command("set_webhook", max_connections=64, verbosity=0)  # of two processes
    weather = sandbox.server.faults = Weather(SEED, sandbox.faults.watchers)
    watch, simulation = Watch(sandbox.telegram), Simulation(viewers, sandbox.tmdb, SEED, MINUTES * 60 * ARRIVE)
    with System(units_of(port, variables, folder), SEED) as system:
        watch.start(), simulation.start()
        began = time.monotonic()
        moments = storm(system, postgres, redis)
        warm = system.usual_size(*(began + part * MINUTES * 60 for part in WARM))
        later = began + WARM[1] * MINUTES * 60
        simulation.stop()
        connection.close()
        weather.stormy = False
        say("the storm is over")
        verdict = invariants.Verdict()
        settle(verdict, sandbox, invariants)
        for viewer in viewers:  # everybody has their account read once more
            if viewer.linked:
                viewer.person.send("/sync")
        settle(verdict, sandbox, invariants)
        size = system.usual_size(later, time.monotonic())
        kills, restarts = Counter(how for _at, _unit, how in system.kills), system.restarts
    watch.stopping.set()
    watch.join()
    return judge(verdict, sandbox, viewers, weather, watch, moments, warm, size, kills, restarts, simulation, folder)


def settle(verdict, sandbox, invariants):
    """Wait until nothing is on its way any more."""
    began, moved = time.monotonic(), 0.0
    while left := invariants.settled(sandbox.telegram, sandbox.telegram_token):
        if time.monotonic() > moved + 20:
            moved = time.monotonic()
            invariants.move_the_clock_on()
            say("on its way:", ", ".join(f"{number} {what}" for what, number in left.items()))
        if time.monotonic() > began + SETTLE:
            verdict.check(f"not at rest after {SETTLE} s", [f"{number} {what}" for what, number in left.items()])
            return
        time.sleep(1)
    say("all has come to rest")


def judge(verdict, sandbox, viewers, weather, watch, moments, warm, size, kills, restarts, simulation, folder):
    """Check every invariant and print the measured; returns whether any is broken."""
    from tests.soak import invariants
    from users.models import User

    invariants.ratings_follow_the_merge_rule(verdict, viewers)
    posters = invariants.posters_are_in_the_channel_once(verdict, sandbox, weather, moments)
    presses = invariants.every_press_is_answered(verdict, sandbox.telegram, weather)
    linked = User.objects.connected().count()
    verdict.check("a user who was told that they are linked is not", [
        viewer.person.id for viewer in viewers
        if viewer.linked and not User.objects.connected().filter(pk=viewer.person.id).exists()
    ])  # fmt: skip
    if size > warm * GROWTH + ROOM:
        verdict.check("memory is not flat", [f"{warm:.0f} MB when warm, {size:.0f} MB at the end"])
    tracebacks = Counter(
        line.split(":")[0][:80]
        for log in folder.glob("*.log")
        for before, line in pairs(log.read_text(errors="replace").splitlines())
        if before.startswith("  ") and line[:1].isalpha() and "Error" in line.split(":")[0]
    )
    seconds = watch.latencies()
    measured = {
        "updates": sandbox.telegram.accounts[sandbox.telegram_token].next_update_id - watch.first_update,
        "people linked": f"{linked} of {len(viewers)}",
        **presses,
        "answer to a press, p50": f"{statistics.median(seconds) * 1000:.0f} ms" if seconds else "-",
        "answer to a press, p95": f"{seconds[int(len(seconds) * 0.95)] * 1000:.0f} ms" if seconds else "-",
        "imports finished": imports_done(),
        **posters,
        "requests to the services": weather.requests,
        **{f"of them {kind}": number for kind, number in Counter(m.kind for m in weather.journal).items()},
        "kills": ", ".join(f"{number} × {how}" for how, number in kills.items()),
        "processes started again": restarts,
        "memory of all processes": f"{warm:.0f} MB warm, {size:.0f} MB at the end",
    }
    print("\n" + "\n".join(f"{name:<36}{value}" for name, value in measured.items()))
    print("\nerrors in the logs: " + (", ".join(f"{n} × {what}" for what, n in tracebacks.most_common(12)) or "none"))
    print("what people did: " + ", ".join(f"{number} × {kind}" for kind, number in simulation.done.items() if kind))
    for rule in verdict.broken:
        print(f"\nBROKEN: {rule}")
    print("\nevery invariant holds" if not verdict.broken else f"\n{len(verdict.broken)} invariants are broken")
    return verdict.broken


def imports_done():
    from config.models import MetricCount
    from config.monitoring.metrics import ALL_TIME

    row = MetricCount.objects.filter(name="total:imports.done", minute=ALL_TIME).first()
    return row.number if row else 0


def pairs(lines):
    return zip(lines, lines[1:], strict=False)


if __name__ == "__main__":
    main()
