"""Files that people send, from Telegram and from a Bot API server of one's own."""

import io
from contextlib import suppress
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from PIL import Image

from config.bot import client
from config.http_client import TooLong
from movies.models import Movie, PosterStatus

pytestmark = pytest.mark.django_db(transaction=True)

CSV = b"TMDb ID,Your Rating\n603,8\n"


@pytest.fixture
def file(sandbox):
    """A file in Telegram that the bot may read."""
    document = sandbox.telegram.keep_document(sandbox.telegram.bot, "ratings.csv", CSV, "text/csv")
    return sandbox.telegram.files[document.file_id]


@pytest.fixture
def local(sandbox, tmp_path):
    """The Bot API server runs with --local; the folder of the bot's files."""
    sandbox.telegram.local_dir, sandbox.telegram.serves_files = tmp_path, False
    return tmp_path / sandbox.telegram_token


def test_a_file_is_read_from_telegram(file):
    assert client.download(file.file_id, 100) == CSV


def test_a_file_that_a_local_server_has_on_this_disk_is_read_there(file, local):
    assert client.download(file.file_id, 100) == CSV
    assert (local / file.path).read_bytes() == CSV
    with pytest.raises(TooLong):
        client.download(file.file_id, len(CSV) - 1)


def test_a_file_on_another_machines_disk_is_asked_for_as_a_web_server_before_it_may_have_it(sandbox, file, local):
    sandbox.telegram.local_dir = Path("/proc/of/another")
    with pytest.raises(client.TelegramUnavailable, match="404"):
        client.download(file.file_id, 100)
    sandbox.telegram.serves_files = True
    assert client.download(file.file_id, 100) == CSV


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/x/{token}/../../etc/passwd", "/../{token}/x", "{token}/x", "x/{token}/y", "/{token}x/y"]
)
def test_no_other_file_of_this_machine_is_read(sandbox, file, monkeypatch, path):
    there = {"file_path": path.format(token=sandbox.telegram_token)}
    monkeypatch.setattr(client.apihelper, "get_file", lambda token, file_id: there)
    monkeypatch.setattr("builtins.open", None)
    with pytest.raises(client.TelegramUnavailable):
        client.download(file.file_id, 100)


def services(capsys):
    with suppress(CommandError):
        call_command("check_services")
    said = capsys.readouterr()
    return said.out + said.err


def test_check_services_says_what_to_set_where_files_cannot_be_read(sandbox, capsys, tmp_path):
    picture = io.BytesIO()
    Image.new("RGB", (500, 750)).save(picture, "JPEG")
    photo = sandbox.telegram.keep_photo(sandbox.telegram.bot, picture.getvalue())[-1]
    Movie.objects.create(pk=603, title="x", poster_status=PosterStatus.TELEGRAM, telegram_file_id=photo.file_id)
    assert "Telegram can be read" in services(capsys)
    sandbox.telegram.serves_files = False
    assert "Start the Bot API server without --local" in services(capsys)
    sandbox.telegram.local_dir = tmp_path
    assert "Telegram can be read" in services(capsys)
