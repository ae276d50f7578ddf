"""What the sandbox keeps on the disk: a restart, or a kill, shows what was there."""

import io
import json
import os
import signal
import subprocess
import sys

import pytest
import requests
from PIL import Image

from sandbox import storage
from sandbox.server import GROUP, Sandbox
from sandbox.telegram.server import CHANNEL, TOKEN
from tests.helpers.waiting import ROOT, free_port, wait_until

ANNA, BORIS = 7_000_000_001, 7_000_000_002


@pytest.fixture
def run(tmp_path):
    """run(): a sandbox with its state in this test's folder; stopped at the end."""
    running = []

    def begin():
        sandbox = Sandbox(demo=True, folder=tmp_path / "kept").start()
        running.append(sandbox)
        return sandbox

    yield begin
    for sandbox in running:
        sandbox.stop()


def call(sandbox, method, files=None, **parameters):
    answer = requests.post(f"{sandbox.url}/bot{TOKEN}/{method}", data=parameters, files=files, timeout=10).json()
    assert answer["ok"], answer
    return answer["result"]


def poster(colour="red"):
    picture = io.BytesIO()
    Image.new("RGB", (1000, 1500), colour).save(picture, "JPEG")
    return picture.getvalue()


def kept_messages(folder):
    """What Anna's chat says on the disk."""
    path = folder / "state.json"
    chats = json.loads(path.read_text())["telegram"]["chats"] if path.exists() else []
    return [message for chat in chats if chat["person"] == ANNA for message in chat["messages"]]


def test_a_restart_shows_chats_posters_and_links_with_tmdb(run):
    before = run()
    anna = before.telegram.people[ANNA]
    question = anna.send("/movie 438631")
    posted = call(before, "sendPhoto", {"photo": poster()}, chat_id=CHANNEL)
    file_id = posted["photo"][-1]["file_id"]
    keyboard = json.dumps({"inline_keyboard": [[{"text": "9", "callback_data": "rate:438631:9"}]]})
    call(before, "sendPhoto", chat_id=ANNA, photo=file_id, caption="Дюна", reply_markup=keyboard)
    session = before.tmdb.session_for("demo")
    before.tmdb.account("demo").rate(438631, 9.0)
    before.tmdb.account("demo").want(937287)
    club = before.telegram.chats[GROUP]
    options = json.dumps([{"text": "Дюна"}, {"text": "Барби"}])
    poll = call(before, "sendPoll", chat_id=GROUP, question="Что смотрим?", options=options, is_anonymous=False)
    anna.vote(club.messages[poll["message_id"]], "Барби")
    call(before, "setMyDescription", description="Пришлите название фильма")
    before.stop()

    after = run()
    anna = after.telegram.people[ANNA]
    assert [message.words for message in anna.chat] == ["/movie 438631", "Дюна"]
    assert anna.chat[-1].button("9").data == "rate:438631:9"
    sent = call(after, "sendPhoto", chat_id=ANNA, photo=file_id)
    assert sent["photo"][-1]["file_id"] == file_id, "a file_id lives on"
    assert after.tmdb.sessions[session].ratings[438631] == 9.0
    assert 937287 in after.tmdb.account("demo").watchlist
    kept = after.telegram.chats[GROUP].messages[poll["message_id"]].poll
    assert [kept.voters(number) for number in (0, 1)] == [0, 1]
    assert after.telegram.accounts[TOKEN].texts[("description", "")] == "Пришлите название фильма"
    assert sent["message_id"] > posted["message_id"] > 0
    assert anna.send("ещё").id > question.id, "no number of a message comes twice"


def test_an_update_that_the_bot_had_not_taken_is_there_after_a_restart(run):
    before = run()
    before.telegram.people[BORIS].send("Нолан")
    before.stop()
    updates = call(run(), "getUpdates")
    assert [update["message"]["text"] for update in updates] == ["Нолан"]


def test_a_kill_loses_no_more_than_the_last_second(tmp_path):
    port = str(free_port())
    command = [sys.executable, "-m", "sandbox", "--port", port, "--data", str(tmp_path)]
    for kept in ([], ["Матрица"], ["Матрица", "Матрица"]):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]})
        try:
            assert b"http" in process.stdout.readline()
            page = f"http://127.0.0.1:{port}/chat/api"
            state = requests.get(f"{page}/state?wait=0", timeout=10).json()
            assert [message["text"] for message in state["messages"]] == kept
            requests.post(f"{page}/send", json={"person": ANNA, "text": "Матрица"}, timeout=10)
            expected = len(kept) + 1
            wait_until(lambda n=expected: len(kept_messages(tmp_path)) == n, 20)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def test_what_cannot_be_read_is_put_aside(run, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "state.json").write_text('{"format": 1, "telegram": {"fi')
    assert run().telegram.people[ANNA].chat == []
    assert (tmp_path / "kept" / "state.unreadable").exists()


def test_what_is_kept_is_bounded(run, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "MAX_MESSAGES", 3)
    monkeypatch.setattr(storage, "MAX_LOOSE_FILES", 4)
    sandbox = run()
    anna = sandbox.telegram.people[ANNA]
    for number in range(6):
        anna.send_document(f"{number}.csv", b"x" * (number + 1))
    sandbox.stop()
    assert len(run().telegram.people[ANNA].chat) == 3
    assert len(os.listdir(tmp_path / "kept" / "files")) <= 3 + 4


def test_a_button_empties_it(run):
    sandbox = run()
    sandbox.telegram.people[ANNA].send("/start")
    call(sandbox, "sendPhoto", {"photo": poster()}, chat_id=CHANNEL)
    session = sandbox.tmdb.session_for("demo")
    sandbox.tmdb.account("demo").rate(603, 1.0)
    answer = requests.post(f"{sandbox.url}/chat/api/empty", json={}, timeout=10)
    assert answer.ok, answer.text
    assert sandbox.telegram.people[ANNA].chat == []
    assert not sandbox.telegram.poster_channel.messages
    assert session not in sandbox.tmdb.sessions
    assert sandbox.tmdb.account("demo").ratings[603] != 1.0
    sandbox.stop()
    assert run().telegram.people[ANNA].chat == []
