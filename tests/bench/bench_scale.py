"""What people and workers ask of PostgreSQL, at 20,000 ratings and at 20,000,000, and the plans behind it.

    DATABASE_URL=postgres://… .venv/bin/python -m tests.bench.bench_scale

Two databases of its own are made on that server and dropped again. RATINGS=2000000 makes the larger one smaller.
"""
# ruff: noqa: E402, S608

import json
import os
import random
import statistics
import subprocess
import sys
import time
from array import array

import psycopg

SERVER = os.environ.get("DATABASE_URL") or "postgres://postgres@127.0.0.1:5432/postgres"
LARGE = int(os.environ.get("RATINGS", 20_000_000))
SMALL = 20_000
TIMES = 300
WORDS = (
    *("матрица", "ночь", "день", "город", "война", "мир", "звезда", "дорога", "дом", "лес", "тень", "человек"),
    *("король", "остров", "огонь", "вода", "небо", "земля", "ветер", "снег", "море", "река", "гора", "поле"),
)

FILL = """
INSERT INTO movies (id, title, original_title, search_text, overview, release_date, runtime, popularity, vote_average,
    vote_count, poster_path, poster_status, telegram_file_id, width, height, details_at)
SELECT n, t.title, t.title, translate(t.title, 'й', 'и'), repeat('слово ', 60), date '1930-01-01' + n %% 34000, 90,
    n %% 97, (n %% 90) / 10.0 + 1, 30000 / (1 + n %% 500), '/' || n || '.jpg',
    CASE WHEN n %% 1000 = 0 THEN 0 ELSE 2 END,
    CASE WHEN n %% 1000 = 0 THEN '' ELSE 'AgACAgIAAx0CAAEC' || md5(n::text) END, 2000, 3000, 1700000000 + n
FROM generate_series(1, %(films)s) AS n CROSS JOIN LATERAL (
    SELECT string_agg(word, ' ') AS title FROM (
        SELECT (%(words)s::text[])[1 + (hashint4(n * 7 + k) & 1073741823) %% %(vocabulary)s] AS word
        FROM generate_series(1, 2 + n %% 3) AS k) AS picked) AS t;
INSERT INTO users
    (telegram_user_id, tmdb_account_id, tmdb_session_id, sync_status, last_sync_at, ratings_count, language)
SELECT 7000000000 + n, n, repeat('x', 160), CASE WHEN n %% 5000 = 0 THEN 1 ELSE 2 END,
    extract(epoch FROM now())::int - n %% 86400, 20, 'ru' FROM generate_series(1, %(people)s) AS n;
INSERT INTO user_movie_ratings (telegram_user_id, movie_id, tmdb_rating, normalized_rating, rated_at)
SELECT 7000000001 + n / 20, 1 + floor(power((hashint4(n) & 1073741823) / 1073741824.0, 3) * %(films)s)::int AS film,
    (1 + n %% 20) / 2.0, greatest(1, (1 + n %% 20) / 2.0), 1700000000 + n %% 50000000
FROM generate_series(0, %(ratings)s - 1) AS n ON CONFLICT DO NOTHING;
INSERT INTO training_runs (id, started_at, finished_at, users, ratings) VALUES (1, 1, 2, %(people)s, %(ratings)s);
"""


def fill(own, ratings, films, people):
    """Write so many made-up rows through a psycopg connection with client-side binding."""
    words = [*WORDS, *(f"{a}{b}" for a in WORDS for b in WORDS)]
    values = {"films": films, "people": people, "ratings": ratings, "words": words, "vocabulary": len(words)}
    for statement in FILL.split(";\n"):
        if statement.strip():
            own.execute(statement, values)
    dice, weights = random.Random(1), array("f", (1 / place for place in range(1, 61))).tobytes()
    with own.cursor().copy("COPY similar_movies (run_id, movie_id, movie_ids, weights, nearest) FROM STDIN") as copy:
        for film in range(1, min(films, 30_000) + 1):
            copy.write_row((1, film, array("i", dice.sample(range(1, films + 1), 60)).tobytes(), weights, 10))


def make(name, ratings, films, people):
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    began = time.monotonic()
    url = SERVER.rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as own:
        fill(own, ratings, films, people)
        own.execute("VACUUM ANALYZE")
        size = own.execute("SELECT pg_database_size(current_database())").fetchone()[0]
    took = f"{size / 2**20:.0f} MB, made in {time.monotonic() - began:.0f} s"
    print(f"{ratings} ratings, {people} people, {films} films: {took}")


