"""From SQLite to PostgreSQL with everything, once and for real."""

import contextlib
import re
import shutil
import sqlite3
import uuid

import psycopg
import pytest
from django.db import connection

from tests.conftest import wait_until
from tests.helpers.servers import Postgres, migrate

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="the way leads to PostgreSQL"),
]

GROW = """
import time
from datetime import date
from decimal import Decimal
from django.contrib.auth.models import Group, User as Operator
from django.utils import timezone
from django_q.models import Task
from config.models import Heartbeat, MetricCount, Update
from movies.models import Movie
from ratings.models import Import, PendingWrite, Rating
from users.models import SessionToRevoke, RequestToken, User
Movie.objects.bulk_create(
    Movie(id=n, title=f"Фильм {n} «Ё» 'q' \\\\ \\t \\n %s 🎬", original_title="a\\0b" if n == 7 else "x",
          release_date=date(1900 + n % 120, 1 + n % 12, 1) if n % 5 else None, vote_average=n % 100 / 10,
          popularity=n / 7, poster_path="/p.jpg", poster_status=2, telegram_file_id=f"file-{n}", width=2000, height=9)
    for n in range(1, 12001)
)
for n in range(1, 31):
    user = User.objects.create(pk=7_000_000_000 + n)
    if n % 2:
        user.connect(n, "5e55" * 10)
    Rating.objects.bulk_create(
        Rating(user=user, movie_id=m, tmdb_rating=value, normalized_rating=max(Decimal(1), value), rated_at=m)
        for m in range(n, 600, 3) for value in [Decimal(m % 20 + 1) / 2])
    names = {"left_out": {"1": {"title": "т"}}}
    Import.objects.create(user=user, started_at=1, reader_state={"page": n, "seen": ["é", None, 1.5]}, names=names)
PendingWrite.objects.create(user=user, movie_id=5, rating=None, base=Decimal("7.5"))
SessionToRevoke.objects.create(session_id="x")
RequestToken.objects.create(user=user, token="x", expires_at=2**40)
operator = Operator.objects.create_superuser("root", password="p")
Group.objects.create(name="friends").user_set.add(operator)
now = timezone.now()
values = {"args": (1, "é"), "kwargs": {"k": {1, 2}}, "result": [None]}
Task.objects.create(id="a" * 32, name="one", func="f", started=now, stopped=now, **values)
Update.objects.create(update_id=2**40, chat="1", body="{}", received_at=1.5)
Heartbeat.objects.create(kind="bot", name="here", seen_at=time.time())
MetricCount.objects.create(name="x", minute=60, number=2**40)
"""
SUMS = """
import hashlib
from django.apps import apps
from django.db import connection
for model in apps.get_models(include_auto_created=True):
    if model._meta.managed and not model._meta.proxy:
        fields = [f.attname for f in model._meta.concrete_fields if f.column]
        rows = sorted(repr(row).replace("\\\\x00", "") for row in model._base_manager.values_list(*fields))
        print("SUM", model._meta.db_table, len(rows), hashlib.sha256("".join(rows).encode()).hexdigest()[:16])
"""


