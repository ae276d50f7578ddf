"""The first end of the product, from /connect to a card by file_id, with the real bot and worker processes."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from django.utils import timezone
from django_q.models import Schedule

from movies.models import Movie, PosterStatus
from ratings.models import Rating
from tests.conftest import wait_until
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db(transaction=True)

ODD = {
    "no poster": 900_001,
    "no date": 900_002,
    "no runtime": 900_003,
    "no overview": 900_004,
    "gone from TMDb": 900_005,
    "no translation": 900_006,
}


@pytest.fixture
def account(sandbox):
    """An account with 45 ratings, some of odd films."""
    tmdb = sandbox.tmdb
    tmdb.add_film(ODD["no poster"], poster=None, title_ru="Без афиши", title_en="No Poster", original_title="No Poster")
    tmdb.add_film(ODD["no date"], title_ru="Без даты", original_title="No Date", release_date="")
    tmdb.add_film(ODD["no runtime"], title_ru="Без длины", original_title="No Runtime", runtime=0)
    tmdb.add_film(
        ODD["no overview"], title_ru="Без описания", original_title="No Overview", overview_ru="", overview_en=""
    )
    tmdb.add_film(ODD["gone from TMDb"], title_ru="Пропавший", original_title="Gone")
    tmdb.add_film(
        ODD["no translation"],
        title_ru="",
        overview_ru="",
        title_en="Untranslated",
        overview_en="In English only.",
        original_title="未翻訳",
        original_language="ja",
    )
    tmdb.gone(ODD["gone from TMDb"])
    account = tmdb.add_account("film_lover")
    usual = [film_id for film_id in tmdb.films if film_id < 900_000][:39]
    for n, film_id in enumerate([*usual, *ODD.values()]):
        account.rate(film_id, 0.5 + n % 20 / 2)
    return account


def approve(sandbox, person, account):
    """Do what a person does with the message /connect sends: open the page, approve."""
    message = person.wait(lambda m: any(b.url and "/authenticate/" in b.url for row in m.buttons for b in row))
    url = next(b.url for row in message.buttons for b in row if b.url)
    token = re.search(r"/authenticate/([0-9a-f]{40})", url)[1]
    assert requests.get(url, timeout=10).ok
    sandbox.tmdb.approve(token, account)
    return message


def test_from_connect_to_cards_that_ask_tmdb_nothing(sandbox, account, start, environment):
    # what TMDb shows beside these films would come with posters of its own
    Schedule.objects.filter(func="ratings.tasks.fetch_tmdb_recommendations").update(
        next_run=timezone.now() + timedelta(days=1)
    )
    anna = sandbox.telegram.person("Анна", language_code="ru")
    bot, worker = start("runbot"), start("qcluster")

    def logs():
        return f"{anna.transcript()}\n--- bot\n{bot.output}\n--- worker\n{worker.output}"

    anna.send("/start")
    anna.send("/connect")
    message = approve(sandbox, anna, account)
    anna.press(message, data=next(b.data for row in message.buttons for b in row if b.data))

    user = wait_until(lambda: User.objects.filter(pk=anna.id, sync_status=SyncStatus.IMPORTED).first(), 90, logs)
    assert user.ratings_count == 45
    assert user.tmdb_account_id == account.id
    assert user.last_sync_at
    assert {r.movie_id: float(r.tmdb_rating) for r in Rating.objects.all()} == account.ratings
    assert {r.source for r in Rating.objects.all()} == {"tmdb"}
    assert all(r.normalized_rating == max(r.tmdb_rating, 1) for r in Rating.objects.all())

    films = Movie.objects.in_bulk()
    assert films[ODD["no poster"]].poster_status == PosterStatus.NONE
    assert films[ODD["no date"]].year is None
    assert films[ODD["no runtime"]].runtime is None
    assert films[ODD["no overview"]].overview == ""
    assert films[ODD["gone from TMDb"]].title == "Пропавший"
    assert films[ODD["no translation"]].overview == "In English only."
    assert "45" in anna.wait(lambda m: "45" in (m.text or "")).text, "the progress message ends with what came in"

    def all_posters_are_in_telegram():
        return not Movie.objects.filter(poster_status__in=[PosterStatus.WAITING, PosterStatus.LOCAL]).exists()

    wait_until(all_posters_are_in_telegram, 120, logs)
    uploaded = [photo.file_id for photo in sandbox.telegram.photos]
    kept = Movie.objects.filter(poster_status=PosterStatus.TELEGRAM).values_list("telegram_file_id", flat=True)
    assert sorted(uploaded) == sorted(kept)
    assert Movie.objects.filter(poster_status=PosterStatus.TELEGRAM, ratings__user=user).count() == 44
    assert all(film.width and film.height and not film.local_path for film in Movie.objects.exclude(poster_path=""))
    wait_until(lambda: not files_in(environment["POSTER_DIR"]), 30, logs)

    asked = len(sandbox.tmdb.requests)
    known = Movie.objects.filter(poster_status=PosterStatus.TELEGRAM).first()
    anna.send(f"/movie {known.pk}")
    card = anna.wait(lambda m: m.photo and known.title in m.caption)
    assert card.photo.file_id == known.telegram_file_id
    anna.send(f"/movie {ODD['no poster']}")
    assert anna.wait(lambda m: "Без афиши" in (m.text or ""))
    assert len(sandbox.tmdb.requests) == asked, "a card asks TMDb nothing"

    sandbox.tmdb.forget_requests()
    before = user.last_sync_at
    anna.send("/sync")
    wait_until(
        lambda: (
            [r for r in sandbox.tmdb.requests if "/rated/movies" in r.path]
            and User.objects.get(pk=anna.id).sync_status == SyncStatus.IMPORTED
        ),
        90,
        logs,
    )
    assert not [r for r in sandbox.tmdb.requests if r.path.startswith("/3/movie/")], "the second /sync asks for no film"
    assert User.objects.get(pk=anna.id).last_sync_at >= before
    assert [photo.file_id for photo in sandbox.telegram.photos] == uploaded, "and uploads nothing"

    session = User.objects.get(pk=anna.id).session_id
    assert session not in bot.output + worker.output
    assert User.objects.get(pk=anna.id).tmdb_session_id != session, "encrypted at rest"
    assert bot.terminate() == 0
    assert worker.terminate() == 0


def files_in(folder):

    return list(Path(folder).glob("*"))
