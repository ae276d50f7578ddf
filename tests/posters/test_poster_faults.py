"""Whatever fails on the way of a poster: nothing is lost, sent twice without need, or left on the disk.

docs/POSTERS.md lists the faults and what is done about each.
"""

import io
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from PIL import Image

from config.jobs.run import Run
from config.jobs.schedules import sync_schedules
from movies.models import NEVER, Movie, PosterStatus
from movies.tmdb import TMDb, Unavailable
from posters import images, pipeline, storage, tasks
from posters.checks import check_images
from sandbox.http_server import Response
from tests.conftest import ROOT, leases_run_out, wait_until
from tests.helpers.posters import film, films, left_on_disk, sent, statuses

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_pause")]


@pytest.fixture
def matrix(sandbox):
    return film(sandbox, 603)


@pytest.fixture
def no_pause(monkeypatch, poster_dir):
    monkeypatch.setattr(pipeline, "PAUSE_SECONDS", 0.01)


def download(**options):
    return pipeline.download_posters(Run(**options))


def upload(**options):
    return pipeline.upload_posters(Run(**options))


def let_time_pass():
    """Every delay and every dead worker's claim is over; what is set aside stays so."""
    Movie.objects.filter(poster_next_try_at__lt=NEVER).update(poster_next_try_at=0)


def bring_home(days=30):
    """All that the ticks of many days would do."""
    for _ in range(days):
        let_time_pass()
        tasks.download_posters()
        tasks.upload_posters()


def picture(size=(500, 750), kind="JPEG", mode="RGB", colour=120, **options):
    out = io.BytesIO()
    Image.new(mode, size, colour if mode in ("L", "P") else (colour,) * len(mode)).save(out, kind, **options)
    return out.getvalue()


def noise(size=(500, 750)):
    out = io.BytesIO()
    Image.frombytes("RGB", size, random.Random(1).randbytes(size[0] * size[1] * 3)).save(out, "JPEG")
    return out.getvalue()


def bomb():
    """A PNG of 900 million pixels in a few hundred kilobytes' worth of header: nobody need decode it to see that."""
    content = bytearray(picture((30, 30), "PNG"))
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


GARBAGE = {
    "HTML with 200": b"<!DOCTYPE html><html><body>Sign in to the hotel's network</body></html>",
    "nothing": b"",
    "a truncated JPEG": noise()[:20_000],
    "a truncated PNG": picture((500, 750), "PNG", colour=9)[:200],
    "40 MB": picture() + b"\0" * 40 * 2**20,
    "a decompression bomb": bomb(),
    "a ribbon": picture((2100, 100)),
    "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "a JPEG's beginning": b"\xff\xd8\xff",
}
CONVERTED = {
    "a PNG under a .jpg name": picture((500, 750), "PNG"),
    "a transparent PNG": picture((500, 750), "PNG", "RGBA", 0),
    "a PNG with a palette": picture((500, 750), "PNG", "P"),
    "a WebP": picture((500, 750), "WEBP"),
    "a CMYK JPEG": picture((500, 750), "JPEG", "CMYK"),
    "an animated GIF": picture((500, 750), "GIF", append_images=[Image.new("RGB", (500, 750), "red")], save_all=True),
    "an animated WebP": picture((500, 750), "WEBP", append_images=[Image.new("RGB", (500, 750), "red")], save_all=True),
    "more pixels than Telegram takes": picture((5200, 5200)),
    "something behind its end": picture() + b"\0\0\0",
}


