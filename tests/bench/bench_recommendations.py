"""How good, how quick and how large recommendations are.

    .venv/bin/python -m tests.bench.bench_recommendations [--movielens DIR] [--postgres URL] [--most 10000000]

(or MOVIELENS=DIR DATABASE_URL=URL, as `make bench` passes them on)

Quality, with --movielens (a folder with ratings.csv; none is in this repository): NDCG@10 of ours and of popularity on
the same splits, through `evaluate_recommendations`. A user's last 20% of at least 20 ratings are held out; temporal:
of all users; fold-in: of a fifth of the users, whom the training does not see, five times over. A held-out movie is
relevant where its rating is no lower than the mean of those that were not held out. implicit's ALS and, after
`make peers`, lenskit's SLIM are the baselines.

Other data, with --movielens: the same (temporal) on data derived from it and on synthetic data, against popularity.

Cold start, with --movielens: NDCG@10 (fold-in) by how many users the bot has, alone and with an archive of half of
the users; the held-out users are in neither.

Latency: the whole recommend(), reasons and all, for users with 0, 20, 200, 2,000 and 8,000 ratings, and films for
the evening of a group,
compared with SELECT 1, and the CPU time, ours and the server's (where its /proc can be read): on a
machine with other work, the number that means something. Training: time and memory of
the process, synthetic ratings. Each part has a database and a process of its own.
"""

import argparse
import csv
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import date
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean, median, quantiles, stdev

