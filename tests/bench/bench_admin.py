"""How fast the admin is with a million films: python -m tests.bench.bench_admin

Fills a database of its own in PostgreSQL (BENCH_POSTGRES names the server; default: the local one) with 1,000,000
films, 100,000 people and 10,000,000 ratings, and asks for every page. Ends with 1 if one takes more than 300 ms (95 of
a hundred times) or asks more queries than it may. BENCH_SCALE=0.01 makes it small; BENCH_KEEP=1 keeps the database,
and takes one that was kept.
"""

import os
import statistics
import sys
import time

SERVER = os.environ.get("BENCH_POSTGRES", "postgres://postgres@127.0.0.1:5432")
SCALE = float(os.environ.get("BENCH_SCALE", "1"))
NAME = "kinoteka_bench_admin"
LIMIT = 300  # ms
MOST_QUERIES = 45
RUNS, ROUNDS = 20, 3  # a page that is late has two more rounds: other programs may have been at work

FILMS, PEOPLE, PER_PERSON = int(1_000_000 * SCALE), int(100_000 * SCALE), 106
FILL = f"""
SET session_replication_role = replica;  -- no look at the other table for each of ten million rows
INSERT INTO movies (id, title, original_title, overview, release_date, poster_path, poster_status, telegram_file_id,
                    width, height, vote_count, search_text, details_at,
                    poster_priority, poster_next_try_at, poster_error,
                    poster_attempts)
SELECT n, word || ' ' || n, 'Film ' || n, repeat('Что было дальше, никто не знает. ', 8),
       CASE WHEN n % 50 > 0 THEN date '1920-01-01' + (n::bigint * 7919 % 38700)::int END,
       CASE WHEN state = -1 THEN '' ELSE '/p' || n || '.jpg' END, state,
       CASE WHEN state = 2 THEN 'AgACAgIAAxkD' || md5(n::text) || n ELSE '' END, 500, 750, n % 9000,
       lower(word) || ' ' || n || '|film ' || n,
       CASE WHEN n % 7 > 0 THEN extract(epoch from now())::bigint - n::bigint * 31 % 15000000 END,
       CASE WHEN n % 1000 = 0 THEN 2 ELSE 0 END,
       CASE WHEN n % 997 = 0 THEN 9999999999 ELSE extract(epoch from now())::bigint - n % 90000 END,
       CASE WHEN n % 997 = 0 THEN 'TMDb has no such image' ELSE '' END, 0
FROM (SELECT n, (ARRAY['Матрица','Звезда','Ночь','Человек','Город','Дом','Война','Любовь'])[1 + n % 8] AS word,
             CASE WHEN n % 997 = 0 OR n % 20 = 1 THEN 0 WHEN n % 100 = 2 THEN 1 WHEN n % 10 = 3 THEN -1
                  ELSE 2 END AS state
      FROM generate_series(1, {FILMS}) n) films;
INSERT INTO users (telegram_user_id, tmdb_account_id, tmdb_session_id, sync_status, last_sync_at, ratings_count)
SELECT 5000000000 + n, n, repeat('s', 180), CASE WHEN n % 50 = 0 THEN -1 WHEN n % 5 = 0 THEN 0 ELSE 2 END,
       CASE WHEN n % 5 > 0 THEN extract(epoch from now())::bigint - n::bigint * 7919 % 9000000 END, 100
FROM generate_series(1, {PEOPLE}) n;
INSERT INTO user_movie_ratings (telegram_user_id, movie_id, tmdb_rating, normalized_rating, rated_at, source)
SELECT 5000000000 + p, 1 + floor(power(random(), 3) * {FILMS} * 0.3)::int, 8, 8, 1600000000 + (random() * 1e8)::bigint,
       'tmdb'
FROM generate_series(1, {PEOPLE}) p, generate_series(1, {PER_PERSON}) k ON CONFLICT DO NOTHING;
INSERT INTO imports (telegram_user_id, started_at, finished_at, error, reader_state, names, ratings_done)
SELECT 5000000000 + n, extract(epoch from now())::bigint - n * 60, CASE WHEN n > 30 THEN
       extract(epoch from now())::bigint - n * 60 + 40 END, CASE WHEN n % 50 = 0 THEN 'TMDb refused the session' ELSE ''
       END, '{{}}', '{{}}', 50 FROM generate_series(1, {PEOPLE}) n;
INSERT INTO metric_counts (name, minute, number)
SELECT name, extract(epoch from now())::bigint / 60 * 60 - n * 60, n % 40 FROM generate_series(0, 2800) n,
       unnest(ARRAY['tmdb.requests','tmdb.images','telegram.requests','telegram.429','posters.uploaded']) name;
"""


def main():
    import psycopg

    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
        if not os.environ.get("BENCH_KEEP"):
            server.execute(f"DROP DATABASE IF EXISTS {NAME}")
        kept = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone()
        if not kept:
            server.execute(f"CREATE DATABASE {NAME}")
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": f"{SERVER}/{NAME}",
        "REDIS_URL": "",
    }
    try:
        ok = measure(fill=not kept)
    finally:
        if not os.environ.get("BENCH_KEEP"):
            from django.db import connections

            connections.close_all()
            with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
                server.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
    sys.exit(0 if ok else 1)


