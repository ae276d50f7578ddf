"""The real bot process against a Bot API emulator that this project did not write."""

import json
import socket
import subprocess
import sys

import pytest
import requests

from movies.models import Movie, PosterStatus
from tests.conftest import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "700000001:AAAA-witness-token-of-no-bot-000000"
ANNA = {"id": 501, "is_bot": False, "first_name": "Анна", "language_code": "ru"}
CHAT = {"id": 501, "type": "private", "first_name": "Анна"}


class Witness:
    """The emulator's process, its queue of updates and the journal of what it was asked."""

    def __init__(self, port, journal):
        self.url = f"http://127.0.0.1:{port}"
        self.journal = journal

    def enqueue(self, **update):
        answer = requests.post(f"{self.url}/__fixture/updates", json={"token": TOKEN, "update": update}, timeout=10)
        answer.raise_for_status()

    def say(self, text, **more):
        message = {"message_id": 1, "date": 1_700_000_000, "from": ANNA, "chat": CHAT, "text": text, **more}
        if text.startswith("/"):
            message["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text.split()[0])}]
        self.enqueue(message=message)

    @property
    def records(self):
        return [json.loads(line) for line in self.journal.read_text().splitlines()]

    def calls(self, method):
        return [record for record in self.records if record.get("method") == method]

    def refused(self):
        """Calls that the witness refused; it does not know those that set descriptions."""
        refused = [record for record in self.records if record.get("status", 200) >= 400]
        return [record for record in refused if record["method"] != "setMyDescription"]


@pytest.fixture
def witness(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    journal = tmp_path / "requests.jsonl"
    program = "import sys; from lo_bot_api_emulator import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "--port", str(port), "--enable-control", "--journal", str(journal)]
    )
    emulator = Witness(port, journal)

    def answers():
        try:
            return requests.post(f"{emulator.url}/bot{TOKEN}/getMe", timeout=1).ok
        except requests.RequestException:
            return False

    wait_until(answers)
    yield emulator
    process.kill()
    process.wait()


@pytest.fixture
def bot(witness, start):
    process = start("runbot", TELEGRAM_BOT_TOKEN=TOKEN, TELEGRAM_API_URL=witness.url)
    process.wait_for_line("polling")
    return process


def matrix(**fields):
    movie = {"title": "Матрица", "original_title": "The Matrix", "poster_path": "/matrix.jpg", **fields}
    return Movie.objects.create(id=603, search_text="матрица|the matrix", **movie)


def test_polling_and_the_menu_are_as_the_witness_wants_them(witness, bot):
    witness.say("/start")
    wait_until(lambda: witness.calls("sendMessage"), explain=lambda: bot.output)
    wait_until(lambda: witness.calls("setMyCommands"), explain=lambda: bot.output)
    assert not witness.refused()
    assert bot.terminate() == 0


def test_a_card_by_upload_then_by_the_file_id_that_came_back(witness, bot, sandbox):
    witness.say("/movie 603")
    wait_until(lambda: witness.calls("sendPhoto"), explain=lambda: bot.output)
    wait_until(lambda: Movie.objects.filter(poster_status=PosterStatus.TELEGRAM), explain=lambda: bot.output)
    asked = len(sandbox.tmdb.requests)
    witness.say("/movie 603")
    wait_until(lambda: len(witness.calls("sendPhoto")) == 2, explain=lambda: bot.output)
    upload, cached = witness.calls("sendPhoto")
    assert upload["files"]
    assert not cached["files"]
    assert not witness.refused()
    assert len(sandbox.tmdb.requests) == asked


def test_a_wrong_file_id_still_gets_its_card(witness, bot):
    movie = matrix(poster_status=PosterStatus.TELEGRAM, telegram_file_id="AgACAgIAAxkBAAIBY2-of-another-bot")
    witness.say("/movie 603")
    wait_until(
        lambda: len(witness.calls("sendPhoto")) + len(witness.calls("sendMessage")) >= 2, explain=lambda: bot.output
    )
    movie.refresh_from_db()
    assert movie.telegram_file_id != "AgACAgIAAxkBAAIBY2-of-another-bot"
    assert [record["method"] for record in witness.refused()] == ["sendPhoto"]


def test_a_button_is_answered(witness, bot):
    movie = matrix(poster_status=PosterStatus.NONE, poster_path="")
    card = {"message_id": 2, "date": 1_700_000_000, "chat": CHAT, "text": "Матрица"}
    data = f"card:{movie.pk}"
    witness.enqueue(callback_query={"id": "77", "from": ANNA, "chat_instance": "1", "data": data, "message": card})
    wait_until(lambda: witness.calls("answerCallbackQuery"), explain=lambda: bot.output)
    assert witness.calls("sendMessage")
    assert not witness.refused()


def test_an_update_that_cannot_be_parsed_holds_up_no_other(witness, bot):
    witness.enqueue(callback_query={"id": "78", "from": ANNA, "chat_instance": "1", "message": {"message_id": "what"}})
    witness.say("/help")
    wait_until(lambda: witness.calls("sendMessage"), explain=lambda: bot.output)
    bot.wait_for_line("is not handled", 30)


def test_an_inline_question_is_answered_with_the_cached_photo(witness, bot):
    witness.say("/movie 603")
    wait_until(lambda: Movie.objects.filter(poster_status=PosterStatus.TELEGRAM), explain=lambda: bot.output)
    witness.enqueue(inline_query={"id": "90", "from": ANNA, "query": "матрица", "offset": ""})
    wait_until(lambda: witness.calls("answerInlineQuery"), explain=lambda: bot.output)
    assert witness.calls("answerInlineQuery")[0]["status"] == 200
    assert not witness.refused()