# --- What TMDb's image server may do


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_garbage_blocks_no_other_is_tried_again_later_and_then_set_aside(sandbox, matrix, content, poster_dir):
    others = films(sandbox, 3)
    sandbox.tmdb.images[matrix.poster_path] = (content, "image/jpeg")
    delays = []
    for _ in range(pipeline.MAX_ATTEMPTS):
        let_time_pass()
        before = int(time.time())
        download()
        matrix.refresh_from_db()
        delays.append(matrix.poster_next_try_at - before)
        assert before <= matrix.poster_failed_at <= time.time()
        assert download().started == 0
    assert Movie.objects.filter(poster_status=PosterStatus.LOCAL).count() == len(others)
    steps = [delay // 10 for delay in delays[:-1]]  # a second may pass between the two looks at the clock
    assert steps == sorted(steps)
    assert delays[0] < 70
    assert matrix.poster_next_try_at == NEVER
    assert matrix.poster_error
    assert matrix.poster_status == PosterStatus.WAITING
    tasks.upload_posters()
    assert left_on_disk(poster_dir) == []

    sandbox.tmdb.images[matrix.poster_path] = (picture(), "image/jpeg")
    call_command("requeue_posters")
    bring_home(1)
    matrix.refresh_from_db()
    assert (matrix.poster_status, matrix.poster_error) == (PosterStatus.TELEGRAM, "")


@pytest.mark.parametrize("content", CONVERTED.values(), ids=CONVERTED)
def test_what_telegram_would_not_take_as_it_is_is_made_a_plain_jpeg(sandbox, matrix, content):
    sandbox.tmdb.images[matrix.poster_path] = (content, "image/jpeg")
    download()
    matrix.refresh_from_db()
    made = Image.open(matrix.local_path)
    assert (made.format, made.mode) == ("JPEG", "RGB")
    assert sum(made.size) <= 10_000
    upload()
    assert statuses() == [PosterStatus.TELEGRAM]


def test_a_good_poster_is_stored_byte_for_byte():
    content = noise()
    assert images.to_telegram_jpeg(content) == content


def test_a_poster_that_tmdb_does_not_have_has_no_poster_and_says_why(sandbox, matrix):
    del sandbox.tmdb.films[603]
    run = download()
    matrix.refresh_from_db()
    assert (run.not_found, run.failed) == (1, 0)
    assert matrix.poster_status == PosterStatus.NONE
    assert matrix.poster_path
    assert "404" in matrix.poster_error
    assert download().started == 0


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd.jpg",
        "//evil.example/x.jpg",
        "/a/b.jpg",
        "@evil.example/x.jpg",
        "/x.jpg?y=.jpg",
        "/\0.jpg",
    ],
)
def test_a_poster_path_can_name_no_other_file_and_no_other_host(sandbox, path, poster_dir):
    if "\0" in path and connection.vendor == "postgresql":
        pytest.skip("PostgreSQL holds no such text")
    Movie.objects.create(pk=1, title="x", poster_path=path, poster_status=PosterStatus.WAITING)
    download()
    assert statuses() == [PosterStatus.NONE]
    assert left_on_disk(poster_dir) == []
    assert sandbox.tmdb.requests == []


@pytest.mark.parametrize("local_path", ["/etc/passwd", "../secret.jpg", "..", ".", "/", "a\0b"])
def test_a_local_path_can_name_no_other_file(sandbox, matrix, local_path, poster_dir):
    if "\0" in local_path and connection.vendor == "postgresql":
        pytest.skip("PostgreSQL holds no such text")
    poster_dir.mkdir()
    secret = poster_dir.parent / "secret.jpg"
    secret.write_bytes(picture())
    Movie.objects.filter(pk=603).update(poster_status=PosterStatus.LOCAL, local_path=local_path)
    upload()
    assert statuses() == [PosterStatus.WAITING]
    assert secret.exists()
    assert sandbox.telegram.calls_of("sendPhoto") == []


def test_a_poster_whose_answer_breaks_off_while_others_come_through_is_tried_again_later(sandbox, matrix):
    films(sandbox, 3)
    sandbox.tmdb.fail(f"^/t/p/w500{matrix.poster_path}$", truncate=100, times=None)
    run = download()
    matrix.refresh_from_db()
    assert (run.done, run.failed, run.errors) == (3, 1, [])
    assert matrix.poster_attempts == 1
    assert matrix.poster_next_try_at > time.time()


def test_a_single_poster_that_does_not_come_is_given_no_blame_and_the_run_says_so(sandbox, matrix):
    sandbox.tmdb.fail("^/t/p/", status=503, times=None)
    with pytest.raises(CommandError):
        call_command("download_posters")
    matrix.refresh_from_db()
    assert (matrix.poster_status, matrix.poster_attempts, matrix.poster_error) == (PosterStatus.WAITING, 0, "")


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 429, "retry_after": 30}, {"status": 403, "body": b"no"}, {"drop": "before"}]
)
def test_an_image_server_that_is_down_is_no_posters_fault(sandbox, fault, caplog):
    films(sandbox, 200)
    sandbox.tmdb.fail("^/t/p/", times=None, **fault)
    run = download()
    assert len(run.errors) == 1
    assert caplog.text.count("TMDb's images cannot be had now") == 1
    assert len(sandbox.tmdb.requests_of("/t/p/*")) < 200  # stopped before half of them was tried
    assert not Movie.objects.exclude(poster_attempts=0, poster_status=PosterStatus.WAITING).exists()
    assert Movie.objects.awaiting_download().count() == 200
    sandbox.faults.clear()
    download()
    assert statuses() == [PosterStatus.LOCAL] * 200


