"""Posters go from TMDb over the disk into the channel, once each, most needed first."""

import io
import time
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from PIL import Image

from movies.models import SET_ASIDE, Movie, PosterNeed, PosterStatus
from posters import pipeline, tasks

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def poster_dir(settings, tmp_path, monkeypatch):
    settings.POSTER_DIR = tmp_path / "posters"
    monkeypatch.setattr(pipeline, "PAUSE", 0.05)
    return settings.POSTER_DIR


@pytest.fixture
def matrix(sandbox):
    return film(sandbox, 603)


def film(sandbox, movie_id, **fields):
    """A film of the sandbox's, waiting for its poster."""
    what = sandbox.tmdb.films[movie_id]
    fields = {"poster_path": what.poster_path, "poster_status": PosterStatus.WAITING, **fields}
    return Movie.objects.create(pk=movie_id, title=what.title_ru or what.title_en, **fields)


def films(sandbox, n, **fields):
    return [film(sandbox, movie_id, **fields) for movie_id in sandbox.tmdb.add_films(n)]


def statuses():
    return list(Movie.objects.order_by("pk").values_list("poster_status", flat=True))


def left_on_disk(folder):
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_a_poster_goes_from_tmdb_to_the_disk_to_the_channel_and_its_file_is_deleted(sandbox, matrix, poster_dir):
    tasks.download_posters()
    matrix.refresh_from_db()
    assert matrix.poster_status == PosterStatus.LOCAL
    assert Image.open(matrix.local_path).format == "JPEG"
    assert Path(matrix.local_path).parent == poster_dir

    tasks.upload_posters()
    matrix.refresh_from_db()
    (photo,) = sandbox.telegram.photos
    largest = max(photo, key=lambda size: size.width) if isinstance(photo, tuple) else photo
    assert matrix.poster_status == PosterStatus.TELEGRAM
    assert (matrix.telegram_file_id, matrix.width, matrix.height) == (largest.file_id, largest.width, largest.height)
    assert matrix.local_path == ""
    assert left_on_disk(poster_dir) == []


def test_a_poster_is_fetched_and_sent_once_however_often_the_workers_run(sandbox, matrix):
    for _ in range(3):
        tasks.download_posters()
        tasks.upload_posters()
    assert len(sandbox.telegram.photos) == 1
    assert len(sandbox.tmdb.requests_of(f"/t/p/w500{matrix.poster_path}")) == 1


def test_films_that_another_program_inserts_are_picked_up(sandbox):
    path = sandbox.tmdb.films[603].poster_path
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO movies (id, title, poster_path, poster_status) VALUES (603, 'x', %s, 0)", [path])
    tasks.download_posters()
    tasks.upload_posters()
    assert statuses() == [PosterStatus.TELEGRAM]
