"""How fast imports are, against the sandbox in a process of its own: python -m tests.bench.bench_import

Every number is a ratio to what TMDb's limit, or the bare database driver, would allow; all are taken in one run. The
database is a new SQLite file; BENCH_DATABASE_URL names another, which must be empty.
"""

import multiprocessing
import os
import sys
import tempfile
import threading
import time
from typing import Any

LIMIT = 35.0  # requests a second, as TMDB_REQUESTS_PER_SECOND has by default
LATENCY = 0.05  # seconds an answer takes


def serve(pipe):
    """The sandbox; carries out what comes through the pipe: (name of a function below, arguments)."""
    from sandbox.server import Sandbox

    with Sandbox() as sandbox:
        pipe.send((sandbox.url, sandbox.tmdb_key, sandbox.telegram_token))
        while order := pipe.recv():
            name, *arguments = order
            pipe.send(globals()[name](sandbox, *arguments))


def people(sandbox, latency, accounts):
    """A user for each list of films, all rated. Returns [(Telegram id, account id, session)]."""
    tmdb = sandbox.tmdb
    tmdb.latency = latency
    tmdb.forget_requests()
    found = []
    for films in accounts:
        number = len(tmdb.accounts)
        person = sandbox.telegram.person(f"P{number}", id=5_000_000_000 + number)
        person.send("/start")
        account = tmdb.add_account(f"p{number}")
        for film in films:
            if film not in tmdb.films:
                tmdb.add_films(1, start=film)
            account.rate(film, film % 20 / 2 + 0.5)
        found.append((person.id, account.id, tmdb.session_for(account)))
    return found


def asked(sandbox):
    """The paths asked for so far, with page numbers and the accounts' ids in them."""
    return [f"{seen.path}?{seen.query.get('page', '')}" for seen in sandbox.tmdb.requests if seen.path.startswith("/3")]