NO_IMAGES = {
    "404 to everything": {"status": 404, "body": "<h1>404 Not Found</h1>", "content_type": "text/html"},
    "410 to everything": {"status": 410, "body": b""},
    "400 to everything": {"status": 400, "body": b""},
    "HTML with 200 to everything": {"status": 200, "body": "<h1>Blocked</h1>", "content_type": "text/html"},
    "nothing with 200 to everything": {"status": 200, "body": b""},
}


@pytest.mark.parametrize("fault", NO_IMAGES.values(), ids=NO_IMAGES)
@pytest.mark.parametrize("number", [1, 30])
def test_a_server_that_has_no_image_at_all_is_at_fault_itself(sandbox, fault, number):
    films(sandbox, number)
    sandbox.tmdb.fail("^/t/p/", times=None, **fault)
    for _run in range(3):
        run = download()
        assert len(run.errors) == 1
    assert not Movie.objects.exclude(poster_status=PosterStatus.WAITING, poster_attempts=0, poster_error="").exists()
    sandbox.faults.clear()
    download()
    assert statuses() == [PosterStatus.LOCAL] * number


@pytest.mark.parametrize("fault", NO_IMAGES.values(), ids=NO_IMAGES)
def test_a_server_that_loses_all_its_images_in_the_middle_costs_no_poster(sandbox, fault):
    films(sandbox, 60)
    serve, served = sandbox.tmdb.image, itertools.count()

    def image(path):
        if next(served) == 20:
            sandbox.tmdb.fail("^/t/p/", times=None, **fault)
        return serve(path)

    sandbox.tmdb.image = image
    download()
    assert set(statuses()) == {PosterStatus.LOCAL, PosterStatus.WAITING}
    sandbox.faults.clear()
    let_time_pass()  # one whose answer came together with a good one may wait a minute
    download()
    assert statuses() == [PosterStatus.LOCAL] * 60


def test_what_was_given_up_when_the_server_began_to_fail_comes_back_by_itself(sandbox, matrix):
    sandbox.tmdb.fail(f"^/t/p/w500{matrix.poster_path}$", status=404, times=None)
    download()
    assert statuses() == [PosterStatus.NONE]
    films(sandbox, 9)
    sandbox.tmdb.fail("^/t/p/", status=404, times=None)
    download()
    sandbox.faults.clear()
    download()
    assert statuses() == [PosterStatus.LOCAL] * 10


def test_an_image_that_tmdb_did_not_have_is_asked_for_again_after_a_week(sandbox, matrix):
    sandbox.tmdb.fail(f"^/t/p/w500{matrix.poster_path}$", status=404, times=2)
    tasks.download_posters()
    tasks.download_posters()
    assert statuses() == [PosterStatus.NONE]
    assert len(sandbox.tmdb.requests_of(f"/t/p/w500{matrix.poster_path}")) == 1
    for expected in (PosterStatus.NONE, PosterStatus.LOCAL):
        let_time_pass()
        tasks.download_posters()
        assert statuses() == [expected]


def test_check_services_asks_for_an_image(sandbox, matrix):
    assert check_images(None) == []
    sandbox.tmdb.firewall("^/t/p/", status=404)
    (problem,) = check_images(None)
    assert problem.id == "posters.E004"
    sandbox.faults.clear()
    sandbox.tmdb.fail("^/t/p/", status=503, times=None)
    (problem,) = check_images(None)
    assert problem.id == "posters.W003"


def test_an_image_that_comes_a_byte_at_a_time_is_given_up_in_bounded_time(settings, monkeypatch):
    class Dribble(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            while not over.wait(0.02):
                self.wfile.write(b"x")

        def log_message(self, *args):
            pass

    over = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Dribble)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.TMDB_IMAGE_URL = f"http://127.0.0.1:{server.server_port}"
    client = TMDb(background=False)
    client.timeout = (1, 0.2)  # type: ignore[assignment]
    with pytest.raises(Unavailable, match="more than 0.3"):
        client.image("/x.jpg")  # would take half an hour
    over.set()
    server.shutdown()
    server.server_close()


