"""The stand-in for Telegram keeps polls as the Bot API does: their options, votes and end."""

import json
import time
from io import BytesIO

import pytest
import requests
from PIL import Image

from sandbox.server import Sandbox


@pytest.fixture
def sandbox():
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def anna(sandbox):
    return sandbox.telegram.person("Анна")


@pytest.fixture
def group(sandbox, anna):
    group = sandbox.telegram.group("Кино", [anna])
    sandbox.telegram.account_of(sandbox.telegram.bot).updates.clear()
    return group


@pytest.fixture
def call(sandbox):
    def call(method, **params):
        form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
        url = f"{sandbox.telegram_api_url}/bot{sandbox.telegram_token}/{method}"
        return requests.post(url, data=form, timeout=20, proxies={"http": ""}).json()

    return call


def options(*texts):
    return [{"text": text} for text in texts]


def test_a_vote_tells_the_bot_who_chose_what_and_how_the_poll_stands(call, anna, group):
    sent = call("sendPoll", chat_id=group.id, question="Что смотрим?", options=options("A", "B"), is_anonymous=False)
    message = group.messages[sent["result"]["message_id"]]
    anna.vote(message, "B")
    answer, poll = (update for update in call("getUpdates")["result"])
    assert answer["poll_answer"]["option_ids"] == [1]
    assert answer["poll_answer"]["user"]["id"] == anna.id
    assert answer["poll_answer"]["poll_id"] == sent["result"]["poll"]["id"]
    assert [option["voter_count"] for option in poll["poll"]["options"]] == [0, 1]
    anna.vote(message)
    assert [option["voter_count"] for option in message.poll.as_json()["options"]] == [0, 0]


def test_an_anonymous_vote_names_nobody(call, anna, group):
    sent = call("sendPoll", chat_id=group.id, question="?", options=options("A", "B"))
    anna.vote(group.messages[sent["result"]["message_id"]], 0)
    assert ["poll" in update for update in call("getUpdates")["result"]] == [True]


def test_a_poll_is_stopped_once(call, anna, group):
    sent = call("sendPoll", chat_id=group.id, question="?", options=options("A", "B"))["result"]
    anna.vote(group.messages[sent["message_id"]], 0)
    stopped = call("stopPoll", chat_id=group.id, message_id=sent["message_id"])["result"]
    assert stopped["is_closed"]
    assert stopped["options"][0]["voter_count"] == 1
    again = call("stopPoll", chat_id=group.id, message_id=sent["message_id"])
    assert again["description"] == "Bad Request: poll has already been closed"
    assert call("getUpdates")["result"][-1]["poll"]["is_closed"]


def test_a_poll_closes_by_its_time(sandbox, call, group):
    close = int(time.time()) + 6
    sandbox.telegram.clock = lambda: close - 5.0
    sent = call("sendPoll", chat_id=group.id, question="?", options=options("A"), close_date=close)["result"]
    assert sent["poll"]["close_date"] == close
    sandbox.telegram.close_poll(group.messages[sent["message_id"]].poll)
    assert call("getUpdates")["result"][-1]["poll"]["is_closed"]


def test_an_option_carries_a_photo_by_its_file_id(sandbox, call, group):
    content = BytesIO()
    Image.new("RGB", (200, 300)).save(content, "JPEG")
    photo = sandbox.telegram.keep_photo(sandbox.telegram.bot, content.getvalue())[-1]
    media = {"type": "photo", "media": photo.file_id}
    sent = call("sendPoll", chat_id=group.id, question="?", options=[{"text": "A", "media": media}, {"text": "B"}])
    first, second = sent["result"]["poll"]["options"]
    assert first["media"]["photo"][-1]["file_id"] == photo.file_id
    assert "media" not in second


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"question": " "}, "poll question must be non-empty"),
        ({"question": "?" * 301}, "poll question length must not exceed 300"),
        ({"options": []}, "poll must have from 1 to 12 options"),
        ({"options": options(*"abcdefghijklm")}, "poll must have from 1 to 12 options"),
        ({"options": options("A" * 101)}, "poll options length must not exceed 100"),
        ({"open_period": 4}, "poll can be closed only in 5 to 2628000 seconds from now"),
    ],
)
def test_a_poll_that_breaks_a_rule_is_refused(call, group, change, why):
    poll = {"chat_id": group.id, "question": "?", "options": options("A", "B"), **change}
    assert call("sendPoll", **poll)["description"] == f"Bad Request: {why}"


def test_an_album_is_a_message_for_each_photo(sandbox, call, group):
    content = BytesIO()
    Image.new("RGB", (200, 300)).save(content, "JPEG")
    photo = sandbox.telegram.keep_photo(sandbox.telegram.bot, content.getvalue())[-1]
    media = [{"type": "photo", "media": photo.file_id, "caption": str(number)} for number in range(3)]
    sent = call("sendMediaGroup", chat_id=group.id, media=media)["result"]
    assert [message["caption"] for message in sent] == ["0", "1", "2"]
    assert len({message["media_group_id"] for message in sent}) == 1
