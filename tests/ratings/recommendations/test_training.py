"""Learning which films go together: what is written, when, and what happens when it goes wrong."""

import random
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from array import array

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from config.database import redis_client
from config.jobs.locks import lock
from config.models import Lease
from movies.models import Movie
from ratings.management.commands import build_recommendations as command
from ratings.models import Rating, SimilarMovies, TrainingRun
from ratings.recommendations import recommender, training_process
from ratings.tasks import build_recommendations
from tests.conftest import ROOT
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)
np = pytest.importorskip("numpy")

from ratings.recommendations import ease  # noqa: E402
from ratings.recommendations.movielens import Archive, ArchiveError  # noqa: E402
from ratings.recommendations.training import Stopped, delete_old_runs, train  # noqa: E402


def people(count, films=30, each=12, seed=1):
    """Ratings of people of two tastes: {person: {film: value}}; odd people love odd films."""
    dice = random.Random(seed)
    rated = {}
    for person in range(1, count + 1):
        mine = [film for film in range(1, films + 1) if film % 2 == person % 2 or dice.random() < 0.15]
        chosen = dice.sample(mine, min(each, len(mine)))
        rated[person] = {film: 9 if film % 2 == person % 2 else 3 for film in chosen}
    return rated


def save(rated, start=1_000_000):
    """Put ratings into the tables, each person's in the order of their dictionary."""
    User.objects.bulk_create([User(pk=person) for person in rated], ignore_conflicts=True)
    films = {film for mine in rated.values() for film in mine}
    Movie.objects.bulk_create(
        [Movie(pk=film, title=f"Film {film}") for film in sorted(films)], ignore_conflicts=True, batch_size=500
    )
    Rating.objects.bulk_create(
        [
            Rating(user_id=person, movie_id=film, normalized_rating=value, rated_at=start + place)
            for person, mine in rated.items()
            for place, (film, value) in enumerate(mine.items())
        ],
        batch_size=500,
    )


def rows():
    """(run, movie, neighbour, weight, place) of all that is written; place 0: not among the nearest."""
    return [
        (run, film, other, weight, place if place <= nearest else 0)
        for run, film, films, weights, nearest in SimilarMovies.objects.order_by("pk").values_list(
            "run_id", "movie_id", "movie_ids", "weights", "nearest"
        )
        for place, (other, weight) in enumerate(zip(array("i", films), array("f", weights), strict=True), 1)
    ]


# --- What is learned


def test_the_weights_are_those_of_the_method_worked_out_plainly():
    save(people(80))
    finished = train()
    rated = {}
    for person, film, value, moment in Rating.objects.order_by("user_id", "-rated_at", "movie_id").values_list(
        "user_id", "movie_id", "normalized_rating", "rated_at"
    ):
        rated.setdefault(person, []).append((film, float(value), moment))
    films = sorted({film for mine in rated.values() for film, _value, _time in mine})
    matrix = np.zeros((len(rated), len(films)))
    for row, mine in enumerate(rated.values()):
        mean = sum(value for _film, value, _time in mine) / len(mine)
        for film, value, _time in mine:
            matrix[row, films.index(film)] = max(0, 1 + 0.3 * (value - mean))
    model = ease.fit(ratings_of(rated), order=0.0)
    inverse = np.linalg.inv(matrix.T @ matrix + 300 * np.eye(len(films)))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    got = np.zeros_like(expected)
    for one, others, weights, nearest in model.by_movie():
        got[np.searchsorted(films, one), np.searchsorted(films, others)] = weights
        row = -inverse[films.index(one)] / np.sqrt(np.diag(inverse))
        row[films.index(one)] = -1
        assert np.allclose(row[np.searchsorted(films, others[:nearest])], np.sort(row)[::-1][:nearest], atol=1e-9)
        assert nearest == min(10, (row > 0).sum())
    assert np.abs(got - expected)[got != 0].max() < 1e-6
    assert (got != 0).sum() > len(films) * 9
    assert finished.movies == len(films)


def ratings_of(rated):
    return ease.read_ratings(
        ease.RatingChunk(np.full(len(mine), person), *(np.array(column) for column in zip(*mine, strict=True)))
        for person, mine in rated.items()
    )