# --- What the disk may do


def test_a_full_disk_stops_the_downloads_and_is_no_posters_fault(sandbox, monkeypatch, caplog):
    films(sandbox, 5)
    full = type("Usage", (), {"free": 0, "total": 10**9})
    with monkeypatch.context() as patch:
        patch.setattr(storage.shutil, "disk_usage", lambda path: full)
        run = download()
    assert "the disk is full" in run.errors[0]
    assert caplog.text.count("cannot be written") == 1
    assert not Movie.objects.exclude(poster_attempts=0, poster_error="").exists()
    download()
    assert statuses() == [PosterStatus.LOCAL] * 5


SMALL_DISK = """
import resource
import django
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
django.setup()
from posters import storage
try:
    storage.save(1, bytes(400_000))
except storage.DiskError as error:
    print(error)
"""


def test_a_write_that_fails_half_way_leaves_nothing_behind(environment, poster_dir):
    env = {**environment, "DJANGO_SETTINGS_MODULE": "config.settings", "POSTER_DIR": str(poster_dir)}
    done = subprocess.run([sys.executable, "-c", SMALL_DISK], cwd=ROOT, env=env, capture_output=True, text=True)
    assert "cannot be written: File too large" in done.stdout, done.stderr
    assert left_on_disk(poster_dir) == []


def test_a_poster_dir_that_cannot_be_made_is_told_in_one_line(sandbox, settings, matrix, caplog):
    settings.POSTER_DIR = type(settings.POSTER_DIR)("/proc/kinoteka/posters")
    run = download()
    assert "POSTER_DIR (/proc/kinoteka/posters) cannot be written" in run.errors[0]
    matrix.refresh_from_db()
    assert (matrix.poster_status, matrix.poster_attempts) == (PosterStatus.WAITING, 0)


def test_a_missing_poster_dir_is_made(sandbox, matrix, poster_dir):
    assert not poster_dir.exists()
    download()
    assert len(left_on_disk(poster_dir)) == 1


@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
def test_a_file_that_is_missing_or_damaged_is_fetched_again(sandbox, matrix, damage, poster_dir):
    download()
    (path,) = poster_dir.iterdir()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "empty" else path.read_bytes()[:-100])
    tasks.upload_posters()
    assert statuses() == [PosterStatus.WAITING]
    assert left_on_disk(poster_dir) == []
    bring_home(1)
    assert statuses() == [PosterStatus.TELEGRAM]
    assert sent(sandbox) == [603]


def test_the_sweep_deletes_strays_at_once_and_nothing_that_is_needed_or_not_ours(sandbox, matrix, poster_dir):
    download()
    (needed,) = poster_dir.iterdir()
    under_way = film(sandbox, 550, poster_next_try_at=int(time.time()) + 60)
    uploaded = film(sandbox, 13)
    uploaded.poster_uploaded("id", 500, 750)
    number = f"{storage.database_tag()}0123abcd"
    strays = [f"{uploaded.pk}-{number}.jpg", f".13-{number}.part", f"999999-{number}.jpg", f"603-{number}.jpg"]
    kept = [needed.name, f".{under_way.pk}-{number}.part", "README", "13.jpg", "13-0123abcd.jpg"]
    for name in strays + kept[1:]:
        (poster_dir / name).write_bytes(b"x")
    assert storage.delete_unused_files() == len(strays)
    assert sorted(left_on_disk(poster_dir)) == sorted(kept)


def test_a_restored_backup_in_use_with_the_same_directory_deletes_nothing_of_the_first_installation(
    sandbox, poster_dir, monkeypatch
):
    _older, newer = films(sandbox, 2)
    download()
    first = sorted(left_on_disk(poster_dir))
    with monkeypatch.context() as restored:
        restored.setattr(storage, "database_identity", lambda: "another")
        Movie.objects.filter(pk=newer.pk).update(poster_status=PosterStatus.WAITING, local_path="")
        tasks.upload_posters()
        assert sorted(left_on_disk(poster_dir)) == first
        download()
        assert len(left_on_disk(poster_dir)) == 3
        tasks.upload_posters()
        assert statuses() == [PosterStatus.TELEGRAM] * 2
        assert sorted(left_on_disk(poster_dir)) == first
    tasks.upload_posters()
    assert left_on_disk(poster_dir) == []