def measure(fill):
    import django

    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext, setup_test_environment

    from config.monitoring.metrics import count_by_status
    from movies.models import Movie
    from users.models import User

    setup_test_environment()
    call_command("migrate", verbosity=0)
    began = time.monotonic()
    with connection.cursor() as cursor:
        if fill:
            cursor.execute(FILL)
            cursor.execute("SET session_replication_role = DEFAULT")
            cursor.execute("VACUUM ANALYZE")
        cursor.execute("SELECT count(*) FROM user_movie_ratings")
        ratings = cursor.fetchone()[0]
        cursor.execute("SELECT movie_id FROM user_movie_ratings GROUP BY 1 ORDER BY count(*) DESC LIMIT 1")
        favourite = cursor.fetchone()[0]
    print(f"{FILMS:,} films, {PEOPLE:,} people, {ratings:,} ratings; filled in {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    count_by_status(Movie, "poster_status"), count_by_status(User, "sync_status")
    milliseconds = (time.monotonic() - began) * 1000
    print(f"counting both tables by status: {milliseconds:.0f} ms, once a minute in each process\n")

    client = Client()
    operator, _new = get_user_model().objects.get_or_create(username="bench", is_staff=True, is_superuser=True)
    client.force_login(operator)
    films, people, person = "/admin/movies/movie/", "/admin/users/user/", 5_000_000_000 + PEOPLE // 2
    pages = {
        "front page": "/admin/",
        "films": films,
        "films, page 200": f"{films}?p=200",
        "films, further on": f"{films}?id__lt={FILMS // 2}&p=200",
        "films waiting for download": f"{films}?poster_status__exact=0",
        "films on local disk": f"{films}?poster_status__exact=1",
        "films in Telegram, page 200": f"{films}?poster_status__exact=2&p=200",
        "films without poster": f"{films}?poster_status__exact=-1",
        "films asked for, not uploaded": f"{films}?poster=asked",
        "films due": f"{films}?poster=due",
        "films given up or set aside": f"{films}?poster=failed",
        "films of 1999": f"{films}?year=1999",
        "films of the 1990s": f"{films}?year=1990s",
        "films without a year": f"{films}?year=unknown",
        "films never read": f"{films}?read=never",
        "films read over five months ago": f"{films}?read=old",
        "films read lately": f"{films}?read=fresh",
        "waiting films of the 1990s": f"{films}?year=1990s&poster_status__exact=0",
        "search: a common word": f"{films}?q=матрица",
        "search: a rare title": f"{films}?q=МАТРИЦА+{FILMS // 8 * 4}",
        "search: nothing found": f"{films}?q=кракозябра",
        "search: an id": f"{films}?q={FILMS // 2}",
        "search: a short number": f"{films}?q=60",
        "a film": f"{films}{favourite}/change/",
        "a film's ratings": f"/admin/ratings/film/{favourite}/",
        "a film's ratings, further on": f"/admin/ratings/film/{favourite}/?after={person}",
        "people": people,
        "people, page 200": f"{people}?p=200",
        "people whose import failed": f"{people}?sync_status__exact=-1",
        "people imported within a day": f"{people}?age=day",
        "people by last import": f"{people}?o=-4",
        "people by number of ratings": f"{people}?o=5",
        "search: a person": f"{people}?q={person}",
        "a person": f"{people}{person}/change/",
        "a person's ratings": f"/admin/ratings/person/{person}/",
        "a person's ratings of a title": f"/admin/ratings/person/{person}/?q=матрица",
        "imports": "/admin/ratings/import/",
        "imports that failed": "/admin/ratings/import/?state=failed&ended=day",
        "requests by the hour": "/admin/counts/",
        "space": "/admin/space/",
    }
    assert Movie.objects.filter(pk=favourite).exists()
    ok = True
    print(f"{'page':36}{'median':>9}{'p95':>9}{'queries':>9}")
    for title, address in pages.items():
        for _round in range(ROUNDS):
            times = sorted(seconds(client, address) * 1000 for _run in range(RUNS))
            if (p95 := times[int(RUNS * 0.95) - 1]) <= LIMIT:
                break
        with CaptureQueriesContext(connection) as queries:
            client.get(address)
        kept = p95 <= LIMIT and len(queries) <= MOST_QUERIES
        ok &= kept
        print(f"{title:36}{statistics.median(times):6.0f} ms{p95:6.0f} ms{len(queries):9}{'' if kept else '  !'}")
        if not kept:
            slow = max(queries, key=lambda query: float(query["time"]))
            print(f"    {slow['time']} s: {slow['sql'][:400]}")
    print(f"\nallowed: {LIMIT} ms, {MOST_QUERIES} queries: {'kept' if ok else 'NOT kept'}")
    return ok


def seconds(client, address):
    began = time.perf_counter()
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
