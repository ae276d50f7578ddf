"""deploy/backup, as cron runs it."""

import os
import sqlite3
import stat
import subprocess

import pytest

from tests.conftest import ROOT

SCRIPT = ROOT / "deploy" / "backup"


@pytest.fixture
def database(tmp_path):
    """A SQLite file with one row, and the settings that name it."""
    with sqlite3.connect(tmp_path / "kinoteka.sqlite3") as connection:
        connection.execute("CREATE TABLE films (id integer)")
        connection.execute("INSERT INTO films VALUES (603)")
    (tmp_path / "env").write_text(f"DEBUG=0\nexport DATABASE_URL = 'sqlite:///{tmp_path}/kinoteka.sqlite3'\n")
    return tmp_path


def back_up(folder, *copies):
    environment = {"PATH": os.environ["PATH"], "ENV_FILE": str(folder / "env")}
    return subprocess.run(
        ["sh", str(SCRIPT), str(folder / "copies"), *copies], env=environment, capture_output=True, text=True
    )


def test_a_backup_is_whole_and_for_its_owner_alone(database):
    done = back_up(database)
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(done.stdout.strip()) as copy:
        assert copy.execute("SELECT id FROM films").fetchall() == [(603,)]
    kept = list((database / "copies").iterdir())
    assert sorted(path.suffix for path in kept) == [".env", ".sqlite3"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert stat.S_IMODE((database / "copies").stat().st_mode) == 0o700


def test_the_newest_copies_are_kept_and_nothing_else_is_touched(database):
    copies = database / "copies"
    copies.mkdir()
    for day in range(1, 6):
        for suffix in ("sqlite3", "env"):
            (copies / f"kinoteka-2026010{day}T041500Z.{suffix}").write_text("old")
    (copies / "notes.txt").write_text("mine")
    assert back_up(database, "3").returncode == 0
    names = sorted(path.name for path in copies.iterdir())
    assert names[:4] == [f"kinoteka-2026010{day}T041500Z.{suffix}" for day in (4, 5) for suffix in ("env", "sqlite3")]
    assert len(names) == 7
    assert names[-1] == "notes.txt"


@pytest.mark.parametrize(
    ("settings", "copies", "words"),
    [
        ("DATABASE_URL=mysql://x/y\n", "3", "neither sqlite:/// nor postgres://"),
        ("DATABASE_URL=sqlite:////nowhere/at/all.sqlite3\n", "3", "unable to open database file"),
        ("", "none", "COPIES must be a number"),
    ],
)
def test_a_backup_that_cannot_be_made_says_so_and_deletes_nothing(database, settings, copies, words):
    if settings:
        (database / "env").write_text(settings)
    (database / "copies").mkdir()
    old = database / "copies" / "kinoteka-20260101T041500Z.sqlite3"
    old.write_text("old")
    done = back_up(database, copies)
    assert done.returncode != 0
    assert words in done.stderr
    assert old.exists()