def test_an_empty_database_in_use_with_the_same_directory_deletes_nothing_of_the_first_installation(
    sandbox, matrix, start, tmp_path, poster_dir
):
    download()
    before = left_on_disk(poster_dir)
    other = {"DATABASE_URL": f"sqlite:///{tmp_path / 'other.sqlite3'}", "REDIS_URL": "", "POSTER_DIR": str(poster_dir)}
    assert start("migrate", "--verbosity=0", **other).wait() == 0
    upload_posters = start("upload_posters", **other)
    assert upload_posters.wait() == 0
    assert "1 files of another database are left in POSTER_DIR" in upload_posters.output
    assert left_on_disk(poster_dir) == before
    tasks.upload_posters()
    assert statuses() == [PosterStatus.TELEGRAM]


# --- What Telegram may do


def test_a_photo_that_telegram_refuses_blocks_no_other_and_is_set_aside(sandbox, matrix, poster_dir):
    others = films(sandbox, 3)
    download()
    refuse(sandbox, 603, 400, "Bad Request: IMAGE_PROCESS_FAILED")
    for _ in range(pipeline.MAX_ATTEMPTS):
        let_time_pass()
        upload()
    matrix.refresh_from_db()
    assert len(sandbox.telegram.photos) == len(others)
    assert matrix.poster_next_try_at == NEVER
    assert "IMAGE_PROCESS_FAILED" in matrix.poster_error
    assert left_on_disk(poster_dir) == []


def refuse(sandbox, movie_id, code, description):
    """Telegram refuses this film's photo."""
    answer = sandbox.telegram.handle

    def handle(request):
        if request.path.endswith("/sendPhoto") and request.fields()[1]["photo"].filename == f"{movie_id}.jpg":
            body = {"ok": False, "error_code": code, "description": description}
            return Response.json(body, code)
        return answer(request)

    sandbox.telegram.handle = handle


def break_channel(sandbox, how):
    telegram = sandbox.telegram
    if how == "deleted":
        telegram.delete_chat(telegram.poster_channel)
    elif how == "thrown out":
        telegram.set_member(telegram.poster_channel, telegram.bot, "kicked")
    elif how == "may not post":
        telegram.set_member(telegram.poster_channel, telegram.bot, "administrator", can_post_messages=False)
    elif how == "never there":
        telegram.chats.pop(telegram.poster_channel.id)


@pytest.mark.parametrize("how", ["deleted", "thrown out", "may not post", "never there"])
def test_a_broken_channel_keeps_its_posters_waiting_and_holds_up_no_other_channel(sandbox, settings, how, caplog):
    telegram = sandbox.telegram
    good = telegram.channel("Постеры 2", admins=[telegram.bot])
    settings.TELEGRAM_POSTER_CHANNELS = [telegram.poster_channel.id, good.id]
    films(sandbox, 10)
    download()
    break_channel(sandbox, how)
    run = upload()
    assert len(run.errors) == 1
    assert f"channel {telegram.poster_channel.id} takes no posters" in caplog.text
    assert statuses() == [PosterStatus.LOCAL, PosterStatus.TELEGRAM] * 5
    left = Movie.objects.filter(poster_status=PosterStatus.LOCAL)
    assert not left.exclude(poster_attempts=0, uploads_unconfirmed=0, poster_error="").exists()
    assert len([call for call in telegram.calls_of("sendPhoto") if call.status != 200]) <= pipeline.UPLOADS_PER_CHANNEL


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_telegram_that_says_it_is_ill_is_no_posters_fault(sandbox, matrix, status):
    download()
    sandbox.telegram.fail("sendPhoto", status=status, times=None)
    for _ in range(12):
        upload()
    sandbox.faults.clear()
    matrix.refresh_from_db()
    assert (matrix.poster_status, matrix.poster_attempts, matrix.uploads_unconfirmed) == (PosterStatus.LOCAL, 0, 0)
    upload()
    assert statuses() == [PosterStatus.TELEGRAM]