def test_however_the_ratings_are_cut_into_chunks_they_are_read_the_same():
    dice = np.random.default_rng(3)
    person = np.sort(dice.integers(0, 40, 1000))
    films, values, times = dice.permutation(1000) + 1, dice.integers(1, 11, 1000), dice.integers(0, 50, 1000)
    columns = (person, films, values, times)
    whole = ease.read_ratings([ease.RatingChunk(*columns)])
    for size in (1, 7, 333):
        parts = ease.read_ratings(
            ease.RatingChunk(*(column[at : at + size] for column in columns)) for at in range(0, 1000, size)
        )
        for name in ("movie_ids", "user_starts", "columns", "weights", "later"):
            assert np.array_equal(getattr(whole, name), getattr(parts, name)), (size, name)
    assert whole.n_users == len(np.unique(person))


def test_the_inverse_by_users_is_the_same_as_by_movies():
    dice = np.random.default_rng(5)
    rated = {p: [(int(f) + 1, float(dice.integers(1, 11)), t) for t, f in enumerate(dice.permutation(300)[:30])]
             for p in range(60)}  # fmt: skip
    ratings = ratings_of(rated)
    parts = [(ratings.user_starts, 0.4), (ratings.session_starts(20), 0.3), (ratings.session_starts(100), 0.3)]
    by_users = ease._inverse_by_users(ratings, parts, 300.0, 2, lambda words: None)
    by_films = ease.fit(ratings, order=1.0).inverse
    assert np.abs(by_users - by_films).max() < 1e-7
    assert np.allclose(by_users, by_films, rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("films", [0, 1, 64, 150, 300])
def test_a_matrix_is_inverted_in_its_own_memory(films, monkeypatch):
    monkeypatch.setattr(ease, "TILE_ROWS", 90)
    rated = np.random.default_rng(0).random((400, films), dtype=np.float32)
    matrix = rated.T @ rated + 3 * np.eye(films, dtype=np.float32)
    inverse = np.linalg.inv(matrix.astype(float))
    ease._invert(matrix)
    assert np.allclose(matrix, inverse, atol=1e-5)
    assert (matrix == matrix.T).all()


@pytest.mark.parametrize("value", [np.nan, -1.0])
def test_ratings_that_are_not_finite_raise_an_error(value):
    matrix = np.eye(1000, dtype=np.float32)
    matrix[700, 700] = value
    with pytest.raises(ArithmeticError, match="not positive definite past 6.*: are there numbers"):
        ease._invert(matrix)


def test_films_past_the_dense_limit_get_neighbours_too_and_none_comes_twice():
    ratings = ratings_of({p: [(f, v, f) for f, v in mine.items()] for p, mine in people(60, films=80).items()})
    model = ease.fit(ratings, dense_limit=40)
    led_to, tail = {}, set(ratings.movie_ids.tolist()) - set(ratings.movie_ids[model.head].tolist())
    for one, others, weights, nearest in model.by_movie():
        assert one not in led_to
        assert np.isfinite(weights).all()
        assert len(others) == len(weights) == len(set(others.tolist())) >= nearest > 0
        led_to[one] = dict(zip(others.tolist(), weights.tolist(), strict=True))
        assert one not in led_to[one]
    assert len(tail) == 40
    assert set(led_to) == set(ratings.movie_ids.tolist())
    for one in tail:  # and what it leads to leads back to it
        for other in led_to[one].keys() - tail:
            assert led_to[other][one] > 0


@pytest.mark.parametrize(
    "rated",
    [
        {1: {5: 7}},
        {1: {5: 10, 6: 10}},
        {1: dict.fromkeys(range(1, 50), 10), 2: {1: 10, 2: 10}},
        {person: {1: 8, person + 1: 6} for person in range(1, 40)},
    ],
    ids=["one rating", "two of 10", "all of 10", "a film that everybody has rated"],
)
def test_odd_ratings_are_learned_from_without_an_error(rated):
    save(rated)
    assert train().ratings == sum(map(len, rated.values()))
    assert all(abs(weight) < 2 for _run, _film, _other, weight, _place in rows())


def test_times_that_say_nothing_switch_the_order_off():
    rated = people(60, films=60, each=25)
    save(rated)
    Rating.objects.update(rated_at=5)
    assert train().order_weight == 0


def test_a_person_with_ten_thousand_ratings_is_learned_from_and_gets_recommendations():
    save({1: {film: 1 + film % 10 for film in range(1, 10_001)}, **people(30, films=40)})
    Movie.objects.bulk_create([Movie(pk=20_000 + n, title="new", vote_count=900, vote_average=8) for n in range(30)])
    train()
    assert len(recommender.recommend(1)) == 10


# --- How it is written


def test_a_run_in_progress_changes_no_recommendation():
    save(people(40))
    first = train()
    seen = []

    def look(words):
        assert TrainingRun.objects.current().pk == first.pk
        seen.append(recommender.recommend(1))

    save({99: {1: 9, 3: 9, 5: 2}})
    second = train(force=True, report=look)
    assert len(seen) > 3
    assert all(films == seen[0] for films in seen)
    assert TrainingRun.objects.current().pk == second.pk > first.pk


def test_a_profile_of_the_run_before_still_finds_its_rows():
    save(people(40))
    profile_before = (train(), recommender.UserProfile.load(1))[1]
    expected = recommender.top_movies(profile_before, 10)
    train(force=True)
    assert recommender.top_movies(profile_before, 10) == expected


def test_the_rows_of_no_more_than_two_runs_are_retained():
    save(people(40))
    for _again in range(4):
        train(force=True)
    assert SimilarMovies.objects.values("run_id").distinct().count() == 2


def test_a_run_is_skipped_where_little_has_changed_and_not_with_force():
    save(people(40))
    first = train()
    assert train() is None
    assert TrainingRun.objects.current().checked_at >= first.started_at
    assert train(force=True).pk > first.pk
    save({500: dict.fromkeys(range(1, 30), 7)}, start=2_000_000_000)
    assert train() is not None


def test_a_run_that_is_stopped_leaves_the_rows_as_they_were():
    save(people(40))
    train()
    before, stop = rows(), threading.Event()

    def stop_while_writing(words):
        if words.startswith("writing"):
            stop.set()

    with pytest.raises(Stopped):
        train(force=True, report=stop_while_writing, stop=stop)
    assert TrainingRun.objects.current().neighbours
    delete_old_runs(except_for=[TrainingRun.objects.current()])
    assert rows() == before


def test_a_run_killed_at_any_moment_changes_nothing_and_the_next_one_cleans_up(start):
    save(people(300, films=400, each=60))
    finished = train()
    before = recommender.recommend(1)
    for words in ("reading", "counting", "weighing", "writing"):
        process = start("build_recommendations", "--force")
        process.wait_for_line(words)
        process.kill()
        serving = TrainingRun.objects.current()
        assert serving.pk == finished.pk or "switching" in process.output
        assert sum(run == serving.pk and film > 0 for run, film, *_row in rows()) == finished.neighbours
        assert recommender.recommend(1) == before
        lease_runs_out()
    again = train(force=True)
    assert SimilarMovies.objects.exclude(run_id__in=[serving.pk, again.pk]).count() == 0
    assert recommender.recommend(1) == before


def test_the_rows_of_a_killed_run_are_deleted_even_where_the_next_one_is_skipped():
    save(people(40))
    before, serving = train(), train(force=True)
    dead = TrainingRun.objects.create(started_at=serving.started_at)
    SimilarMovies.objects.create(run_id=dead.pk, movie_id=1, movie_ids=b"", weights=b"")
    assert train() is None
    assert not TrainingRun.objects.running().exists()
    retained = set(SimilarMovies.objects.values_list("run_id", flat=True))
    assert retained == {before.pk, serving.pk}  # a request may just have read the number of the one before


def lease_runs_out():
    """What half a minute does to the lease of a killed process."""
    Lease.objects.filter(name="ratings.recommendations").delete()
    if settings.REDIS_URL:
        redis_client().delete("lease:ratings.recommendations")


def test_two_runs_are_never_concurrent():
    save(people(20))
    busy = pytest.raises(CommandError, match="Another process is training")
    with lock("ratings.recommendations"), busy:
        call_command("build_recommendations")
    assert not TrainingRun.objects.exists()


def test_the_command_shows_what_it_does_and_what_came_of_it(capsys):
    save(people(40))
    call_command("build_recommendations")
    call_command("build_recommendations")
    said = capsys.readouterr().out
    assert "reading the ratings\n" in said
    assert "neighbours of 30 movies, from" in said
    assert "ratings of 40 users" in said
    assert "Little has changed" in said


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's client is not Python's")
def test_a_plain_client_reads_and_writes_the_table():
    save(people(40))
    train()
    with sqlite3.connect(connection.settings_dict["NAME"]) as client:
        columns = "COUNT(*), SUM(length(movie_ids)), SUM(length(weights)), MIN(nearest), MAX(nearest)"
        found = client.execute(f"SELECT {columns} FROM similar_movies").fetchone()
        client.execute("INSERT INTO similar_movies VALUES (999, 1, x'02000000', x'0000003f', 1)")
    client.close()
    every = rows()
    assert found == (31, 4 * (len(every) - 1), 4 * (len(every) - 1), 0, 10)
    assert (999, 1, 2, 0.5, 1) in every


def test_movies_that_neighbours_lead_to_and_the_table_lacks_are_queued(tmp_path):
    save(people(40))
    train(Archive(movielens(tmp_path)))
    assert unread() == set(range(101, 131))


def unread():
    """The films of which only the id is known, for the details worker to read."""
    return set(Movie.objects.awaiting_details().filter(title="").values_list("pk", flat=True))


def test_movies_that_nothing_leads_to_any_more_are_no_longer_queued(tmp_path):
    save(people(40))
    call_command("build_recommendations", movielens=str(movielens(tmp_path)))
    tomorrow = int(time.time()) + 86_400
    Movie.objects.filter(pk=101).update(details_next_try_at=tomorrow, details_error="HTTP 500")
    call_command("build_recommendations", force=True)
    assert unread() == set(range(102, 131))
    assert Movie.objects.get(pk=101).details_next_try_at == tomorrow
    call_command("build_recommendations", without_movielens=True)
    assert not Movie.objects.filter(title="").exists()


# --- By night, in a process of its own


def test_a_run_is_due_once_a_night_and_as_soon_as_there_is_a_rating():
    assert not training_process.is_due()
    save(people(20))
    assert training_process.is_due()
    assert build_recommendations() == "due"
    train()
    assert not training_process.is_due()
    TrainingRun.objects.update(started_at=1)
    assert training_process.is_due()
    train(force=True)
    assert not training_process.is_due()


def test_runs_that_never_finish_are_not_started_for_ever():
    save(people(20))
    for _again in range(training_process.MAX_UNFINISHED_RUNS):
        assert training_process.is_due()
        TrainingRun.objects.create(started_at=int(time.time()))
    assert not training_process.is_due()


def test_the_worker_trains_in_another_process_and_returns_its_last_line(start):
    save(people(20))
    worker = start(
        "shell", "-c", "from ratings.tasks import train_recommendations; print('said:', train_recommendations())"
    )
    assert worker.wait(60) == 0, worker.output
    worker.wait_for_line("said: ")
    assert "from" in worker.output.partition("said: ")[2]
    assert TrainingRun.objects.current().users == 20


def test_workers_and_bots_do_not_load_numpy():
    script = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'; django.setup();"
        "import ratings.bot, ratings.tasks, ratings.recommendations.recommender, config.jobs.schedules;"
        "print(sorted(name for name in sys.modules if name in ('numpy', 'scipy', 'ratings.recommendations.training')))"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# --- MovieLens


def movielens(folder, people_count=60, ratings=None, links=None):
    """A small archive in MovieLens' shape, with made-up people; MovieLens' film n is TMDb's 100 + n."""
    rated = people(people_count, seed=7)
    lines = [
        f"{person},{film},{value / 2},{1000 + place}"
        for person, mine in rated.items()
        for place, (film, value) in enumerate(mine.items())
    ]
    text = "userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n" if ratings is None else ratings
    known = "".join(f"{n},{n:07d},{100 + n}\n" for n in range(1, 31))
    (folder / "ratings.csv").write_text(text)
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n" + known if links is None else links)
    return folder


def zipped(folder):
    with zipfile.ZipFile(folder / "archive.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("ratings.csv", "links.csv"):
            file.write(folder / name, f"ml-made-up/{name}")
    return folder / "archive.zip"


def test_an_archive_is_learned_from_and_none_of_its_users_is_saved(tmp_path, capsys):
    call_command("build_recommendations", "--movielens", str(zipped(movielens(tmp_path))))
    run = TrainingRun.objects.current()
    assert (run.users, run.archive_users) == (0, 60)
    assert run.neighbours > 300
    assert not User.objects.exists()
    assert not Rating.objects.exists()
    assert not Movie.objects.exclude(title="").exists(), "nothing of a film but its id, which its details need"
    assert "no commercial use" in capsys.readouterr().out


def test_an_archive_is_learned_from_every_night_until_it_is_switched_off(tmp_path):
    folder = movielens(tmp_path)
    call_command("build_recommendations", movielens=str(folder))
    call_command("build_recommendations", force=True)
    assert TrainingRun.objects.current().archive_users == 60
    save(people(20))
    call_command("build_recommendations", without_movielens=True)
    assert TrainingRun.objects.current().archive_users == 0
    call_command("build_recommendations", movielens=str(folder))
    (folder / "ratings.csv").unlink()
    with pytest.raises(CommandError, match="no such file"):
        call_command("build_recommendations", force=True)
    assert TrainingRun.objects.current().archive_users == 60


def test_a_path_that_is_empty_is_refused_and_the_archive_stays(tmp_path):
    call_command("build_recommendations", movielens=str(movielens(tmp_path)))
    for empty in ("", " "):
        with pytest.raises(CommandError, match="--movielens wants a path"):
            call_command("build_recommendations", "--movielens", empty, "--force")
    assert TrainingRun.objects.count() == 1


HEADER = "userId,movieId,rating,timestamp\n"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("ratings", "links", "why"),
    [
        ("", None, "no MovieLens file"),
        ("Title,Year\nDune,2021\n", None, "no MovieLens file"),
        (HEADER, None, "no rating of a movie"),
        (HEADER + "1,1,4.0,5\n1,two,4.0,5\n", None, "line 3: '1,two,4.0,5' is not userId,movieId,rating,timestamp"),
        (HEADER + "1,1,4.0\n", None, "line 2: '1,1,4.0' is not"),
        (HEADER + "1,1,4.0,5\n\n1,2,4.0,5\n1,3,4", None, "line 5: '1,3,4' is not"),
        (HEADER + "1,1,4.0,5\n" * 300_000 + "1,2,4.", None, "line 300002: '1,2,4.' is not"),
        (HEADER + "1,1,4.0,5\n" * 200_000 + "\n1,2,6,5\n", None, "line 200003: '1,2,6,5' is no rating of 0.5-5 stars"),
        (HEADER + "1,1,50,5\n", None, "no rating of 0.5-5 stars"),
        (HEADER + "1,1,nan,5\n", None, "no rating of 0.5-5 stars"),
        (HEADER + "1,1,1e300,5\n", None, "no rating of 0.5-5 stars"),
        (HEADER + "1,1,4.0,1e300\n", None, "no rating of 0.5-5 stars"),
        (HEADER + "1,1,4.0,inf\n", None, "no rating of 0.5-5 stars"),
        (HEADER + "1," + "1" * 5000 + ",4.0,5\n", None, "is not userId,movieId,rating,timestamp"),
        (HEADER + "2,1,4.0,5\n1,2,4.0,5\n", None, "not sorted"),
        (HEADER + "1,999999,4.0,5\n", None, "no rating of a movie"),
        (None, "movieId,imdbId,tmdbId\n1,0000001,\n", "holds no TMDb ids"),
        (None, "movieId,imdbId,tmdbId\n1,0000001,x\n", "links.csv"),
    ],
)
def test_what_is_no_archive_is_refused_in_words_and_changes_nothing(tmp_path, ratings, links, why):
    save(people(20))
    train()
    before = TrainingRun.objects.current().pk
    movielens(tmp_path, ratings=ratings, links=links)
    with pytest.raises(CommandError, match=why):
        call_command("build_recommendations", movielens=str(tmp_path))
    assert TrainingRun.objects.current().pk == before


def test_a_broken_or_missing_archive_is_refused_in_words(tmp_path):
    whole = zipped(movielens(tmp_path)).read_bytes()
    broken = tmp_path / "broken.zip"
    for content in (b"", b"no zip at all", whole[: len(whole) // 2]):
        broken.write_bytes(content)
        with pytest.raises(ArchiveError):
            Archive(broken)
    damaged = bytearray(whole)
    damaged[200:400] = b"\xff" * 200
    broken.write_bytes(damaged)
    with pytest.raises(ArchiveError):
        list(Archive(broken).chunks())
    for path in (tmp_path / "nowhere", tmp_path / "nowhere.zip"):
        with pytest.raises(ArchiveError, match="no such file"):
            Archive(path)
    (tmp_path / "links.csv").write_bytes(b"movieId,imdbId,tmdbId\n\xff\xfe\n")
    with pytest.raises(ArchiveError, match="not a text"):
        Archive(tmp_path)


def test_an_archive_of_the_old_format_is_named_as_such(tmp_path):
    (tmp_path / "ratings.dat").write_text("1::1193::5::978300760\n")
    with zipfile.ZipFile(tmp_path / "ml-1m.zip", "w") as file:
        file.write(tmp_path / "ratings.dat", "ml-1m/ratings.dat")
    for path in (tmp_path, tmp_path / "ml-1m.zip"):
        with pytest.raises(ArchiveError, match="without TMDb ids, as ml-1m"):
            Archive(path)


def test_a_movie_rated_by_all_and_a_user_who_has_rated_all_movies_are_no_obstacle():
    rated = people(40, films=60)
    for person, mine in rated.items():
        mine[500] = 1 + person % 10
    rated[1] = dict.fromkeys([*range(1, 61), 500], 8)
    save(rated)
    train()
    assert all(abs(weight) < 2 for _run, _film, _other, weight, _place in rows())
    for person in (1, 2):
        assert not set(recommender.top_movies(recommender.UserProfile.load(person), 10)) & set(rated[person])
    assert len(recommender.recommend(2)) == 10


def test_ratings_of_unknown_films_are_left_out_and_counted(tmp_path, capsys):
    folder = movielens(tmp_path)
    with open(folder / "ratings.csv", "a") as file:
        file.write("61,5,4.0,5\n61,4000000,4.0,6\n62,31,3.0,5\n")
    call_command("build_recommendations", movielens=str(folder))
    assert "2 ratings of movies without a TMDb id were left out" in capsys.readouterr().out
    assert TrainingRun.objects.current().archive_users == 62


# --- Evaluation from outside


def csv_of(rated):
    lines = [f"{p},{film},{value},{t}" for p, mine in rated.items() for t, (film, value) in enumerate(mine.items())]
    return "user,item,rating,rated_at\n" + "\n".join(lines) + "\n"


def judged(folder):
    call_command("evaluate_recommendations", str(folder), output=str(folder / "recs.csv"))
    lines = (folder / "recs.csv").read_text().split()
    assert lines[0] == "user,item,rank"
    lists = {}
    for line in lines[1:]:
        user, item, rank = map(int, line.split(","))
        lists.setdefault(user, []).append(item)
        assert rank == len(lists[user])
    return lists


def test_an_evaluation_writes_twenty_new_films_for_each_person(tmp_path):
    rated = people(60, films=80, each=15)
    (tmp_path / "train.csv").write_text(csv_of(rated))
    lists = judged(tmp_path)
    assert lists.keys() == rated.keys()
    assert all(len(set(films)) == 20 for films in lists.values())
    assert not any(set(films) & set(rated[person]) for person, films in lists.items())
    right = sum(film % 2 == person % 2 for person, films in lists.items() for film in films[:5])
    assert right > 0.8 * 5 * 60
    profile = recommender.UserProfile.load(1)
    assert lists[1] == list(recommender.top_movies(profile, 20))


def test_users_of_profiles_are_added_after_the_training(tmp_path):
    (tmp_path / "train.csv").write_text(csv_of(people(60, films=80)))
    strangers = {person + 1000: mine for person, mine in people(5, films=80, seed=9).items()}
    (tmp_path / "profiles.csv").write_text(csv_of(strangers))
    assert judged(tmp_path).keys() == strangers.keys()
    assert TrainingRun.objects.current().users == 60


def test_an_evaluation_refuses_a_database_that_is_not_empty(tmp_path):
    (tmp_path / "train.csv").write_text(csv_of(people(5)))
    User.objects.create(pk=1)
    with pytest.raises(CommandError, match="not empty"):
        judged(tmp_path)
    assert not Movie.objects.exists()


@pytest.mark.parametrize(
    "line", ["1,2", "1,2,eleven,5", "1,2,11,5", "1,2,0,5", "1,2,nan,5", "x,2,5,5", "1,2.5,5,5", "1,2,5,soon"]
)
@pytest.mark.parametrize("name", ["train", "profiles"])
def test_an_evaluation_says_which_line_is_wrong_before_it_writes_anything(tmp_path, line, name):
    for each in ("train", "profiles"):
        (tmp_path / f"{each}.csv").write_text(csv_of({1: {1: 5}}) + (f"{line}\n" if each == name else ""))
    with pytest.raises(CommandError, match=rf"{name}\.csv:3"):
        judged(tmp_path)
    assert not User.objects.exists()
    assert not (tmp_path / "recs.csv").exists()


@pytest.mark.parametrize("strange", ["unwritable", "no folder", "no train.csv"])
def test_an_evaluation_that_cannot_end_well_does_not_begin(tmp_path, strange):
    if strange != "no train.csv":
        (tmp_path / "train.csv").write_text(csv_of(people(5)))
    output = tmp_path / {"unwritable": "", "no folder": "nowhere/recs.csv"}.get(strange, "recs.csv")
    with pytest.raises(CommandError, match="directory|No such file"):
        call_command("evaluate_recommendations", str(tmp_path), output=str(output))
    assert not TrainingRun.objects.exists()


def as_lists(folder, text):
    (folder / "train.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    lists = judged(folder)
    for model in (SimilarMovies, TrainingRun, Rating, User, Movie):
        model.objects.all().delete()
    return lists


def test_however_a_file_of_ratings_is_written_the_lists_are_the_same(tmp_path):
    plain = csv_of(people(30, films=60))
    lines = [line.split(",") for line in plain.split()]
    expected = as_lists(tmp_path, plain)
    for text in (
        b"\xef\xbb\xbf" + plain.replace("\n", "\r\n").encode(),
        "\n".join(",".join((row[3], row[2], row[1], row[0])) for row in lines),
        "\n".join(",".join(f'"{cell}"' for cell in row) + ",more" for row in lines) + "\n\n",
        plain.replace("\n", "\n" + ",".join((*lines[1][:2], "1.0", "7")) + "\n", 1),  # the last one counts
        "\n".join(
            [",".join(lines[0]), *(",".join((*row[:2], f"{float(row[2])}", f"{row[3]}.0")) for row in lines[1:])]
        ),
        "\n".join(",".join(row) for row in lines[1:]),
    ):
        assert as_lists(tmp_path, text) == expected


@pytest.mark.parametrize("cut", [",5\n", ",\n", "\n"], ids=["all the same", "empty", "no column"])
def test_a_file_without_times_is_accepted(tmp_path, cut):
    rated = people(30, films=60)
    rows = "".join(f"{person},{film},{value}{cut}" for person, mine in rated.items() for film, value in mine.items())
    lists = as_lists(tmp_path, ("user,item,rating,rated_at\n" if cut.startswith(",") else "user,item,rating\n") + rows)
    assert all(len(films) == 20 for films in lists.values())


def test_items_that_are_no_ids_of_films_are_judged_too_and_written_as_they_were(tmp_path):
    rated = people(30, films=60)
    far = {person: {film * 10**12: value for film, value in mine.items()} for person, mine in rated.items()}
    nought = {person: {film - 1: value for film, value in mine.items()} for person, mine in rated.items()}
    expected = as_lists(tmp_path, csv_of(rated))
    assert as_lists(tmp_path, csv_of(far)) == {p: [film * 10**12 for film in films] for p, films in expected.items()}
    assert as_lists(tmp_path, csv_of(nought)) == {p: [film - 1 for film in films] for p, films in expected.items()}


def test_who_has_rated_nearly_everything_gets_twenty_films_as_long_as_there_are_twenty(tmp_path):
    rated = people(40, films=120, each=40)
    rated[1] = {film: 1 + film % 10 for film in range(1, 101)}
    rated[2] = {film: 1 + film % 10 for film in range(1, 111)}
    rated[3] = {1: 7}
    rated[4] = {500: 9}
    rated[5] = dict.fromkeys(range(20, 60), 10)
    lists = as_lists(tmp_path, csv_of(rated))
    assert [len(lists[person]) for person in (1, 2, 3, 4, 5)] == [20, 11, 20, 20, 20]
    assert lists[1] != lists[2]


def test_movies_of_profiles_that_the_model_does_not_know_are_no_obstacle(tmp_path):
    (tmp_path / "train.csv").write_text(csv_of(people(60, films=80)))
    (tmp_path / "profiles.csv").write_text(csv_of({1001: {900: 9, 901: 8, 3: 10}, 1002: {900: 9}}))
    lists = judged(tmp_path)
    assert {len(films) for films in lists.values()} == {20}
    assert not {900, 901, 3} & set(lists[1001])


def test_an_evaluation_needs_no_more_than_an_address_of_a_database(start, tmp_path):
    (tmp_path / "train.csv").write_text(csv_of(people(20, films=60)))
    url = f"sqlite:///{tmp_path}/fresh.sqlite3"
    for times in (1, 2):
        command = start(
            "evaluate_recommendations", str(tmp_path), "--output", f"{tmp_path}/{times}.csv", DATABASE_URL=url
        )
        assert command.wait(120) == (0 if times == 1 else 1), command.output
    assert "not empty" in command.output
    assert not (tmp_path / "2.csv").exists()
    assert len((tmp_path / "1.csv").read_text().split()) == 1 + 20 * 20


@pytest.fixture
def before_rows_by_film():
    """Tables as they were when each neighbour had a row of its own."""
    executor = MigrationExecutor(connection)
    executor.migrate([("ratings", "0006_builds_in_the_office")])
    yield executor.loader.project_state([("ratings", "0006_builds_in_the_office")]).apps
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def test_an_upgrade_preserves_the_neighbours_in_use(before_rows_by_film):
    Old, Run = (before_rows_by_film.get_model("ratings", name) for name in ("Neighbour", "Build"))
    before, serving, died = (Run.objects.create(started_at=1, finished_at=end) for end in (2, 3, None))
    pairs = [(0, 5, 0.25, 0), (5, 9, 0.5, 2), (5, 7, -0.125, 0), (5, 6, 0.75, 1), (5, 3, 0.125, 0)]
    for run in (before, serving, died):
        Old.objects.bulk_create(
            Old(build_id=run.pk, movie_id=film, neighbour_id=other, weight=weight, place=place)
            for film, other, weight, place in pairs
        )
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    assert rows() == [(serving.pk, *pairs[at]) for at in (0, 3, 1, 4, 2)]
    assert recommender.similar_movie_ids(5) == [6, 9]


def test_a_step_that_does_not_notice_is_ended_a_moment_after_sigterm(monkeypatch):
    ended = []
    monkeypatch.setattr(command, "MAX_STOP_SECONDS", 0)
    monkeypatch.setattr(command.os, "_exit", ended.append)
    run = TrainingRun.objects.create(started_at=1)
    stop = threading.Event()
    stop.set()
    command.end_soon(stop)
    run.refresh_from_db()
    assert (ended, run.error) == ([130], "stopped")