class Bench:
    def __init__(self, pipe):
        self.pipe, self.failures = pipe, 0

    def order(self, *order):
        self.pipe.send(order)
        return self.pipe.recv()

    def imports(self, accounts, latency, limit):
        """Seconds for importing these accounts, through the worker's task, and what TMDb was asked."""
        from django.conf import settings

        from ratings.tasks import import_ratings
        from users.models import User

        settings.TMDB_REQUESTS_PER_SECOND = limit
        made = self.order("people", latency, accounts)
        for person, account, session in made:
            User.objects.create(pk=person).connect(account, session)
        began = time.perf_counter()
        while User.objects.awaiting_import().exists():
            import_ratings()
        seconds = time.perf_counter() - began
        for (person, _account, _session), films in zip(made, accounts, strict=True):
            assert User.objects.get(pk=person).ratings_count == len(films)
        return seconds, self.order("asked"), made

    def show(self, what, ratio, bound, more_is_better=False, note=""):
        good = ratio >= bound if more_is_better else ratio <= bound
        self.failures += not good
        relation = "≥" if more_is_better else "≤"
        print(f"{'ok  ' if good else 'SLOW'}  {what}: {ratio:.2f} ({relation} {bound})  {note}", flush=True)

    def unknown_films(self, films):
        seconds, requests, _made = self.imports([films], LATENCY, LIMIT)
        best = len(requests) / LIMIT
        note = f"{seconds:.1f} s for {len(requests)} requests, {best:.1f} s at the limit"
        self.show(f"{len(films)} ratings of unknown films", seconds / best, 1.15, note=note)

    def known_films(self, films):
        seconds, requests, _made = self.imports([films], LATENCY, LIMIT)
        best = -(-len(films) // 20) / LIMIT
        note = f"{seconds:.2f} s for {len(requests)} requests, {best:.2f} s at the limit"
        self.show(f"{len(films)} ratings of known films", seconds / best, 1.3, note=note)

    def unlimited(self, films):
        seconds, _requests, _made = self.imports([films], 0, 0)
        rate = len(films) / seconds
        self.show("films a second without limit and latency", rate, 250, more_is_better=True, note=f"{seconds:.1f} s")

    def ten_at_once(self, start):
        common = list(range(start, start + 180))
        own = [list(range(start + 1000 + 20 * n, start + 1020 + 20 * n)) for n in range(10)]
        seconds, requests, made = self.imports([common + films for films in own], LATENCY, LIMIT)
        films = [path for path in requests if "/movie/" in path and "/recommendations" not in path]
        assert len(films) == len(set(films)), "a film was asked for twice"
        best = len(requests) / LIMIT
        note = f"{seconds:.1f} s for {len(requests)} requests, {best:.1f} s at the limit"
        self.show("ten imports at once that share 90% of their films", seconds / best, 1.2, note=note)
        half = requests[: len(requests) // 2]
        pages = [sum(f"/account/{account}/" in path for path in half) for _person, account, _session in made]
        self.show("pages of the least served in the first half, of the most served", min(pages) / max(pages), 0.8, True)

    def small_beside_large(self, start):
        large, small = list(range(start, start + 1000)), list(range(start + 5000, start + 5030))
        _seconds, requests, _made = self.imports([large, small], LATENCY, LIMIT)
        theirs = {f"/3/movie/{film}?" for film in small}
        last = max(number for number, path in enumerate(requests) if path in theirs)
        note = f"request {last} of {len(requests)}"
        self.show("30 ratings beside 1,000: the last request, of their own number", last / 34, 2.5, note=note)

    def visible(self, films):
        """Two seconds are what a person waits at most who has just linked an account."""
        from ratings.models import Rating

        seen = []
        ended = threading.Event()

        def look():
            while not ended.wait(0.02) and len(seen) < len(films):
                seen.extend([time.perf_counter()] * (Rating.objects.filter(movie_id__in=films).count() - len(seen)))

        looking = threading.Thread(target=look)
        looking.start()
        began = time.perf_counter()
        seconds, requests, _made = self.imports([films], LATENCY, LIMIT)
        ended.set()
        looking.join()
        first, last = seen[0] - began, seen[-1] - began
        note = f"the first after {first:.2f} s, the import ended after {seconds:.1f} s and {len(requests)} requests"
        self.show(f"all of {len(films)} ratings visible, of two seconds", last / 2, 1.0, note=note)

    def outbox(self, films):
        """Ratings made here on their way to TMDb, which takes 0.2 seconds for each."""
        from decimal import Decimal

        from django.conf import settings

        from ratings.models import PendingWrite
        from ratings.tasks import write_ratings
        from users.models import User

        _seconds, _requests, made = self.imports([films], 0, 0)
        settings.TMDB_REQUESTS_PER_SECOND = LIMIT
        self.order("people", 0.2, [])
        user = User.objects.get(pk=made[0][0])
        PendingWrite.objects.bulk_create([PendingWrite(user=user, movie_id=film, rating=Decimal(7)) for film in films])
        began = time.perf_counter()
        write_ratings(user.pk)
        seconds, best = time.perf_counter() - began, len(films) / LIMIT
        assert not PendingWrite.objects.exists()
        note = f"{seconds:.1f} s, {best:.1f} s at the limit"
        self.show(f"{len(films)} ratings to TMDb, which takes 0.2 s for each", seconds / best, 1.3, note=note)

    def details_cost(self, kilobytes):
        """What it costs that a film's answer carries its translations, credits and videos: some 150 KB of JSON."""
        import json

        from movies.parsing import parse_details

        person = {"adult": False, "gender": 2, "id": 819, "known_for_department": "Acting", "original_name": "Edward"}
        person |= {"name": "Эдвард Нортон", "popularity": 7.3, "profile_path": "/5XBzD5WuTyVQZeS4VI25z2moMeY.jpg"}
        texts = {"title": "Бойцовский клуб", "overview": "Страховой работник. " * 40, "homepage": "", "tagline": ""}
        answer: dict[str, Any] = {
            "id": 550,
            "title": "Бойцовский клуб",
            "original_title": "Fight Club",
            "release_date": "1999-10-15",
        }
        bare = len(json.dumps(answer, ensure_ascii=False).encode())
        one = {"iso_3166_1": "RU", "iso_639_1": "ru", "name": "Pусский", "english_name": "Russian", "data": texts}
        answer["translations"] = {"translations": [one | {"iso_639_1": f"x{n}"} for n in range(45)]}
        answer["videos"] = {"results": [{"site": "YouTube", "type": "Trailer", "key": "x" * 11, "iso_639_1": "ru"}] * 9}
        answer["credits"] = {"cast": [person | {"order": n, "character": "Рассказчик"} for n in range(75)], "crew": []}
        while len(raw := json.dumps(answer, ensure_ascii=False).encode()) < kilobytes * 1000:
            answer["credits"]["crew"].append(person | {"job": "Director", "department": "Directing"})
        began = time.process_time()
        for _n in range(50):
            parse_details(json.loads(raw))
        seconds = (time.process_time() - began) / 50
        note = f"{len(raw):,} bytes, {bare:,} without what is appended"
        self.show("of a core, to parse details at the limit", seconds * LIMIT, 0.3, note=note)

    def upsert(self, rows):
        from django.db import connection, transaction

        from movies.models import Movie
        from ratings.models import HALF_POINTS, Import, Rating, normalize
        from ratings.tmdb_sync.merge import UPSERT, from_tmdb, write_ratings
        from users.models import User

        run = Import.objects.create(user=User.objects.create(pk=1), started_at=1)
        films = range(10_000_000, 10_000_000 + rows)
        Movie.objects.bulk_create([Movie(id=film) for film in films], batch_size=500)
        ratings = [(film, HALF_POINTS[film % 20]) for film in films]

        def ours(batch):
            write_ratings([from_tmdb(run, film, value, 5) for film, value in batch])

        def drivers(batch):
            with connection.cursor() as cursor:
                cursor.executemany(
                    UPSERT, [(1, film, value, None, normalize(value), 5, "tmdb", 1) for film, value in batch]
                )

        seconds = {ours: 0.0, drivers: 0.0}
        for _round in range(3):
            for way in seconds:
                Rating.objects.filter(user=1).delete()
                began = time.perf_counter()
                for _insert_then_update in range(2):
                    for first in range(0, rows, 100):
                        with transaction.atomic():
                            way(ratings[first : first + 100])
                seconds[way] += time.perf_counter() - began
        note = f"{6 * rows / seconds[ours]:,.0f} rows/s, the driver alone {6 * rows / seconds[drivers]:,.0f}"
        self.show("bulk upsert, of the driver's speed", seconds[drivers] / seconds[ours], 0.5, True, note)


def main():
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    url, key, token = here.recv()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["DATABASE_URL"] = os.environ.get("BENCH_DATABASE_URL") or f"sqlite:///{scratch}/bench.sqlite3"
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command

        settings.LOGGING_CONFIG = None
        settings.TELEGRAM_API_URL, settings.TELEGRAM_BOT_TOKEN = url, token
        settings.TMDB_API_URL, settings.TMDB_API_KEY = f"{url}/3", key
        from config.bot import client
        from config.bot.router import bot

        bot.token = token
        client.patch_telebot()
        call_command("migrate", verbosity=0)
        bench = Bench(here)
        films = list(range(1_000_000, 1_002_000))
        bench.unknown_films(films)
        bench.known_films(films)
        bench.unlimited(list(range(2_000_000, 2_002_000)))
        bench.ten_at_once(3_000_000)
        bench.small_beside_large(4_000_000)
        bench.visible(list(range(5_000_000, 5_000_300)))
        bench.outbox(list(range(6_000_000, 6_000_300)))
        bench.details_cost(150)
        bench.upsert(10_000)
        here.send(None)
        server.join(5)
        sys.exit(1 if bench.failures else 0)


if __name__ == "__main__":
    main()
