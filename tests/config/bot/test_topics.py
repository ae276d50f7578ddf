"""An answer goes where the question was asked: into the topic of a forum, or the chat where the topic is gone."""

import pytest

from ratings.files.report import notify
from ratings.models import FileImport, Import
from ratings.tmdb_sync import progress_message
from tests.helpers.posters import film
from users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def forum(sandbox, anna):
    return sandbox.telegram.group("Киноклуб", members=[anna], forum=True)


@pytest.fixture
def answers(sandbox, forum, handle):
    """answers(): what the bot has sent into the forum since the last question."""

    def after(asked):
        handle()
        return [message for message in forum.messages.values() if message.id > asked.id and message.sender.is_bot]

    return after


QUESTIONS = [
    "/start",
    "/help",
    "/movie 603",
    "/movie такого нет",
    "/rated",
    "/stats",
    "/recommend",
    "/connect",
    "/sync",
    "/rate 603 8",
    "/export",
    "/settings",
    "/match",
    "/disconnect",
    "/forget",
]


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("place", ["a topic", "General"])
def test_every_command_is_answered_where_it_was_sent(sandbox, anna, forum, answers, place, question):
    film(sandbox, 603)
    topic = sandbox.telegram.topic(forum, "Новинки") if place == "a topic" else None
    sent = answers(anna.send(question, chat=forum, topic=topic))
    assert sent
    assert {message.topic for message in sent} == {topic}


def test_a_button_in_a_topic_is_answered_there(sandbox, anna, forum, answers, handle):
    film(sandbox, 603)
    topic = sandbox.telegram.topic(forum, "Новинки")
    (card,) = answers(anna.send("/movie 603", chat=forum, topic=topic))
    anna.press(card, data="similar:603")
    assert {message.topic for message in answers(card)} == {topic}


@pytest.mark.parametrize("fate", ["closed", "deleted"])
def test_where_the_topic_is_gone_the_answer_comes_in_the_chat(sandbox, anna, forum, answers, fate):
    film(sandbox, 603)
    topic = sandbox.telegram.topic(forum, "Новинки")
    asked = anna.send("/movie 603", chat=forum, topic=topic)
    getattr(sandbox.telegram, {"closed": "close_topic", "deleted": "delete_topic"}[fate])(forum, topic)
    (card,) = answers(asked)
    assert card.topic is None
    assert card.photo or card.text


def test_typing_is_shown_in_the_topic(sandbox, anna, forum, answers, monkeypatch):
    monkeypatch.setattr("config.bot.dispatch.TYPING_DELAY_SECONDS", 0)
    film(sandbox, 603)
    topic = sandbox.telegram.topic(forum, "Новинки")
    sandbox.telegram.latency = 0.5
    answers(anna.send("/movie 603", chat=forum, topic=topic))
    shown = sandbox.telegram.calls_of("sendChatAction")
    assert shown
    assert {int(call.params["message_thread_id"]) for call in shown} == {topic.id}


def test_an_import_and_a_file_are_reported_in_the_topic_they_were_asked_in(sandbox, anna, ask):
    """In a private chat with topics; what the fake refuses, since it knows none there, shows what was asked of it."""
    ask("/start")
    user = User.objects.get(pk=anna.id)
    progress_message.report(Import.objects.create(user=user, started_at=1, finished_at=2, thread_id=7).pk)
    notify(FileImport.objects.create(user=user, sent_at=1, finished_at=2, thread_id=7, rows_total=1))
    threads = [call.params.get("message_thread_id") for call in sandbox.telegram.calls_of("sendMessage")]
    assert threads[-4:] == ["7", None, "7", None]
