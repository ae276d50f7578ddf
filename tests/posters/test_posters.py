"""Posters go from TMDb over the disk into the channel, once each, most needed first."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import connection, connections
from PIL import Image

from config.jobs import locks, rate_limiter
from config.jobs.run import Run
from movies.catalogue import fetch_movie
from movies.models import NEVER, Movie, PosterPriority, PosterStatus
from movies.saving import save_movies
from movies.tmdb import TMDb
from posters import checks, pipeline, tasks
from posters.bot_change import handle_bot_change
from ratings.models import Rating
from tests.conftest import queued, wait_until
from tests.helpers.posters import film, films, left_on_disk, sent, statuses
from tests.helpers.waiting import ROOT
from users.models import User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("poster_dir")]


@pytest.fixture
def matrix(sandbox):
    return film(sandbox, 603)


# --- The way


def test_a_poster_goes_from_tmdb_to_the_disk_to_the_channel_and_its_file_is_deleted(sandbox, matrix, poster_dir):
    tasks.download_posters()
    matrix.refresh_from_db()
    assert matrix.poster_status == PosterStatus.LOCAL
    assert Image.open(matrix.local_path).format == "JPEG"
    assert Path(matrix.local_path).parent == poster_dir

    tasks.upload_posters()
    matrix.refresh_from_db()
    (largest,) = sandbox.telegram.photos
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


def test_a_film_without_a_poster_is_left_alone(sandbox):
    film(sandbox, 603, poster_path="", poster_status=PosterStatus.NONE)
    tasks.download_posters()
    assert statuses() == [PosterStatus.NONE]
    assert sandbox.tmdb.requests_of("/t/p/*") == []


def test_the_download_rings_for_the_upload_but_does_not_flood_the_queue(sandbox):
    films(sandbox, 60)
    tasks.download_posters()
    assert set(queued()) == {"posters.tasks.upload_posters"}
    assert len(queued()) <= 2


def test_a_job_that_finds_another_at_work_leaves_it_to_it(sandbox, matrix):
    with locks.lock("posters.download"), locks.lock("posters.upload"):
        assert tasks.download_posters() == tasks.upload_posters() == "already running elsewhere"
    assert statuses() == [PosterStatus.WAITING]


def test_films_go_to_the_channel_that_their_id_gives(sandbox, settings):
    telegram = sandbox.telegram
    channels = [telegram.poster_channel, telegram.channel("Постеры 2", admins=[telegram.bot])]
    settings.TELEGRAM_POSTER_CHANNELS = [channel.id for channel in channels]
    films(sandbox, 10)
    tasks.download_posters()
    tasks.upload_posters()
    for number, channel in enumerate(channels):
        ids = [int(message.content.caption.split()[-1]) for message in channel.messages.values()]
        assert sorted(ids) == [1_000_000 + n for n in range(10) if n % 2 == number]


def test_all_channels_are_served_side_by_side_and_one_that_waits_holds_up_no_other(sandbox, settings):
    telegram = sandbox.telegram
    second = telegram.channel("Постеры 2", admins=[telegram.bot])
    settings.TELEGRAM_POSTER_CHANNELS = [telegram.poster_channel.id, second.id]
    rate_limiter.block_for(f"channel:{second.id}", 3600)
    films(sandbox, 4)
    tasks.download_posters()
    pipeline.upload_posters(Run(seconds=5))
    assert statuses() == [PosterStatus.TELEGRAM, PosterStatus.LOCAL] * 2


def test_a_disposable_limit_is_kept(sandbox):
    films(sandbox, 5)
    call_command("download_posters", limit=3)
    assert statuses().count(PosterStatus.LOCAL) == 3
    call_command("upload_posters", limit=2)
    assert len(sandbox.telegram.photos) == 2


# --- Order


def test_what_somebody_asked_for_goes_first_then_running_imports_then_the_rest(sandbox, monkeypatch):
    monkeypatch.setattr(pipeline, "UPLOADS_PER_CHANNEL", 1)
    old = films(sandbox, 30)
    film(sandbox, 603, poster_priority=PosterPriority.IMPORT)
    film(sandbox, 550).prioritize_poster()
    tasks.download_posters()
    tasks.upload_posters()
    assert sent(sandbox)[:2] == [550, 603]
    assert set(sent(sandbox)[2:]) == {movie.pk for movie in old}


def test_a_new_film_does_not_wait_behind_ten_thousand_old_ones(sandbox):
    Movie.objects.bulk_create(
        Movie(pk=2_000_000 + n, title="x", poster_path=f"/none{n}.jpg", poster_status=PosterStatus.WAITING)
        for n in range(10_000)
    )
    asked = film(sandbox, 603, poster_priority=PosterPriority.ASKED)
    call_command("download_posters", limit=1)
    asked.refresh_from_db()
    assert asked.poster_status == PosterStatus.LOCAL
    assert len(sandbox.tmdb.requests_of("/t/p/*")) == 1


# --- Pace


@pytest.mark.skipif(bool(django_settings.REDIS_URL) or connection.vendor != "sqlite", reason="the server's clock")
def test_twenty_one_messages_of_a_channel_never_fall_into_one_minute(monkeypatch, db):
    if connection.vendor != "sqlite":
        pytest.skip("a database server has a clock of its own")
    clock, moments, dice = [1_700_000_000.0], [], random.Random(4)
    monkeypatch.setattr(rate_limiter.time, "time", lambda: clock[0])
    while len(moments) < 200:
        wait = rate_limiter.try_acquire(
            "channel:1", 20 / 60 * pipeline.RATE_SAFETY_FACTOR, pipeline.BURST_TOLERANCE_SECONDS
        )
        if not wait:
            moments.append(clock[0])
        clock[0] += wait + dice.uniform(0, 0.04)
    assert min(later - earlier for earlier, later in zip(moments, moments[20:], strict=False)) > 61
    assert 199 / (moments[-1] - moments[0]) > 0.97 * 20 / 60


@pytest.mark.parametrize("rubbish", ["nan", "inf"])
def test_a_limit_finds_itself_again_where_no_moment_is_kept(rubbish):
    """A process with a limit of nan once left that behind, for all others and for good."""
    if django_settings.REDIS_URL:
        rate_limiter.redis_client().set("rate_limit:channel:1", rubbish)
    elif rubbish == "nan" and connection.vendor == "sqlite":
        pytest.skip("SQLite keeps no nan")
    else:
        rate_limiter.RateLimit.objects.create(name="channel:1", next_at=float(rubbish))
    assert not rate_limiter.try_acquire("channel:1", 1 / 3600), "the first slot is free"
    assert rate_limiter.try_acquire("channel:1", 1 / 3600) == pytest.approx(3600, abs=60)
    if django_settings.REDIS_URL:
        rate_limiter.redis_client().set("rate_limit:channel:2", rubbish)
    else:
        rate_limiter.RateLimit.objects.create(name="channel:2", next_at=float(rubbish))
    rate_limiter.block_for("channel:2", 1800)
    assert rate_limiter.try_acquire("channel:2", 1) == pytest.approx(1800, abs=60)


def test_a_refusal_for_speed_stops_that_channel_for_so_long_and_is_no_fault_of_the_poster(sandbox, matrix, monkeypatch):
    monkeypatch.setattr(pipeline, "UPLOADS_PER_CHANNEL", 1)  # another worker may have taken a slot just before
    tasks.download_posters()
    sandbox.telegram.fail("sendPhoto", retry_after=1)
    tasks.upload_posters()
    first, second = sandbox.telegram.calls_of("sendPhoto")
    matrix.refresh_from_db()
    assert second.at - first.at >= 1
    assert (matrix.poster_status, matrix.poster_error) == (PosterStatus.TELEGRAM, "")


def test_a_longer_refusal_than_a_job_may_last_is_left_to_the_next_job(sandbox, matrix, monkeypatch):
    monkeypatch.setattr(pipeline, "UPLOADS_PER_CHANNEL", 1)  # another worker may have taken a slot just before
    tasks.download_posters()
    sandbox.telegram.fail("sendPhoto", retry_after=1000)
    run = pipeline.upload_posters(Run(seconds=60))
    matrix.refresh_from_db()
    assert (matrix.poster_status, matrix.poster_attempts, matrix.uploads_unconfirmed) == (PosterStatus.LOCAL, 0, 0)
    assert run.errors == []
    pipeline.upload_posters(Run(seconds=60))
    assert len(sandbox.telegram.calls_of("sendPhoto")) == 1


def test_no_more_than_twenty_connections_reach_the_image_server(sandbox):
    sandbox.tmdb.image_latency = 0.02
    films(sandbox, 100)
    tasks.download_posters()
    assert statuses() == [PosterStatus.LOCAL] * 100
    assert 4 < sandbox.tmdb.peak_in_flight <= 20


# --- Change


def test_a_new_poster_is_sent_while_the_old_file_id_keeps_serving(sandbox, matrix):
    tasks.download_posters()
    tasks.upload_posters()
    matrix.refresh_from_db()
    old = matrix.telegram_file_id
    sandbox.tmdb.change(603, poster="/another603.jpg")
    save_movies([fetch_movie(603, TMDb())])
    matrix.refresh_from_db()
    assert (matrix.poster_status, matrix.telegram_file_id) == (PosterStatus.WAITING, old)
    tasks.download_posters()
    matrix.refresh_from_db()
    assert (matrix.poster_status, matrix.telegram_file_id) == (PosterStatus.LOCAL, old)
    tasks.upload_posters()
    matrix.refresh_from_db()
    assert matrix.poster_status == PosterStatus.TELEGRAM
    assert matrix.telegram_file_id != old


def test_a_new_poster_that_does_not_exist_leaves_the_old_one_serving(sandbox, matrix):
    Movie.objects.filter(pk=603).update(telegram_file_id="old", poster_path="/nowhere.jpg")
    tasks.download_posters()
    matrix.refresh_from_db()
    assert (matrix.poster_status, matrix.telegram_file_id) == (PosterStatus.TELEGRAM, "old")
    assert "no such image" in matrix.poster_error
    assert matrix.poster_failed_at


def test_another_bot_sends_every_poster_again_rated_films_first(sandbox, monkeypatch):
    monkeypatch.setattr(pipeline, "UPLOADS_PER_CHANNEL", 1)
    for number, movie in enumerate(films(sandbox, 3)):
        movie.poster_uploaded(f"id{number}", 500, 750)
    gone = film(sandbox, 550, poster_path="", poster_status=PosterStatus.TELEGRAM, telegram_file_id="x")
    anna = User.objects.create(pk=501)
    Rating.objects.create(user=anna, movie_id=1_000_002, tmdb_rating=8, normalized_rating=8, rated_at=1)
    assert handle_bot_change(1) == 0
    assert handle_bot_change(1) == 0
    assert handle_bot_change(2) == 3
    assert handle_bot_change(2) == 0
    gone.refresh_from_db()
    assert (gone.poster_status, gone.telegram_file_id) == (PosterStatus.NONE, "")
    handle_bot_change(sandbox.telegram.bot.id)
    tasks.download_posters()
    tasks.upload_posters()
    assert sent(sandbox) == [1_000_002, 1_000_000, 1_000_001]


def test_the_upload_notices_another_bot_even_when_it_has_nothing_to_do(sandbox, matrix):
    film(sandbox, 550).poster_uploaded("of the old bot", 500, 750)
    matrix.poster_uploaded("of the old bot, too", 500, 750)
    handle_bot_change(1)
    for _ in range(3):
        tasks.download_posters()
        tasks.upload_posters()
    assert sorted(sent(sandbox)) == [550, 603]
    assert len(sandbox.telegram.calls_of("getMe")) == 2
    assert statuses() == [PosterStatus.TELEGRAM] * 2


def test_the_bot_that_starts_says_how_many_posters_go_again(sandbox, start):
    film(sandbox, 603).poster_uploaded("of the old bot", 500, 750)
    handle_bot_change(1)
    process = start("runbot")
    process.wait_for_line("1 posters go to the channels again")
    assert statuses() == [PosterStatus.WAITING]
    assert process.terminate() == 0


def test_the_card_that_was_first_leaves_the_sweep_nothing_to_do(sandbox, matrix, poster_dir):
    tasks.download_posters()
    matrix.poster_uploaded("from the card", 500, 750)
    tasks.upload_posters()
    matrix.refresh_from_db()
    assert matrix.telegram_file_id == "from the card"
    assert sent(sandbox) == []
    assert left_on_disk(poster_dir) == []


def test_the_card_that_overtakes_an_upload_under_way_wins_and_nothing_is_sent_again(sandbox, matrix, poster_dir):
    tasks.download_posters()
    answer = sandbox.telegram.handle

    def overtaken(request):
        if request.path.endswith("/sendPhoto"):
            matrix.poster_uploaded("from the card", 500, 750)
            connections.close_all()
        return answer(request)

    sandbox.telegram.handle = overtaken
    tasks.upload_posters()
    tasks.upload_posters()
    matrix.refresh_from_db()
    assert matrix.telegram_file_id == "from the card"
    assert sent(sandbox) == [603]
    assert left_on_disk(poster_dir) == []


# --- Commands


def test_requeue_posters_revives_what_failed_for_good_and_nothing_else(sandbox, matrix, capsys):
    film(sandbox, 550).poster_uploaded("fine", 500, 750)
    film(sandbox, 13, poster_status=PosterStatus.NONE, poster_error="TMDb has no such image")
    film(sandbox, 680, poster_next_try_at=NEVER, poster_attempts=8, poster_error="no picture")
    call_command("requeue_posters")
    assert "2 posters queued" in capsys.readouterr().out
    tasks.download_posters()
    assert Movie.objects.get(pk=550).poster_status == PosterStatus.TELEGRAM
    assert Movie.objects.filter(poster_status=PosterStatus.LOCAL).count() == 3
    call_command("requeue_posters", movie=[550])
    assert Movie.objects.get(pk=550).poster_status == PosterStatus.WAITING
    with pytest.raises(CommandError, match="No such film: 999"):
        call_command("requeue_posters", movie=[999])
    call_command("requeue_posters", all=True)
    assert statuses() == [PosterStatus.WAITING] * 4


@pytest.mark.parametrize(("answer", "queued"), [("yes\n", True), ("no\n", False), ("", False)])
def test_requeueing_all_asks_first_with_the_number_and_the_time(environment, matrix, answer, queued):
    matrix.poster_uploaded("fine", 500, 750)
    command = [sys.executable, "manage.py", "requeue_posters", "--all"]
    variables = environment | {"TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE": "0.0001"}
    done = subprocess.run(command, cwd=ROOT, env=variables, input=answer, capture_output=True, text=True)
    assert "This uploads 1 posters to the channels again, which takes about 6.9 days." in done.stdout
    assert done.returncode == (0 if queued else 1)
    assert statuses() == [PosterStatus.WAITING if queued else PosterStatus.TELEGRAM]
    assert done.stderr.count("\n") == (0 if queued else 1)


def test_requeueing_all_is_not_asked_about_where_nobody_could_answer(matrix, start):
    matrix.poster_uploaded("fine", 500, 750)
    assert start("requeue_posters", "--all", "--no-input").wait() == 0
    assert statuses() == [PosterStatus.WAITING]


def test_the_commands_show_counts_and_end_with_a_status(sandbox, start):
    films(sandbox, 3)
    process = start("download_posters")
    assert process.wait() == 0
    process.wait_for_line("3 of 3")
    process = start("upload_posters")
    assert process.wait() == 0
    process.wait_for_line("Uploads: 3 done, 0 without an image, 0 failed, 0 postponed.")
    sandbox.tmdb.images[film(sandbox, 603).poster_path] = (b"<html>", "text/html")
    process = start("download_posters")
    assert process.wait() == 1
    process.wait_for_line("movie 603: no picture")


def test_sigterm_finishes_the_posters_at_hand_and_begins_no_others(sandbox, start):
    films(sandbox, 300)
    sandbox.tmdb.image_latency = 0.1
    process = start("download_posters")
    wait_until(lambda: len(sandbox.tmdb.requests_of("/t/p/*")) > 20)
    assert process.terminate() == 0
    assert set(statuses()) == {PosterStatus.LOCAL, PosterStatus.WAITING}
    assert not Movie.objects.exclude(poster_attempts=0).exists()
    assert Movie.objects.awaiting_download().count() == statuses().count(PosterStatus.WAITING)
    sandbox.telegram.latency = 0.1
    process = start("upload_posters")
    wait_until(lambda: len(sandbox.telegram.photos) > 2)
    assert process.terminate() == 0
    assert statuses().count(PosterStatus.TELEGRAM) == len(sandbox.telegram.photos) < 300


def test_the_worker_cluster_brings_posters_by_itself_and_stops_in_their_midst(sandbox, start):
    films(sandbox, 200)
    sandbox.telegram.latency = 0.05
    tasks.enqueue("download_posters")
    process = start("qcluster", Q_WORKERS="2")
    wait_until(lambda: len(sandbox.telegram.photos) > 5, 60, lambda: process.output)
    assert process.terminate() == 0
    assert 0 < statuses().count(PosterStatus.TELEGRAM) == len(sandbox.telegram.photos) < 200


def test_the_claims_use_the_index(db):
    if connection.vendor != "sqlite":
        pytest.skip("SQLite tells it in one line")
    for due in (Movie.objects.awaiting_download(), Movie.objects.awaiting_upload().for_channel(1, 3)):
        plan = due.order_by("-poster_priority", "poster_next_try_at", "id").explain()
        assert "movies_by_poster_status (poster_status=?" in plan
        assert "TEMP B-TREE" not in plan


# --- Checks


def test_check_services_says_in_a_sentence_why_a_channel_takes_no_posters(sandbox, settings):
    telegram = sandbox.telegram
    assert checks.check_channels(None) == []
    telegram.set_member(telegram.poster_channel, telegram.bot, "administrator", can_post_messages=False)
    assert "no right to post" in checks.check_channels(None)[0].msg
    telegram.set_member(telegram.poster_channel, telegram.bot, "kicked")
    assert "kicked" in checks.check_channels(None)[0].msg
    settings.TELEGRAM_POSTER_CHANNELS = [-100999]
    assert "chat not found" in checks.check_channels(None)[0].msg
    settings.TELEGRAM_POSTER_CHANNELS = []
    assert [problem.id for problem in checks.check_channels(None)] == ["posters.E002"]
    assert sandbox.telegram.photos == []


def test_checks_say_that_posters_have_no_channel_and_no_place_on_the_disk(settings):
    assert checks.check_poster_settings(None) == checks.check_poster_dir(None) == []
    settings.TELEGRAM_POSTER_CHANNELS = []
    settings.POSTER_DIR = Path("/proc/version/posters")
    assert [problem.id for problem in checks.check_poster_settings(None)] == ["posters.W001", "posters.W002"]
    assert [problem.id for problem in checks.check_poster_dir(None)] == ["posters.E001"]


def test_posters_whose_files_are_gone_cost_the_channel_no_slot(sandbox, settings):
    films(sandbox, 5)
    tasks.download_posters()
    settings.TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE = 6  # a slot each ten seconds
    *lost, kept = Movie.objects.order_by("poster_next_try_at", "pk")
    for movie in lost:
        Path(movie.local_path).unlink()
    run = pipeline.upload_posters(Run(seconds=5))
    assert (run.done, run.postponed) == (1, len(lost))
    assert Movie.objects.get(pk=kept.pk).poster_status == PosterStatus.TELEGRAM
    assert Movie.objects.awaiting_download().count() == len(lost)
