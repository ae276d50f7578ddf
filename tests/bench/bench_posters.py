"""The poster pipeline's pace, memory and queries, each beside something to compare with, in one run.

python -m tests.bench.bench_posters [--quick]      (--quick: shorter runs, coarser numbers)
"""

import argparse
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WAITING = 100_000  # films, where the memory is measured
MANY = 1_000_000  # films, where the queries are
PER_MINUTE = 120  # messages to a channel: a window of a minute as for twenty, and numbers within minutes
TOKEN = "1000000001:SANDBOX-TOKEN-kinoteka"


# --- The other side, in a process of its own


def serve():
    """The sandbox with posters of a usual size; takes a line of JSON, answers with one."""
    from PIL import Image

    from sandbox.server import Sandbox

    out = io.BytesIO()
    noise = Image.frombytes("RGB", (64, 96), random.Random(1).randbytes(64 * 96 * 3))
    noise.resize((500, 750), Image.Resampling.BICUBIC).save(out, "JPEG", quality=80)
    poster = out.getvalue()
    with Sandbox() as sandbox:
        telegram = sandbox.telegram
        telegram.strict_query = False  # pyTelegramBotAPI as it comes puts parameters into the address
        print(json.dumps({"url": sandbox.url, "bytes": len(poster)}), flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            if images := order.get("images"):
                sandbox.tmdb.images = {f"/p{n}.jpg": (poster, "image/jpeg") for n in range(images)}
            if channels := order.get("channels"):
                made = [telegram.channel("Posters", admins=[telegram.bot]).id for _ in range(channels)]
            if "latency" in order:
                sandbox.tmdb.image_latency = order["latency"]
            if "limit" in order:
                telegram.limits, telegram.messages_per_minute = bool(order["limit"]), order["limit"]
                telegram.refused = 0
            answer = {"photos": len(telegram.photos), "refused": telegram.refused}
            print(json.dumps(answer | ({"channels": made} if channels else {})), flush=True)


class Services:
    """The process that serve() runs in."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.bench_posters", "serve"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.about = json.loads(self.process.stdout.readline())
        self.url = self.about["url"]

    def ask(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def bare():
    """Posters sent by pyTelegramBotAPI as it comes, one after another: argv: address, channel, file, how many."""
    from telebot import TeleBot, apihelper

    url, channel, path, n = sys.argv[2:]
    apihelper.API_URL = url + "/bot{0}/{1}"  # type: ignore[assignment]
    bot = TeleBot(TOKEN, threaded=False)
    content = Path(path).read_bytes()
    started = time.monotonic()
    for _ in range(int(n)):
        bot.send_photo(int(channel), content, caption="x")
    print(int(n) / (time.monotonic() - started))


def memory():
    """What a worker with so many films waiting takes above an idle one, in MB: argv: how many to fetch."""
    setup()
    from django.db import connection

    from posters import pipeline, tasks  # noqa: F401

    connection.ensure_connection()
    idle = resident("VmRSS")
    run = pipeline.download_posters(pipeline.Run(limit=int(sys.argv[2])))
    downloads = resident("VmHWM") - idle
    pipeline.upload_posters(pipeline.Run(limit=int(sys.argv[2])))
    uploads = resident("VmHWM") - idle
    print(json.dumps({"downloads": downloads, "uploads": uploads, "done": run.done}))


def resident(what):
    """This process's memory, in MB: VmRSS now, VmHWM at its highest."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what)]
    return int(line.split()[1]) / 1024


# --- Our side


def setup():
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    import logging

    logging.disable(logging.WARNING)


def fill(n, first=0, status=0, need=0):
    """Films in the table, waiting, made by one statement."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM movies")
        cursor.execute(
            "WITH RECURSIVE n(i) AS (SELECT %s UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %s)"
            " INSERT INTO movies (id, title, poster_path, poster_status, poster_priority, poster_next_try_at)"
            " SELECT i + 1, 'Film ' || i, '/p' || i || '.jpg', %s, %s, i FROM n",
            [first, first + n, status, need],
        )


def curl(url, n, connections, size):
    """Downloads a second by curl, to the disk, over as many connections."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [f'url = "{url}/t/p/w500/p{i}.jpg"\noutput = "{folder}/{i}.jpg"' for i in range(n)]
        config = Path(folder, "config")
        config.write_text("\n".join(lines))
        command = [
            "curl",
            "--silent",
            "--no-progress-meter",
            "--parallel",
            "--parallel-max",
            str(connections),
            "--config",
            str(config),
        ]
        started = time.monotonic()
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        took = time.monotonic() - started
        fetched = [path.stat().st_size for path in Path(folder).glob("*.jpg")]
        assert fetched == [size] * n, f"curl fetched {len(fetched)} of {n}"
        return n / took


def downloads(n):
    from movies.models import Movie
    from posters import pipeline

    fill(n)
    started = time.monotonic()
    run = pipeline.download_posters(pipeline.Run())
    assert run.done == n == Movie.objects.awaiting_upload().count(), run
    return n / (time.monotonic() - started)


def uploads(services, channels, seconds, per_minute):
    """(uploads a second, 429s) while `seconds` last."""
    from django.conf import settings

    from config.models import RateLimit
    from posters import pipeline

    settings.TELEGRAM_POSTER_CHANNELS = channels
    settings.TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE = per_minute
    RateLimit.objects.all().delete()
    before = services.ask(limit=per_minute)
    started = time.monotonic()
    run = pipeline.upload_posters(pipeline.Run(seconds=seconds))
    took = time.monotonic() - started
    after = services.ask()
    assert run.failed == run.postponed == 0, run
    return (after["photos"] - before["photos"]) / took, after["refused"]


def timed(query, times=30):
    """The median of a query's times, in ms."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        list(query())
        taken.append((time.perf_counter() - started) * 1000)
    return sorted(taken)[times // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    services = Services()
    folder = tempfile.TemporaryDirectory(prefix="kinoteka-bench-")
    os.environ.update(
        ENV_FILE=os.devnull,
        DEBUG="0",
        SECRET_KEY="bench " * 10,
        SANDBOX="0",
        DATABASE_URL=f"sqlite:///{folder.name}/bench.sqlite3",
        POSTER_DIR=f"{folder.name}/posters",
        TELEGRAM_BOT_TOKEN=TOKEN,
        TELEGRAM_API_URL=services.url,
        TMDB_IMAGE_URL=services.url + "/t/p",
        TMDB_API_KEY="0" * 32,
        TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE="0",
        REDIS_URL="",
    )
    setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    rows = []

    def row(what, measured, beside, ratio, bound):
        rows.append((what, measured, beside, ratio, bound))
        print(f"{what:<44} {measured:>14} {beside:>26} {ratio:>8}   {bound}", flush=True)

    print(f"posters of {services.about['bytes'] // 1024} KB, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    row("what", "ours", "beside", "ratio", "bound")

    n = 1000 if quick else 3000
    services.ask(images=3000)
    curl(services.url, 200, 16, services.about["bytes"]), downloads(200)
    size = services.about["bytes"]
    services.ask(latency=0.03)
    pairs = [(curl(services.url, n, 16, size), downloads(n)) for _ in range(3)]
    services.ask(latency=0)
    theirs, ours = sorted(pairs, key=lambda pair: pair[1] / pair[0])[1]
    row("downloads, server 30 ms away", f"{ours:.0f}/s", f"curl {theirs:.0f}/s", f"{ours / theirs:.2f}", "0.5, 100/s")

    # what downloads() left on the disk is uploaded now, without a limit
    n = 200 if quick else 500
    channels = services.ask(channels=6)["channels"]
    content = next(Path(os.environ["POSTER_DIR"]).glob("*.jpg"))
    Path(folder.name, "poster.jpg").write_bytes(content.read_bytes())
    ratios = []
    for _ in range(3):
        loop = [sys.executable, "-m", "tests.bench.bench_posters", "bare"]
        loop += [services.url, str(channels[0]), f"{folder.name}/poster.jpg", str(n)]
        theirs = float(subprocess.run(loop, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
        ours = upload_all(services, channels[:1], n)
        ratios.append((ours / theirs, ours, theirs))
    ratio, ours, theirs = sorted(ratios)[1]
    row("uploads without a limit", f"{ours:.0f}/s", f"bare TeleBot {theirs:.0f}/s", f"{ratio:.2f}", "0.7")

    downloads(3000)
    seconds = 20 if quick else 75
    for count in (1, 2, 5):
        fresh = services.ask(channels=count)["channels"]
        rate, refused = uploads(services, fresh, seconds, PER_MINUTE)
        allowed = count * PER_MINUTE / 60
        beside = f"allowed {allowed:.0f}/s, 429s: {refused}"
        row(f"uploads, channels: {count}", f"{rate:.2f}/s", beside, f"{rate / allowed:.3f}", "0.97, none")

    fill(WAITING)
    services.ask(limit=0)
    os.environ["TELEGRAM_POSTER_CHANNELS"] = str(channels[0])
    measured = [sys.executable, "-m", "tests.bench.bench_posters", "memory", "1000"]
    told = json.loads(subprocess.run(measured, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    for what in ("downloads", "uploads"):
        row(f"memory of {what}, {WAITING:,} waiting", f"+{told[what]:.0f} MB", "idle", "", "+40 MB")

    many = 100_000 if quick else MANY
    queries(row, many, connection)
    services.stop()
    folder.cleanup()


def upload_all(services, channels, n):
    """Uploads a second of n posters, without a limit."""
    from django.conf import settings

    from posters import pipeline

    settings.TELEGRAM_POSTER_CHANNELS = channels
    settings.TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE = 0
    services.ask(limit=0)
    started = time.monotonic()
    run = pipeline.upload_posters(pipeline.Run(limit=n))
    assert run.done == n, run
    return n / (time.monotonic() - started)


def queries(row, many, connection):
    """The sweeps' queries where every film waits, where none does, and where one channel's wait behind another's."""
    from movies.models import Movie

    fill(many)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    cases = {
        "40 to download": lambda: Movie.objects.awaiting_download().by_priority(40),
        "none to upload": lambda: Movie.objects.awaiting_upload().for_channel(1, 5).by_priority(1),
    }
    for what, query in cases.items():
        row(f"query at {many:,} films: {what}", f"{timed(query):.2f} ms", "", "", "10 ms")
    Movie.objects.update(poster_status=1, local_path="x")
    ready = {
        "none to download": lambda: Movie.objects.awaiting_download().by_priority(40),
        "one to upload": lambda: Movie.objects.awaiting_upload().for_channel(3, 5).by_priority(1),
    }
    for what, query in ready.items():
        row(f"query at {many:,} films: {what}", f"{timed(query):.2f} ms", "", "", "10 ms")
    Movie.objects.filter(pk__lte=10_000).update(poster_priority=2, poster_next_try_at=2_000_000_000)
    delayed = timed(lambda: Movie.objects.awaiting_upload().for_channel(3, 5).by_priority(1))
    row(f"query at {many:,} films: behind 10,000 delayed", f"{delayed:.2f} ms", "", "", "10 ms")


if __name__ == "__main__":
    roles = {"serve": serve, "bare": bare, "memory": memory}
    roles.get(sys.argv[1] if len(sys.argv) > 1 else "", main)()
