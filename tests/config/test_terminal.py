"""What a terminal shows while everything runs: the box, and after it only what somebody wants to know."""

import json
import os
import pty
import re
import signal
import subprocess
import sys

import pytest
import requests

from tests.helpers.waiting import ROOT, free_port, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

EVENT = re.compile(  # a slow machine is interrupted in the midst of them
    r"^(import of \d+ ratings for \d+ in \d+\.\d s|film details: \d+ (read|failed|postponed).*|posters: .*)( \[\w+\])?$"
)
NAMES = [
    "TELEGRAM_BOT_TOKEN",
    "TELEGRAM_API_URL",
    "TELEGRAM_POSTER_CHANNELS",
    "TMDB_API_KEY",
    "TMDB_API_URL",
    "TMDB_IMAGE_URL",
    "TMDB_WEB_URL",
    "SANDBOX",
]


class ChatPage:
    """The sandbox's chat page, as its own script speaks to it."""

    def __init__(self, url):
        self.url = url

    def act(self, name, **data):
        answer = requests.post(f"{self.url}/chat/api/{name}", json=data, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def buttons(self):
        state = requests.get(f"{self.url}/chat/api/state?wait=0", timeout=30).json()
        found = [(message["id"], button) for message in state["messages"] for row in message["rows"] for button in row]
        return found[::-1]

    def import_the_demo_account(self):
        self.act("send", text="/connect")
        link = wait_until(lambda: [b["url"] for _id, b in self.buttons() if "/authenticate/" in b.get("url", "")], 60)
        token = re.search(r"/authenticate/(\w+)", link[0])[1]
        requests.get(f"{self.url}/authenticate/{token}/allow?account=demo", timeout=30, allow_redirects=False)
        number, button = next((id, b) for id, b in self.buttons() if "data" in b)
        self.act("press", message=number, data=button["data"])


def test_after_the_box_come_only_events_worth_a_line(start, tmp_path):
    port = free_port()
    variables = {**dict.fromkeys(NAMES, ""), "DATABASE_URL": f"sqlite:///{tmp_path}/new.sqlite3", "REDIS_URL": ""}
    variables |= {"SANDBOX_DIR": str(tmp_path / "sandbox"), "TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE": "20"}
    everything = start("runall", "--port", str(port), SANDBOX_PORT=str(free_port()), LOG_LEVEL="", **variables)
    everything.wait_for_line("Ctrl-C stops everything", 60)
    ChatPage(re.search(r"Chat\s+(\S+)/", everything.output)[1]).import_the_demo_account()
    requests.get(f"http://127.0.0.1:{port}/admin/nowhere/", timeout=30)
    everything.wait_for_line("import of ", 60)
    everything.process.send_signal(signal.SIGINT)
    assert everything.wait(60) == 0
    box = next(number for number, line in enumerate(everything.lines) if "Ctrl-C" in line)
    before, after = everything.lines[: box + 1], everything.lines[box + 2 :]
    assert len(before) <= 8, everything.output
    said = [re.sub(r"^[\d:, -]+ INFO [\w.]+: ", "", line) for line in after if line]
    assert said.pop() == "Stopped."
    assert [line for line in said if not EVENT.match(line)] == []
    assert re.search(r"import of 60 ratings for \d+ in \d+\.\d s \[u\d+\]", everything.output), everything.output


def test_on_a_terminal_a_line_is_the_time_and_what_happened(environment):
    """script(1) would need a package more: a pseudo-terminal of our own."""
    leader, follower = pty.openpty()
    log = (
        "import logging; from config.monitoring.logs import correlation_id\n"
        "with correlation_id('u7'): logging.getLogger('ratings').info('import of %s ratings for %s', 60, 7)\n"
        "logging.getLogger('posters').warning('the channel waits')"
    )
    command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", log]
    shell = subprocess.Popen(command, cwd=ROOT, env={**environment, "LOG_LEVEL": ""}, stderr=follower, stdin=follower)
    os.close(follower)
    assert shell.wait(60) == 0
    said = os.read(leader, 10_000).decode().splitlines()
    os.close(leader)
    assert re.fullmatch(r"\d\d:\d\d:\d\d import of 60 ratings for 7 \[u7\]", said[0]), said
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING the channel waits", said[1]), said


def test_verbose_shows_what_every_process_does(start, tmp_path):
    variables = {**dict.fromkeys(NAMES, ""), "DATABASE_URL": f"sqlite:///{tmp_path}/new.sqlite3", "REDIS_URL": ""}
    variables |= {"SANDBOX_DIR": str(tmp_path / "sandbox"), "TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE": "20"}
    port = str(free_port())
    everything = start("runall", "--verbose", "--port", port, SANDBOX_PORT=str(free_port()), **variables)
    for words in ("The bot is polling", "Listening at", "job ratings.tasks.import_ratings: ", "ready for work"):
        everything.wait_for_line(words)
    assert [line for line in everything.lines if re.search("[а-яё]", line)] == [], "a log has one language"


def test_for_a_program_each_finished_job_is_a_line_with_id_duration_and_outcome(sandbox, start):
    worker = start("qcluster", LOG_FORMAT="json", Q_WORKERS="1")

    def jobs():
        return [line for line in map(json.loads, worker.lines) if "job" in line]

    by_schedule = wait_until(jobs, 60, lambda: worker.output)[0]
    assert re.fullmatch(r"t\w+", by_schedule["id"])
    assert by_schedule["outcome"] == "done"
    assert 0 <= by_schedule["duration"] < 60
    assert not re.search("[а-яё]", worker.output), "a log has one language"


def test_a_job_that_fails_is_one_line_with_its_id(start):
    run = (
        "from config.jobs.enqueue import async_task; from config.monitoring.logs import correlation_id\n"
        "with correlation_id('u77'): async_task('ratings.tasks.import_file', 'not a number')"
    )
    assert start("shell", "--verbosity", "0", "-c", run).wait() == 0
    worker = start("qcluster", Q_WORKERS="1", LOG_LEVEL="INFO")
    worker.wait_for_line("job ratings.tasks.import_file failed")
    worker.terminate()
    assert len(re.findall("import_file failed after", worker.output)) == 1
    assert re.search(r"ERROR config.jobs.job_log: job ratings.tasks.import_file failed", worker.output)
    assert "[u77]" in worker.output
    assert "Failed 'ratings" not in worker.output, "django-q2 says it once more, without the id"