@contextlib.contextmanager
def new_database():
    """The address of a new database on the server of the tests."""
    name = f"test_move_{uuid.uuid4().hex[:8]}"
    server = connection.settings_dict
    address = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}".format(**server)
    with psycopg.connect(f"{address}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield f"{address}/{name}"
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_postgres():
    """The address of a new database of this test alone."""
    with new_database() as address:
        yield address


@pytest.fixture(scope="module")
def unused_postgres(django_db_setup):
    """The address of a database that the first refused move gives our tables, and that stays without rows."""
    with new_database() as address:
        yield address


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    """A SQLite file with our tables, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "new.sqlite3"
    migrate(f"sqlite:///{path}")
    return path


def run(start, *command, **variables):
    process = start(*command, **{"REDIS_URL": "", **variables})
    assert process.wait(120) == 0, process.output
    return process


def sums(start, url):
    process = run(start, "shell", "--verbosity", "0", "-c", SUMS, DATABASE_URL=url)
    wait_until(lambda: any("user_movie_ratings" in line for line in process.lines))
    return {line.split()[1]: line.split()[2:] for line in process.lines if line.startswith("SUM ")}


def test_everything_is_carried_over_counted_and_works_on(start, tmp_path, migrated, empty_postgres):
    sqlite = f"sqlite:///{shutil.copy(migrated, tmp_path / 'grown.sqlite3')}"
    run(start, "shell", "--verbosity", "0", "-c", GROW, DATABASE_URL=sqlite)
    before = sums(start, sqlite)
    assert before["user_movie_ratings"][0] == str(sum(len(range(n, 600, 3)) for n in range(1, 31)))

    move = run(start, "migrate_to_postgres", "--from", sqlite, "--to", empty_postgres, DATABASE_URL=sqlite)
    wait_until(lambda: "are in PostgreSQL" in move.output)
    assert any(line.split() == ["movies", "12000", "→", "12000"] for line in move.lines), move.output
    assert sums(start, empty_postgres) == before

    again = start("migrate_to_postgres", "--from", sqlite, "--to", empty_postgres)
    assert again.wait() != 0
    assert "The target is not empty" in again.output
    assert "Traceback" not in again.output

    new = """
from ratings.models import Import
from users.models import User
assert Import.objects.create(user=User.objects.create(pk=1), started_at=1).pk == 31
assert User.objects.get(pk=7_000_000_001).session_id == "5e55" * 10
"""
    run(start, "shell", "--verbosity", "0", "-c", new, DATABASE_URL=empty_postgres)


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("sqlite:////nowhere/at/all.sqlite3", "postgres://x@127.0.0.1:9/x", "There is no file"),
        ("postgres://x@127.0.0.1:9/x", "postgres://x@127.0.0.1:9/x", "The source must be SQLite"),
        ("nonsense", "postgres://x@127.0.0.1:9/x", "The source must be SQLite"),
    ],
)
def test_a_move_that_cannot_be_made_is_said_in_one_sentence(start, source, target, words):
    move = start("migrate_to_postgres", "--from", source, "--to", target)
    assert move.wait() != 0
    assert words in move.output
    assert "Traceback" not in move.output


@pytest.fixture
def small(migrated, tmp_path):
    """A SQLite installation with three films, whose tables take what PostgreSQL's would not."""
    path = shutil.copy(migrated, tmp_path / "small.sqlite3")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        database.executemany("INSERT INTO movies (id, title) VALUES (?, 'x')", [(7,), (8,), (9,)])
        database.execute("INSERT INTO users (telegram_user_id) VALUES (5)")
        columns = "telegram_user_id, started_at, reader_state, names"
        database.execute(f"INSERT INTO imports ({columns}) VALUES (5, 1, '{{}}', '{{}}')")
        yield database, f"sqlite:///{path}"


def refused(start, source, target, **variables):
    """The one sentence with which a move is refused."""
    move = start("migrate_to_postgres", "--from", source, "--to", target, **variables)
    assert move.wait() != 0
    assert "Traceback" not in move.output
    return move.lines[-1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE users SET language = 'a-very-long-one'", "users, row telegram_user_id 5, column language: value too"),
        ("UPDATE movies SET vote_count = 3000000000 WHERE id = 8", "movies, row id 8, column vote_count: value "),
        ("UPDATE movies SET runtime = 'abc' WHERE id = 8", "movies, row id 8: Field 'runtime' expected a number"),
        ("UPDATE movies SET poster_status = 9 WHERE id = 9", "movies, row id 9: new row .* violates check constraint"),
        ("UPDATE movies SET release_date = '1999-13-99' WHERE id = 8", "movies, row id 8: month must be in 1..12"),
        ("UPDATE movies SET title = x'ff41' WHERE id = 8", "movies, row id 8: title is a text, not bytes"),
        ("UPDATE movies SET title = CAST(x'ff41' AS text) WHERE id = 9", "movies, row id 9: Could not decode to UTF-8"),
        (
            """UPDATE imports SET reader_state = '{"a": "\\u0000"}'""",
            "imports, row id 1, column reader_state: unsupported Unicode",
        ),
        ("UPDATE imports SET telegram_user_id = 6", "violates foreign key constraint"),
    ],
)  # fmt: skip
def test_a_row_that_postgresql_cannot_take_is_named_and_nothing_is_moved(start, small, unused_postgres, change, words):
    database, source = small
    database.execute(change)
    said = refused(start, source, unused_postgres)
    assert said.startswith("CommandError: Nothing was moved")
    assert re.search(words, said), said
    with psycopg.connect(unused_postgres) as target:
        assert target.execute("SELECT count(*) FROM movies").fetchone() == (0,)


def test_a_target_in_use_is_left_as_it_is(start, small, empty_postgres):
    _database, source = small
    with psycopg.connect(empty_postgres) as target:
        target.execute("CREATE TABLE movies (id int)")
    assert "The target has tables of another program, so nothing was moved: movies." in refused(
        start, source, empty_postgres
    )
    with psycopg.connect(empty_postgres) as target:
        target.execute("DROP TABLE movies")
    run(start, "migrate", "--verbosity", "0", DATABASE_URL=empty_postgres)
    run(start, "migrate", "config", "0004", "--verbosity", "0", DATABASE_URL=empty_postgres)
    with psycopg.connect(empty_postgres) as target:
        target.execute("INSERT INTO movies (id, title) VALUES (1, 'x')")
    assert "The target is not empty, so nothing was moved: movies." in refused(start, source, empty_postgres)
    with psycopg.connect(empty_postgres) as target:
        assert target.execute("SELECT to_regclass('updates')").fetchone() == (None,), "an older version, and in use"


def test_the_password_given_for_the_move_is_not_that_of_the_settings(start, small):
    _database, source = small
    with Postgres() as server:
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute("CREATE ROLE mover SUPERUSER LOGIN PASSWORD 'right'")
            (server.folder / "data" / "pg_hba.conf").write_text(
                "host all mover 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
            )
            admin.execute("SELECT pg_reload_conf()")
        target = server.url.replace(server.user, "mover")
        settings = {"DATABASE_URL": target.replace("mover@", "mover:wrong@")}
        assert "The target cannot be opened" in refused(start, source, target, **settings)
        run(start, "migrate_to_postgres", "--from", source, "--to", target, **settings, PGPASSWORD="right")


def test_a_source_of_another_version_is_refused(start, tmp_path, migrated, empty_postgres):
    path = shutil.copy(migrated, tmp_path / "old.sqlite3")
    sqlite = f"sqlite:///{path}"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("DELETE FROM django_migrations WHERE app = 'config' AND name > '0003'")
    move = start("migrate_to_postgres", "--from", sqlite, "--to", empty_postgres)
    assert move.wait() != 0
    assert "another version" in move.output