def test_a_telegram_that_is_away_costs_no_poster_anything(sandbox, matrix):
    download()
    sandbox.telegram.fail("getMe", drop="before", times=None)
    for _ in range(12):
        assert "Telegram cannot be reached" in upload().errors[0]
    assert sandbox.telegram.calls_of("sendPhoto") == []
    sandbox.faults.clear()
    upload()
    assert statuses() == [PosterStatus.TELEGRAM]


def test_a_wrong_token_stops_the_uploads_and_says_so(sandbox, matrix, monkeypatch):
    download()
    monkeypatch.setattr(pipeline.bot, "token", "1:wrong")
    assert "TELEGRAM_BOT_TOKEN" in upload().errors[0]
    assert sandbox.telegram.calls_of("sendPhoto") == []


def test_no_channel_is_told_with_what_to_do(sandbox, matrix, settings):
    download()
    settings.TELEGRAM_POSTER_CHANNELS = []
    assert "make a private channel" in upload().errors[0]


LOST = {
    "lost after the work": {"drop": "after"},
    "lost before the work": {"drop": "before"},
    "HTML with 502": {"status": 502, "body": b"<html>Bad Gateway</html>"},
    "HTML with 200": {"status": 200, "body": b"<html>Sign in</html>"},
    "no answer": {"status": 200, "delay": 1},
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_a_poster_whose_answer_was_lost_goes_up_once_more(sandbox, matrix, fault, monkeypatch, poster_dir):
    monkeypatch.setattr(pipeline, "UPLOAD_TIMEOUT_SECONDS", 0.3)
    download()
    sandbox.telegram.fail("sendPhoto", **fault)
    run = upload()
    matrix.refresh_from_db()
    assert (matrix.poster_status, matrix.uploads_unconfirmed, matrix.poster_attempts) == (PosterStatus.LOCAL, 1, 0)
    assert "may be in channel" in run.errors[0]
    assert upload().started == 0
    monkeypatch.setattr(pipeline, "UPLOAD_TIMEOUT_SECONDS", 30)
    let_time_pass()
    upload()
    assert statuses() == [PosterStatus.TELEGRAM]
    assert len(sandbox.telegram.photos) <= 2
    assert left_on_disk(poster_dir) == []


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_a_poster_whose_answer_is_lost_twice_is_set_aside_rather_than_sent_a_third_time(
    sandbox,
    matrix,
    fault,
    monkeypatch,
    poster_dir,
):
    monkeypatch.setattr(pipeline, "UPLOAD_TIMEOUT_SECONDS", 0.3)
    films(sandbox, 2)
    download()
    lose(sandbox, matrix, fault)
    bring_home()
    matrix.refresh_from_db()
    assert matrix.poster_next_try_at == NEVER
    assert "look for it in channel" in matrix.poster_error
    wait_until(lambda: sent(sandbox).count(603) == 2)
    assert Movie.objects.filter(poster_status=PosterStatus.TELEGRAM).count() == 2
    assert left_on_disk(poster_dir) == []
    sandbox.faults.clear()
    Movie.objects.poster_failed().requeue_posters()
    bring_home(1)
    assert statuses() == [PosterStatus.TELEGRAM] * 3


def lose(sandbox, movie, fault):
    """Every answer to this film's upload is lost; the others' come through."""
    name = f"{movie.pk}.jpg".encode()
    made = sandbox.telegram.fail("sendPhoto", times=None, **fault)
    matches = made.matches
    made.matches = lambda request: matches(request) and name in request.body


# --- What the database may do


def test_a_database_that_is_away_when_the_answer_comes_does_not_cost_a_second_upload(sandbox, matrix, monkeypatch):
    download()
    answer, settings_dict = sandbox.telegram.handle, connection.settings_dict
    if connection.vendor == "sqlite":
        monkeypatch.setitem(settings_dict["OPTIONS"], "timeout", 0.05)

    def away(request):
        response = answer(request)
        if request.path.endswith("/sendPhoto"):
            disturb(settings_dict)
        return response

    sandbox.telegram.handle = away
    upload()
    connection.close()  # this thread's was broken, too
    connections.close_all()
    assert statuses() == [PosterStatus.TELEGRAM]
    assert sent(sandbox) == [603]


def disturb(settings_dict):
    """Lock the database for a second (SQLite), or break every connection to it (PostgreSQL)."""
    if connection.vendor == "sqlite":
        other = sqlite3.connect(settings_dict["NAME"], isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(1, other.close).start()
    else:
        with connections["default"].cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        connections.close_all()


# --- What may happen to a worker


def dies(process):
    """kill -9, and the time until its claims are over."""
    process.kill()
    freed()
    let_time_pass()


def test_a_download_that_is_killed_is_begun_again(sandbox, start):
    films(sandbox, 40)
    sandbox.tmdb.image_latency = 0.3
    process = start("download_posters")
    wait_until(lambda: len(sandbox.tmdb.requests_of("/t/p/*")) > 20, 30, lambda: process.output)
    dies(process)
    sandbox.tmdb.image_latency = 0
    bring_home(1)
    assert statuses() == [PosterStatus.TELEGRAM] * 40
    assert len(sandbox.telegram.photos) == 40


def test_a_claim_holds_against_others_and_ends_with_its_worker(sandbox, matrix, start):
    sandbox.tmdb.image_latency = 5
    process = start("download_posters")
    wait_until(lambda: sandbox.tmdb.requests_of("/t/p/*"), 30, lambda: process.output)
    matrix.refresh_from_db()
    assert matrix.poster_attempts == 1
    assert 0 < matrix.poster_next_try_at - time.time() <= pipeline.CLAIM_TTL_SECONDS
    assert download(seconds=2).started == 0
    process.kill()


@pytest.mark.parametrize("after", [True, False], ids=["after Telegram's work", "before it"])
def test_an_upload_that_is_killed_goes_up_once_more_and_not_twice(sandbox, matrix, start, after, poster_dir):
    download()
    answer, reached = sandbox.telegram.handle, threading.Event()

    def slow(request):
        response = answer(request) if after else None
        if request.path.endswith("/sendPhoto"):
            reached.set()
            time.sleep(3)
        return response or answer(request)

    sandbox.telegram.handle = slow
    for _ in range(3):  # the third finds that two went without an answer
        reached.clear()
        process = start("upload_posters", POSTER_DIR=str(poster_dir))
        wait_until(lambda process=process: reached.is_set() or process.process.poll() is not None, 30)
        dies(process)
        matrix.refresh_from_db()
        if matrix.poster_next_try_at == NEVER:
            break
    bring_home()
    assert len(sandbox.telegram.photos) <= 2
    matrix.refresh_from_db()
    assert (matrix.poster_next_try_at, matrix.telegram_file_id) == (NEVER, "")
    assert "look for it in channel" in matrix.poster_error
    assert left_on_disk(poster_dir) == []


CRASH = """
import os, signal
import django
django.setup()
from posters import pipeline
from config.jobs.run import Run
convert = pipeline.to_telegram_jpeg

def crash(content):
    if content == b"poison":
        os.kill(os.getpid(), signal.SIGKILL)
    return convert(content)

pipeline.to_telegram_jpeg = crash  # as a fault in a C library would
pipeline.download_posters(Run())
"""


def test_a_poster_that_kills_every_worker_is_set_aside_and_takes_none_of_the_others_along(
    sandbox, environment, poster_dir
):
    poison = film(sandbox, 603)
    films(sandbox, 10)
    sandbox.tmdb.images[poison.poster_path] = (b"poison", "image/jpeg")
    env = {**environment, "DJANGO_SETTINGS_MODULE": "config.settings", "POSTER_DIR": str(poster_dir)}
    for _ in range(20):
        let_time_pass()
        if not subprocess.run([sys.executable, "-c", CRASH], cwd=ROOT, env=env, capture_output=True).returncode:
            break
    poison.refresh_from_db()
    assert poison.poster_next_try_at == NEVER
    assert "ended the worker" in poison.poster_error
    bring_home(1)
    assert statuses() == [PosterStatus.WAITING] + [PosterStatus.TELEGRAM] * 10


def test_two_clusters_at_once_fetch_and_send_each_poster_once(sandbox, start, poster_dir):
    movies = films(sandbox, 60)
    threads = [threading.Thread(target=in_thread, args=(download,)) for _ in range(2)]
    run_all(threads)
    assert statuses() == [PosterStatus.LOCAL] * len(movies)
    assert len(sandbox.tmdb.requests_of("/t/p/*")) == len(movies)
    processes = [start("upload_posters", POSTER_DIR=str(poster_dir)) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert sorted(sent(sandbox)) == [movie.pk for movie in movies]
    assert statuses() == [PosterStatus.TELEGRAM] * len(movies)
    assert left_on_disk(poster_dir) == []


@pytest.mark.parametrize("task", [tasks.download_posters, tasks.upload_posters])
def test_what_a_killed_worker_had_at_hand_is_waited_for_and_not_left_to_the_next_strike(sandbox, monkeypatch, task):
    dead, failed, _other = films(sandbox, 3)
    if task == tasks.upload_posters:
        tasks.download_posters()
    status, now, slept = Movie.objects.get(pk=dead.pk).poster_status, int(time.time()), []
    for movie, seconds, why in ((dead, 40, ""), (failed, 44, "a broken JPEG")):
        due = {"poster_attempts": 1, "poster_next_try_at": now + seconds, "poster_error": why}
        Movie.objects.filter(pk=movie.pk).update(**due)
    monkeypatch.setattr(pipeline.time, "time", lambda: now + sum(slept))
    monkeypatch.setattr(Run, "sleep", lambda run, seconds: slept.append(seconds) or True)
    task()
    assert sum(slept) == 40
    assert [Movie.objects.get(pk=movie.pk).poster_status - status for movie in (dead, failed)] == [1, 0]


def test_a_cluster_goes_on_by_itself_with_what_another_had_at_hand_when_it_was_killed(sandbox, start, poster_dir):
    movies = films(sandbox, 40)
    sync_schedules()
    hanging = sandbox.faults.add(r"/t/p/", times=None, delay=300, response=Response(503))
    dead = start("qcluster", Q_WORKERS="1", POSTER_DIR=str(poster_dir))
    wait_until(lambda: hanging.seen, 60, lambda: dead.output)
    alive = start("qcluster", Q_WORKERS="1", POSTER_DIR=str(poster_dir))
    alive.wait_for_line("The cluster kinoteka works")
    dead.kill()
    sandbox.faults.clear()
    # within a minute, and what a machine under load adds
    wait_until(lambda: statuses() == [PosterStatus.TELEGRAM] * len(movies), 80, lambda: alive.output)
    assert sorted(sent(sandbox)) == [movie.pk for movie in movies]


def in_thread(work):
    try:
        work()
    finally:
        connections.close_all()


def run_all(threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


KILLER = """
import os, signal, sys
import django
django.setup()
from django.db import connections
from movies.tmdb import TMDb, Unavailable
from posters import images, pipeline, storage, tasks
modules = {module.__file__ for module in (images, pipeline, storage, tasks)}
left = int(sys.argv[2])

def trace(frame, event, arg):
    global left
    if frame.f_code.co_filename not in modules:
        return None
    if event == "line":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return trace

import threading
threading.settrace(trace)
sys.settrace(trace)
try:
    getattr(tasks, sys.argv[1])()
finally:
    sys.settrace(None)
    print(abs(left))
"""


@pytest.mark.parametrize("task", ["download_posters", "upload_posters"])
def test_kill_9_at_any_line_loses_nothing_and_sends_nothing_twice_without_need(sandbox, environment, task, poster_dir):
    if task == "upload_posters":
        film(sandbox, 603)
        tasks.download_posters()
    else:
        film(sandbox, 603)
    env = {**environment, "DJANGO_SETTINGS_MODULE": "config.settings", "POSTER_DIR": str(poster_dir)}

    def run(line):
        return subprocess.run(
            [sys.executable, "-c", KILLER, task, str(line)],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
        )

    lines = int(run(0).stdout.split()[-1])
    assert lines > 20
    kills = int(os.environ.get("KILLS", 6))
    for line in random.Random(lines).sample(range(1, lines), lines - 1):
        if not kills:
            break
        Movie.objects.all().requeue_posters()
        storage.delete_unused_files()
        before = len(sandbox.telegram.photos)
        if task == "upload_posters":
            download()
        done = run(line)
        # what the upload's other threads do differs: a line near the end may not come
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        kills -= done.returncode != 0
        freed()
        bring_home(2)
        matrix = Movie.objects.get(pk=603)
        assert matrix.poster_status == PosterStatus.TELEGRAM, f"line event {line}"
        assert 1 <= len(sandbox.telegram.photos) - before <= 2
        assert left_on_disk(poster_dir) == []
    assert kills == 0


def freed():
    """The leases of a dead process run out."""
    leases_run_out()