def questions(films, people):
    from movies.catalogue import TmdbPolicy, find_movies
    from movies.models import Movie
    from ratings.chat.lists import ORDERS, rated_page
    from ratings.models import Import, Rating
    from ratings.recommendations.recommender import recommend
    from users.models import User

    dice = random.Random(2)

    def person():
        return 7_000_000_001 + dice.randrange(people)

    def upsert():
        user, now = person(), 1_750_000_000
        rows = [
            Rating(user_id=user, movie_id=film, tmdb_rating="7.5", normalized_rating="7.5", rated_at=now)
            for film in dice.sample(range(1, films + 1), 100)
        ]
        fields = ["tmdb_rating", "normalized_rating", "rated_at"]
        Rating.objects.bulk_create(rows, update_conflicts=True, unique_fields=["user", "movie"], update_fields=fields)

    some = [dice.randint(1, films) for _film in range(500)]
    titles = list(Movie.objects.filter(pk__in=some).values_list("title", flat=True))
    return {
        "card": lambda: find_movies(str(dice.randint(101, films)), person()),
        "search": lambda: find_movies(dice.choice(titles), person(), TmdbPolicy.NEVER),
        "a common word": lambda: find_movies(dice.choice(WORDS), person(), TmdbPolicy.NEVER),
        "/rated": lambda: rated_page(person(), next(iter(ORDERS)), 0),
        "/recommend": lambda: recommend(person()),
        "posters due": lambda: (
            Movie.objects.awaiting_download().by_priority(100),
            Movie.objects.awaiting_upload().by_priority(1),
        ),
        "imports due": lambda: (
            list(User.objects.awaiting_import().order_by("pk")[:200]),
            list(Import.objects.unreported()[:50]),
        ),
        "100 ratings in": upsert,
    }


def measure(films, people):
    """{question: milliseconds at the 95th percentile}."""
    found = {}
    for question, ask in questions(films, people).items():
        for _warm in range(30):
            ask()
        taken = []
        for _time in range(TIMES):
            began = time.perf_counter()
            ask()
            taken.append((time.perf_counter() - began) * 1000)
        found[question] = statistics.quantiles(taken, n=20)[18]
    return found


def child(*arguments):
    """What this module prints when it is run on the database of the first argument."""
    variables = {
        "DJANGO_SETTINGS_MODULE": "config.settings", "ENV_FILE": os.devnull, "DEBUG": "0", "METRICS_FLUSH_SECONDS": "0",
        "SECRET_KEY": "bench " * 10, "DATABASE_URL": SERVER.rsplit("/", 1)[0] + f"/{arguments[0]}",
        "SANDBOX": "1", "REDIS_URL": os.environ.get("REDIS_URL", ""), "LOG_LEVEL": "ERROR",
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.bench.bench_scale", *map(str, arguments)]
    run = subprocess.run(command, env={**os.environ, **variables}, check=True, stdout=subprocess.PIPE, text=True)
    return run.stdout.strip()


def main():
    """Each size in a process of its own, since settings name one database; alternately, so that both meet one load."""
    sizes = {ratings: f"kinoteka_bench_{ratings}" for ratings in (SMALL, LARGE)}
    p95 = {ratings: {} for ratings in sizes}
    with psycopg.connect(SERVER, autocommit=True) as admin:
        try:
            for ratings, name in sizes.items():
                admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
                admin.execute(f"CREATE DATABASE {name}")
                print(child(name, "make", ratings), flush=True)
            for _round in range(3):
                for ratings, name in sizes.items():
                    for question, ms in json.loads(child(name, "measure", ratings)).items():
                        p95[ratings].setdefault(question, []).append(ms)
        finally:
            for name in sizes.values():
                admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    for question in p95[SMALL]:
        small, large = (statistics.median(p95[ratings][question]) for ratings in (SMALL, LARGE))
        print(f"{question:<16} p95 {small:7.1f} ms → {large:7.1f} ms: {large / small:.2f}×")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        import django

        django.setup()
        name, what, ratings = sys.argv[1], sys.argv[2], int(sys.argv[3])
        films, people = max(300, ratings * 300_000 // 20_000_000), max(1000, ratings // 20)
        if what == "make":
            make(name, ratings, films, people)
        else:
            print(json.dumps(measure(films, people)))
