"""What a search costs among 300,000 films, mistyped ones too, and the memory that their titles' words take.

    DATABASE_URL=… .venv/bin/python -m tests.bench.bench_search

A test database of its own on SQLite, or on the PostgreSQL of DATABASE_URL. FILMS=30000 makes it smaller. CPU is this
process's, which tells more than the time on a busy machine.
"""
# ruff: noqa: E402

import itertools
import os
import random
import statistics
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.conf import settings
from django.db import connection
from django.test.utils import get_runner

from movies import vocabulary
from movies.catalogue import TmdbPolicy, find_movies
from movies.models import Movie

FILMS, WORDS, TIMES = int(os.environ.get("FILMS", 300_000)), 85_000, 9
KNOWN = [
    ("матрица", "the matrix"), ("интерстеллар", "interstellar"), ("годзилла", "godzilla"), ("он и она", "lui et elle"),
    ("форрест гамп", "forrest gump"), ("матрица перезагрузка", "the matrix reloaded"),
]  # fmt: skip
TYPED = (
    "матрица", "форрест гамп", "матр", "он", "ночн", "матрица 1999", "матрца", "интерстелар", "годзила", "форест гмп",
    "atriks", "vfnhbwf", "матрица 2", "нет такого фильма",
)  # fmt: skip


def made_up_words(dice, vowels, consonants):
    """Words of two to five syllables, each once."""
    words = {"ночной", "город", "night", "city"}
    while len(words) < WORDS:
        words.add("".join(dice.choice(consonants) + dice.choice(vowels) for _ in range(dice.randint(2, 5))))
    return sorted(words, key=lambda _word: dice.random())


def fill():
    dice = random.Random(1)
    weights = list(itertools.accumulate(1 / (place + 20) for place in range(WORDS)))
    languages = [made_up_words(dice, "аеиоуыя", "бвгдклмнпрстш"), made_up_words(dice, "aeiou", "bcdfghklmnprstvw")]

    def movie(id):
        count = dice.choice((1, 2, 2, 3, 3, 4, 5))
        titles = [" ".join(dice.choices(words, cum_weights=weights, k=count)) for words in languages]
        if id <= len(KNOWN):
            titles = list(KNOWN[id - 1])
        votes = 20_000 if id <= len(KNOWN) else int(30_000 / (1 + id % 5000)) if id % 20 == 0 else dice.randrange(60)
        return Movie(
            id=id, title=titles[0], original_title=titles[1], search_text="|".join(titles), overview="слово " * 60,
            vote_count=votes, release_date=f"{1930 + id % 90}-05-01" if id > len(KNOWN) else "1999-03-31", details_at=1,
        )  # fmt: skip

    ids = iter(range(1, FILMS + 1))
    while batch := [movie(id) for id in itertools.islice(ids, 5000)]:
        Movie.objects.bulk_create(batch, batch_size=500)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def resident_mb():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def main():
    runner = get_runner(settings)(verbosity=0, interactive=False)
    old = runner.setup_databases()
    try:
        fill()
        print(f"{FILMS} films; {connection.vendor}")
        before, began = resident_mb(), time.process_time()
        words = vocabulary.vocabulary()
        count = sum(text.count("\n") + 1 for text in words.texts.values())
        print(f"{count} words read in {time.process_time() - began:.1f} s, {resident_mb() - before:+.0f} MB resident")
        vocabulary.cached.valid_until = float("inf")
        for typed in TYPED:
            took, cpu = [], []
            for _time in range(TIMES):
                began, busy = time.perf_counter(), time.process_time()
                found = find_movies(typed, 7, TmdbPolicy.NEVER)
                took.append((time.perf_counter() - began) * 1000)
                cpu.append((time.process_time() - busy) * 1000)
            first = found.movies[0].title if found.movies else "–"
            print(f"{typed:20} median {statistics.median(took):6.1f} ms, CPU {statistics.median(cpu):6.1f} ms  {first}")
    finally:
        runner.teardown_databases(old)


if __name__ == "__main__":
    main()