ROOT = Path(__file__).resolve().parent.parent.parent
SIZES = [(100_000, 5_000), (1_000_000, 10_000), (3_000_000, 35_000), (10_000_000, 20_000)]  # ratings, films
PEOPLE = (0, 5, 25, 100, 488)  # of the bot, in the learning curve
GROUP = 8  # people of an evening
# Genres of TMDb's films, and of how many in a hundred
SHARES = {18: 40, 35: 28, 53: 16, 28: 15, 10749: 14, 27: 12, 80: 11, 12: 9, 99: 8, 878: 7, 16: 6, 14: 6, 37: 1}
PROFILES = [0, 20, 200, 2_000, 8_000]
BASELINES_PYTHON = ROOT / ".venv-peers/bin/python"
TIMES = 60  # lists asked for in each case
HEADER = ["user", "item", "rating", "rated_at"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    archive, server = os.environ.get("MOVIELENS") or None, os.environ.get("DATABASE_URL", "")
    parser.add_argument("--movielens", type=Path, default=archive, help="a folder with ratings.csv")
    parser.add_argument(
        "--postgres",
        default=server if server.startswith("postgres") else None,
        help="postgres://… of a server where a database may be made",
    )
    parser.add_argument("--most", type=int, default=10_000_000, help="leave larger builds out")
    parser.add_argument("--child", choices=["fill", "latency", "judge"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--ratings", type=int, default=100_000, help=argparse.SUPPRESS)
    parser.add_argument("--films", type=int, default=5_000, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    with tempfile.TemporaryDirectory() as scratch:
        if options.movielens:
            rated = people_of(options.movielens)
            quality(rated, Path(scratch))
            other_data(rated, Path(scratch))
            cold_start(rated, Path(scratch))
        else:
            print("quality: not measured; --movielens names a folder with ratings.csv")
        latency(f"sqlite:///{scratch}/latency.sqlite3", "SQLite")
        if options.postgres:
            on_postgres(options.postgres)
        for ratings, films in SIZES:
            if ratings <= options.most:
                train(ratings, films, Path(scratch))


def manage(url, *arguments):
    """Run a command of ours; (its output, seconds, what it used of the machine)."""
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "ENV_FILE": os.devnull,
        "SECRET_KEY": "bench " * 10,
        "DEBUG": "0",  # else Django keeps and explains every statement
        "SANDBOX": "1",
        "REDIS_URL": "",
    }
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output = process.stdout.read().decode()
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, output
    return output, time.perf_counter() - began, usage


def migrated(url):
    manage(url, "manage.py", "migrate", "-v0")
    return url


def ourselves(url, kind, **numbers):
    flags = [part for name, value in numbers.items() for part in (f"--{name}", str(value))]
    return manage(url, "-m", "tests.bench.bench_recommendations", "--child", kind, *flags)[0]


# --- Quality


def people_of(archive):
    """{person: [(time, film, rating 1-10)]}, each in the order of time."""
    rated: dict[int, list[tuple[int, int, float]]] = defaultdict(list)
    with open(archive / "ratings.csv") as file:
        for user, film, rating, at in list(csv.reader(file))[1:]:
            rated[int(user)].append((int(at), int(film), float(rating) * 2))
    rng = random.Random(0)
    for _user, mine in sorted(rated.items()):
        mine.sort(key=lambda row: (row[0], rng.random()))  # ties are in no order
    return rated


def quality(rated, scratch):
    methods = {"ours": ours, "popularity": popularity}
    if find_spec("implicit"):
        methods["implicit's ALS"] = partial(baseline, "als", sys.executable)
    if BASELINES_PYTHON.exists():
        methods["lenskit's SLIM"] = partial(baseline, "slim", str(BASELINES_PYTHON))
    else:
        print("lenskit: not measured; `make peers` installs it, some 3 GB, next to .venv")
    found = {(name, protocol): [] for name in methods for protocol in ("temporal", "fold-in")}
    eligible = sorted(user for user, mine in rated.items() if len(mine) >= 20)
    for protocol, strangers in [("temporal", set()), *(("fold-in", set(eligible[fold::5])) for fold in range(5))]:
        known = {user: mine[: hidden_from(mine)] for user, mine in rated.items()}
        train = {user: mine for user, mine in known.items() if user not in strangers}
        asked = strangers or eligible
        for name, method in methods.items():
            lists = method(scratch, train, {user: known[user] for user in asked}, bool(strangers))
            found[name, protocol] += judge(rated, known, asked, lists)
    print(f"{'NDCG@10 ± standard error':28}{'temporal':>18}{'fold-in':>18}")
    for name in methods:
        cells = [found[name, protocol] for protocol in ("temporal", "fold-in")]
        print(
            f"{name:28}" + "".join(f"{fmean(c):>10.4f} ± {stdev(c) / math.sqrt(len(c)):.4f}" for c in cells), flush=True
        )


def hidden_from(mine):
    return len(mine) - (max(1, len(mine) // 5) if len(mine) >= 20 else 0)


def judge(rated, known, asked, lists):
    scores = []
    for user in asked:
        mean = fmean(rating for _at, _film, rating in known[user])
        relevant = {film for _at, film, rating in rated[user][len(known[user]) :] if rating >= mean}
        if relevant:
            gain = sum(1 / math.log2(place + 2) for place, film in enumerate(lists[user][:10]) if film in relevant)
            scores.append(gain / sum(1 / math.log2(place + 2) for place in range(min(10, len(relevant)))))
    return scores


def ours(scratch, train, profiles, strangers):
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        write(f"{folder}/train.csv", train)
        if strangers:
            write(f"{folder}/profiles.csv", profiles)
        url = migrated(f"sqlite:///{folder}/quality.sqlite3")
        output = manage(url, "manage.py", "evaluate_recommendations", folder, "--output", f"{folder}/recs.csv")[0]
        print("  " + output.strip().rpartition("\n")[2], flush=True)
        return lists_of(f"{folder}/recs.csv")


def write(path, people):
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        rows.writerows((u, film, rating, at) for u, mine in people.items() for at, film, rating in mine)


def lists_of(path):
    lists = defaultdict(list)
    with open(path) as file:
        for user, film, _rank in list(csv.reader(file))[1:]:
            lists[int(user)].append(int(film))
    return lists


def popularity(scratch, train, profiles, strangers):
    count = defaultdict(int)
    for mine in train.values():
        for _at, film, _rating in mine:
            count[film] += 1
    best = sorted(count, key=lambda film: (-count[film], film * 7919 % 10_007))  # ids tell which films are known
    seen = {user: {film for _at, film, _rating in mine} for user, mine in profiles.items()}
    return {user: [film for film in best if film not in seen[user]][:10] for user in profiles}


def baseline(method, python, scratch, train, profiles, strangers):
    """The lists of a library (tests.bench.baselines), run by the interpreter for which it is installed."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        write(f"{folder}/train.csv", train)
        write(f"{folder}/profiles.csv", profiles)
        subprocess.run(
            [python, "-m", "tests.bench.baselines", method, folder], cwd=ROOT, check=True, capture_output=True
        )
        return lists_of(f"{folder}/recs.csv")


# --- Other data


def other_data(rated, scratch):
    print(f"{'NDCG@10, temporal':36}{'ours':>8}{'popularity':>12}{'difference ± standard error':>30}")
    for name, people in variants(rated).items():
        known = {user: mine[: hidden_from(mine)] for user, mine in people.items()}
        asked = sorted(user for user, mine in people.items() if len(mine) >= 20)
        profiles = {user: known[user] for user in asked}
        one, other = (
            judge(people, known, asked, method(scratch, known, profiles, False)) for method in (ours, popularity)
        )
        apart = [a - b for a, b in zip(one, other, strict=True)]
        error = stdev(apart) / math.sqrt(len(apart))
        print(f"{name:36}{fmean(one):>8.3f}{fmean(other):>12.3f}{fmean(apart):>+20.3f} ± {error:.3f}", flush=True)


def variants(rated):
    """{what it is: ratings in the shape of people_of()}."""
    rng = random.Random(4)
    count = defaultdict(int)
    for mine in rated.values():
        for _at, film, _rating in mine:
            count[film] += 1
    known = sorted(count, key=lambda film: (-count[film], film))

    def some(number, least=0):
        chosen = [user for user, mine in rated.items() if len(mine) > least]
        return {user: rated[user] for user in rng.sample(chosen, min(number, len(chosen)))}

    def each(change):
        return {user: change(mine) for user, mine in rated.items()}

    def within(films):
        return {user: kept for user, mine in rated.items() if (kept := [row for row in mine if row[1] in films])}

    return {
        "25 ratings of each person": each(lambda mine: sorted(rng.sample(mine, min(25, len(mine))))),
        "people of more than 300 ratings": some(len(rated), 300),
        **{f"{number} people": some(number) for number in (15, 50, 200)},
        "all ratings 8": each(lambda mine: [(at, film, 8.0) for at, film, _rating in mine]),
        "no times": each(lambda mine: [(0, film, rating) for _at, film, rating in rng.sample(mine, len(mine))]),
        "the 300 most rated films": within(set(known[:300])),
        "synthetic, without tastes: 200, 1,000": synthetic(200, 1_000, tastes=1),
    }


def synthetic(people, films, tastes=5, each=50):
    """People of a few tastes, rating by a power law of films, in no order."""
    rng = random.Random(5)
    base = [1 / (rank + 10) for rank in range(films)]
    liking = [[weight * math.exp(rng.gauss(0, 0.7)) for weight in base] for _taste in range(tastes)]
    rated = {}
    for person in range(1, people + 1):
        weights = rng.choice(liking)
        length = max(20, min(films // 2, round(each * math.exp(rng.gauss(0, 0.6)))))
        drawn = sorted(range(films), key=lambda film: rng.expovariate(weights[film]))[:length]
        rng.shuffle(drawn)
        liked = [7 + math.log(weights[film] / base[film]) for film in drawn]
        values = [min(10.0, max(1.0, round(2 * rng.gauss(mean, 1.5)) / 2)) for mean in liked]
        rated[person] = [(at, film + 1, value) for at, (film, value) in enumerate(zip(drawn, values, strict=True))]
    return rated


# --- Cold start


def cold_start(rated, scratch):
    """Lists of held-out users from a bot of few users; the order of users is one of many, the same in all columns."""
    users = sorted((u for u, mine in rated.items() if len(mine) >= 20), key=lambda u: u * 7919 % 10_007)
    known = {user: mine[: hidden_from(mine)] for user, mine in rated.items()}
    strangers, others = users[::5], [user for number, user in enumerate(users) if number % 5]
    half = others[1::2]
    profiles = {user: known[user] for user in strangers}
    print(f"{'people of the bot':>18}{'popularity':>12}{'alone':>12}{'archive of ' + str(len(half)):>18}")
    for count in PEOPLE:
        train = {user: known[user] for user in (others[::2] + half)[:count]}
        columns = [popularity(scratch, train, profiles, True)]
        columns += [
            with_archive(scratch, train, profiles, archive) for archive in ({}, {user: known[user] for user in half})
        ]
        scores = [fmean(judge(rated, known, strangers, lists)) for lists in columns]
        print(f"{count:>18}{scores[0]:>12.4f}{scores[1]:>12.4f}{scores[2]:>18.4f}", flush=True)


def with_archive(scratch, train, profiles, archive):
    """Our lists, learned from `train` and from an archive of these users in MovieLens' format."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        write(f"{folder}/train.csv", train)
        write(f"{folder}/profiles.csv", profiles)
        if archive:
            rows = [(u, film, rating / 2, at) for u in sorted(archive) for at, film, rating in archive[u]]
            films = sorted({row[1] for row in rows})
            for name, header, lines in (
                ("ratings", "userId,movieId,rating,timestamp", rows),
                ("links", "movieId,imdbId,tmdbId", [(film, film, film) for film in films]),
            ):
                text = "".join(",".join(map(str, line)) + "\n" for line in lines)
                Path(folder, f"{name}.csv").write_text(f"{header}\n{text}")
        ourselves(migrated(f"sqlite:///{folder}/first.sqlite3"), "judge", folder=folder)
        return lists_of(f"{folder}/recs.csv")


# --- Latency


def latency(url, database):
    migrated(url)
    ourselves(url, "fill", ratings=200_000, films=9_000)
    manage(url, "manage.py", "build_recommendations")
    for line in ourselves(url, "latency").strip().splitlines():
        print(f"{database}: {line}", flush=True)


def on_postgres(server):
    import psycopg

    name = f"kinoteka_bench_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            latency(f"{server.rpartition('/')[0]}/{name}", "PostgreSQL")
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


# --- Training


def train(ratings, films, scratch):
    path = scratch / f"{ratings}.sqlite3"
    url = migrated(f"sqlite:///{path}")
    ourselves(url, "fill", ratings=ratings, films=films)
    output, seconds, used = manage(url, "manage.py", "build_recommendations", "--force")
    work, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    summary = output.strip().rpartition("\n")[2]
    print(f"training: {seconds:.0f} s ({work:.0f} s of processors), {memory:.0f} MiB; {summary}", flush=True)
    for file in scratch.glob(f"{path.name}*"):
        file.unlink()


# --- In a process with a database


def child(options):
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django

    django.setup()
    if options.child == "fill":
        fill(options.ratings, options.films)
    elif options.child == "judge":
        judge_cold_start(Path(options.folder))
    else:
        for line in latencies():
            print(line)


def judge_cold_start(folder):
    from movies.models import Movie
    from ratings.recommendations import evaluation
    from ratings.recommendations.movielens import Archive
    from ratings.recommendations.recommender import UserProfile, top_movies
    from ratings.recommendations.training import train as learn

    evaluation.load_ratings(folder / "train.csv")
    archive = Archive(folder) if (folder / "links.csv").exists() else None
    if archive:  # as if the worker had fetched them
        Movie.objects.bulk_create(
            [Movie(pk=film) for film in set(archive.tmdb_ids.tolist()) - {0}], ignore_conflicts=True
        )
    learn(archive, force=True)
    profiles = evaluation.load_ratings(folder / "profiles.csv")
    with open(folder / "recs.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user", "item", "rank"])
        rows.writerows(
            (u, film, n) for u in sorted(profiles) for n, film in enumerate(top_movies(UserProfile.load(u), 10), 1)
        )


def fill(ratings, films):
    """People with lists of log-normal lengths of films by a power law, after eight tastes; the order means nothing."""
    import numpy as np

    from ratings.recommendations.evaluation import FileRating, insert_ratings

    people = max(5, ratings // 140)
    rng = np.random.default_rng(0)
    base = 1 / (np.arange(films) + 30) ** 1.05
    tastes = [np.cumsum(each / each.sum()) for each in (base * np.exp(rng.normal(0, 0.8, films)) for _n in range(8))]
    lengths = np.exp(rng.normal(0, 1.1, people))
    lengths = np.maximum(5, lengths * ratings / lengths.sum()).astype(int)
    known, met, rows = set(), set(), []
    for person, length in enumerate(lengths.tolist(), 1):
        mine = np.unique(np.searchsorted(tastes[rng.integers(8)], rng.random(int(length * 1.25))))
        mine = rng.permutation(mine[mine < films]) + 1
        values = np.clip(np.round(rng.normal(7, 2, len(mine)) * 2) / 2, 1, 10)
        rows += [
            FileRating(person, film, value, at)
            for at, (film, value) in enumerate(zip(mine.tolist(), values.tolist(), strict=True))
        ]
        if len(rows) > 50_000:
            insert_ratings(rows, met, known)
            rows = []
    if rows:
        insert_ratings(rows, met, known)
    describe_films(rng)


def describe_films(rng):
    """Genres as often as TMDb has them, a year, a length and one of many directors."""
    import numpy as np

    from movies.models import Movie

    ids, weights = list(SHARES), np.array(list(SHARES.values())) / sum(SHARES.values())
    films = list(Movie.objects.all())
    for film in films:
        film.genres = [int(genre) for genre in rng.choice(ids, rng.integers(1, 4), replace=False, p=weights)]
        film.release_date = date(int(rng.integers(1950, 2026)), 1, 1)
        film.runtime = int(rng.integers(70, 180))
        film.directors = [{"name": f"Director {rng.integers(len(films) // 4 + 1)}", "original_name": ""}]
    Movie.objects.bulk_update(films, ["genres", "release_date", "runtime", "directors"], batch_size=200)


def latencies():
    from movies.models import Movie
    from ratings.models import Rating
    from ratings.recommendations.recommender import Filters, recommend
    from users.models import User

    filters = {
        "": Filters(),
        ", comedies or dramas": Filters(genres=frozenset({35, 18}), without=frozenset({27})),
        ", comedies of the 1990s without horror": Filters(
            genres=frozenset({35}), without=frozenset({27}), years=(1990, 1999)
        ),
        ", westerns": Filters(genres=frozenset({37})),
    }

    rng = random.Random(1)
    films = list(Movie.objects.values_list("pk", flat=True))
    yield "SELECT 1: " + timings(*zip(*(measured(select_one) for _n in range(3 * TIMES)), strict=True))
    for size in PROFILES:
        took = defaultdict(list)
        for number in range(TIMES):
            user = User.objects.create(pk=10_000_000_000 + size * 1000 + number)
            Rating.objects.bulk_create(
                [
                    Rating(user=user, movie_id=film, normalized_rating=rng.randint(2, 20) / 2, rated_at=at)
                    for at, film in enumerate(rng.sample(films, size))
                ],
                batch_size=500,
            )
            for name, wanted in filters.items():
                took[name].append(measured(lambda: recommend(user.pk, filters=wanted)))  # noqa: B023  called at once
        for name, times in took.items():
            yield f"{size:>5} ratings{name}: " + timings(*zip(*times[5:], strict=True))
    yield f"group of {GROUP}, 200 ratings each: " + timings(*zip(*evenings(), strict=True))


def evenings():
    """What films are found for a group in: other people each time, of those with 200 ratings."""
    from ratings.recommendations.group import recommend_together

    people = [10_000_000_000 + 200 * 1000 + number for number in range(TIMES)]
    rng = random.Random(2)
    groups = [rng.sample(people, GROUP) for _n in range(TIMES)]
    return [measured(lambda: recommend_together(group, 8)) for group in groups][5:]  # noqa: B023  called at once


def select_one():
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchall()


def measured(call):
    """Milliseconds on the wall, and of processors, of ours and of the server's process together."""
    began = time.perf_counter(), time.process_time() + server_time()
    call()
    ended = time.perf_counter(), time.process_time() + server_time()
    return [(end - begin) * 1000 for begin, end in zip(began, ended, strict=True)]


def server_time():
    """Seconds that processors have worked for our connection's process at the server; 0 where that cannot be seen."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return 0.0
    connection.ensure_connection()
    try:
        text = Path(f"/proc/{connection.connection.info.backend_pid}/schedstat").read_text()
    except OSError:
        return 0.0
    return int(text.split()[0]) / 1e9


def timings(wall, work):
    return (
        f"{median(wall):5.1f} ms, p95 {quantiles(wall, n=20)[-1]:5.1f} ms"
        f" (processors {median(work):.1f} ms, p95 {quantiles(work, n=20)[-1]:.1f} ms)"
    )


if __name__ == "__main__":
    main()
