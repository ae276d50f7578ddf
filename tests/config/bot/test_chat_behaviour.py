"""How the bot behaves: what it answers to what it does not understand, and when Telegram or we fail."""

import random
import socket
import threading
import time
from contextlib import suppress
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from telebot import apihelper
from telebot.types import Message, ReplyParameters

from config.bot import client
from config.bot.replies import edit, topic_of
from config.bot.router import bot, commands, publish_profile
from config.models import UpdateFailure
from movies.models import Movie
from ratings.models import Rating
from tests.helpers.lists import nth
from tests.helpers.waiting import free_port
from users.models import User

pytestmark = pytest.mark.django_db


def test_the_menu_is_published_in_both_languages(sandbox):
    publish_profile()
    account = sandbox.telegram.accounts[sandbox.telegram_token]
    by_language = {language: listed for (_scope, language), listed in account.commands.items()}
    assert set(by_language) == {"", "ru", "uk", "be", "kk", "en"}
    assert by_language[""] == by_language["en"]
    assert by_language["uk"] == by_language["ru"]
    names = [command["command"] for command in by_language["ru"]]
    assert names[:6] == ["recommend", "watchlist", "evening", "rated", "stats", "match"]
    for listed in by_language.values():
        assert {command["command"] for command in listed} == set(commands) - {"start"}


@pytest.mark.parametrize(("language", "word"), [("ru", "Пришлите название фильма"), ("en", "Send a film title")])
def test_the_bot_describes_itself_in_both_languages(sandbox, language, word):
    publish_profile()
    texts = sandbox.telegram.accounts[sandbox.telegram_token].texts
    assert texts["description", language].startswith(word)
    assert texts["short_description", language].startswith(word)
    assert texts["description", ""] == texts["description", "en"]


def test_help_lists_every_command_and_carries_tmdbs_notice(ask):
    for text in ("/help", "/start"):
        said = ask(text).text
        assert text == "/start" or all(f"/{name} — " in said for name in commands if name != "start")
        assert "This product uses the TMDB API but is not endorsed or certified by TMDB." in said


def test_commands_are_understood_in_any_case_and_with_the_bots_name(ask):
    assert "@kinoteka_sandbox_bot" in ask("/HELP").text
    assert "@kinoteka_sandbox_bot" in ask("/help@Kinoteka_Sandbox_Bot").text


def test_a_newcomer_is_offered_where_to_begin(ask, anna, handle):
    page = ask("/start")
    assert len(page.text.split("\n\n")[0].splitlines()) == 3
    for text, said in (
        ("Connect TMDb", "Open TMDb, sign in"),
        ("I have a file", "Send me the file"),
        ("Example: “The Matrix”", "The Matrix"),
    ):
        anna.press(page, text=text)
        handle()
        assert said in anna.chat[-1].words
    anna.press(page, text="Start rating")
    handle()
    assert "Seen it? Rate it. 1 of 5" in anna.chat[-1].words


def test_a_button_of_no_command_is_politely_refused(ask, anna, handle):
    page = ask("/start")
    button = page.button(text="Start rating")
    button.raw["callback_data"] = "do:nonsense"
    query = anna.press(page, data="do:nonsense")
    handle()
    assert "out of date" in query.answer.text


@pytest.mark.parametrize("text", ["Привет!", "hello", "Добрый день", "Спасибо", "thank you!"])
def test_a_greeting_is_answered_and_not_searched_for(ask, sandbox, text):
    assert "title" in ask(text).text
    assert sandbox.tmdb.requests == []


def test_the_language_is_switched_in_the_settings_and_stays_so(ask, anna, handle):
    page = ask("/settings")
    assert "Once TMDb is linked" in page.text, "nothing is written there yet"
    anna.press(page, text="Русский")
    handle()
    assert page.button(text="English")
    assert "Чтобы поставить оценку" in ask("/help").text
    assert User.objects.get().language == "ru"
    anna.press(page, text="English")
    handle()
    assert "To rate a film" in ask("/help").text


@pytest.mark.parametrize(("code", "word"), [("uk", "Чтобы"), ("kk", "Чтобы"), ("de", "To rate"), ("en", "To rate")])
def test_readers_of_russian_are_written_to_in_it_and_all_others_in_english(sandbox, handle, code, word):
    person = sandbox.telegram.person("Somebody", language_code=code)
    asked = person.send("/help")
    handle()
    assert word in person.wait(after=asked).text


@pytest.mark.parametrize("text", ["/nonsense", "/", "/ help", "/help@another_bot", "/кино", "/movie603", "//"])
def test_an_unknown_command_gets_a_hint(ask, text):
    assert "See /help" in ask(text).text


def test_in_a_group_a_command_for_nobody_in_particular_is_left_alone(anna, sandbox, handle):
    group = sandbox.telegram.group("Film club", [anna])
    anna.send("/nonsense", chat=group)
    handle()
    assert not [message for message in group.messages.values() if message.from_bot]
    anna.send("/nonsense@kinoteka_sandbox_bot", chat=group)
    handle()
    assert "See /help" in anna.wait(chat=group).text


def test_a_picture_gets_a_hint(anna, handle):
    from io import BytesIO

    from PIL import Image

    picture = BytesIO()
    Image.new("RGB", (40, 60)).save(picture, "JPEG")
    anna.send_photo(picture.getvalue())
    handle()
    assert "Send me a title" in anna.chat[-1].text


@pytest.mark.parametrize("kind", ["sticker", "voice", "location", "contact", "dice", "poll"])
def test_anything_that_is_no_text_gets_a_hint(anna, sandbox, handle, kind):
    bodies = {
        "sticker": {
            "file_id": "x",
            "file_unique_id": "x",
            "type": "regular",
            "width": 1,
            "height": 1,
            "is_animated": False,
            "is_video": False,
        },
        "voice": {"file_id": "x", "file_unique_id": "x", "duration": 1},
        "location": {"latitude": 1, "longitude": 1},
        "contact": {"phone_number": "1", "first_name": "x"},
        "dice": {"emoji": "🎲", "value": 1},
        "poll": {
            "id": "1",
            "question": "?",
            "options": [],
            "total_voter_count": 0,
            "is_closed": False,
            "is_anonymous": True,
            "type": "regular",
            "allows_multiple_answers": False,
        },
    }
    said = anna.send("x")
    update = {key: value for key, value in said.as_json().items() if key != "text"} | {kind: bodies[kind]}
    sandbox.telegram.accounts[sandbox.telegram_token].updates.clear()
    sandbox.telegram.add_update(sandbox.telegram.bot, "message", update)
    handle()
    assert "Send me a title" in anna.chat[-1].text


@pytest.mark.parametrize(
    "data", ["", "nonsense", ":::", "rate", "🎬" * 16, *(random.Random(n).randbytes(32).hex() for n in range(3))]
)
def test_a_button_that_a_changed_app_made_up_is_politely_refused(ask, anna, sandbox, handle, data):
    card = ask("/movie 603")
    query = anna.press(card, text="8")
    account = sandbox.telegram.accounts[sandbox.telegram_token]
    account.updates[-1][2]["callback_query"]["data"] = data
    handle()
    assert query.answer.text == "This button is out of date."
    assert Rating.objects.count() == 0


def test_switches_are_sent_as_json_writes_them(ask, anna, sandbox, handle):
    query = anna.press(ask("/movie 603"), text="8")
    handle()
    assert query.answer is not None
    (call,) = sandbox.telegram.calls_of("answerCallbackQuery")
    assert call.params["show_alert"] == "false"


def test_a_button_under_a_message_that_is_too_old_is_answered(ask, anna, sandbox, handle):
    """Bot API: InaccessibleMessage, with nothing in it but the chat, the number and the date 0."""
    card = ask("/movie 603")
    page = ask("матриц")
    for message, text in ((card, "8"), (card, "Similar films"), (page, nth(page, 1))):
        query = anna.press(message, text=text)
        update = sandbox.telegram.accounts[sandbox.telegram_token].updates[-1][2]["callback_query"]
        update["message"] = {"chat": message.chat.as_json(), "message_id": message.id, "date": 0}
        handle()
        assert query.answer.text
    assert Rating.objects.get().value == 8


def test_a_button_without_a_message_is_answered(ask, anna, sandbox, handle):
    """As under what inline mode has sent."""
    page = ask("матриц")
    for message, text in ((ask("/movie 603"), "8"), (page, nth(page, 1))):
        query = anna.press(message, text=text)
        update = sandbox.telegram.accounts[sandbox.telegram_token].updates[-1][2]["callback_query"]
        del update["message"]
        update["inline_message_id"] = "x"
        handle()
        assert query.answer is not None


@pytest.mark.parametrize("text", ["8", "Similar films"])
def test_an_old_press_and_a_deleted_message_never_raise(ask, anna, sandbox, handle, caplog, text):
    card = ask("/movie 603")
    query = anna.press(card, text=text)
    query.at -= 3600
    with sandbox.telegram.changed:
        sandbox.telegram.delete_message(card)
    handle()
    assert "ERROR" not in [record.levelname for record in caplog.records]


def test_a_group_that_became_a_supergroup_gets_its_answer_there(anna, sandbox, handle, caplog):
    group = sandbox.telegram.group("Film club", [anna])
    anna.send("/movie 603", chat=group)
    new = sandbox.telegram.migrate(group)
    handle()
    assert "The Matrix" in anna.wait(chat=new).words
    assert "ERROR" not in [record.levelname for record in caplog.records]


def test_a_group_that_threw_the_bot_out_is_no_error(anna, sandbox, handle, caplog):
    group = sandbox.telegram.group("Film club", [anna])
    anna.send("/movie 603", chat=group)
    sandbox.telegram.set_member(group, sandbox.telegram.bot, "kicked")
    handle()
    assert "ERROR" not in [record.levelname for record in caplog.records]


def test_who_blocks_the_bot_is_remembered_until_they_come_back(ask, anna, handle):
    ask("/start")
    anna.block()
    handle()
    assert User.objects.get().blocked_at is not None
    anna.unblock()
    handle()
    assert User.objects.get().blocked_at is None


def test_who_blocks_the_bot_before_it_answers_is_no_error(anna, handle, caplog):
    anna.send("/movie 603")
    anna.block()
    handle()
    assert "ERROR" not in [record.levelname for record in caplog.records]


@pytest.fixture
def broken(monkeypatch):
    """A fault of ours in every search."""

    def fail(*arguments, **more):
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("movies.bot.find_movies", fail)
    monkeypatch.setattr("movies.bot.get_movie", fail)


def test_a_fault_of_ours_reaches_the_person_as_one_sentence_and_the_log_with_its_cause(ask, broken, caplog):
    text = ask("матрица").text
    assert text.startswith("Something went wrong on our side. Please try again in a minute.\nCode: u")
    kept = UpdateFailure.objects.get()
    assert text.endswith(f"Code: {kept.code}")
    assert f"update {kept.code[1:]} failed" in caplog.text
    assert "ZeroDivisionError: a fault of ours" in caplog.text
    assert (kept.handler, kept.error) == ("movies.bot.plain_text", "a fault of ours")
    assert "raise ZeroDivisionError" in kept.traceback
    assert "матрица" not in kept.traceback


def test_a_fault_of_ours_is_told_in_a_group_an_alert_and_an_inline_answer(ask, anna, sandbox, handle, request):
    card = ask("/movie 603")
    group = sandbox.telegram.group("Film club", [anna])
    request.getfixturevalue("broken")
    anna.send("/movie 603", chat=group)
    press, query = anna.press(card, text="Similar films"), anna.inline("матрица")
    handle()
    assert "Something went wrong" in anna.wait(chat=group).text
    assert press.answer.show_alert
    assert "Something went wrong" in press.answer.text
    assert "Something went wrong" in query.wait() or "Something went wrong" in query.button["text"]


def test_one_update_that_cannot_be_read_stops_no_other(anna, sandbox, handle):
    sandbox.telegram.add_update(sandbox.telegram.bot, "message", {"nonsense": True})
    anna.send("/help")
    handle()
    assert "Kinoteka" in anna.chat[-1].text


def test_typing_is_shown_on_slow_work_only(ask, anna, sandbox, monkeypatch):
    ask("/help")
    assert sandbox.telegram.calls_of("sendChatAction") == []
    monkeypatch.setattr("config.bot.dispatch.TYPING_DELAY_SECONDS", 0.05)
    sandbox.tmdb.latency = 0.5
    ask("/movie 603")
    (first, *_more) = sandbox.telegram.calls_of("sendChatAction")
    assert first.params == {"chat_id": str(anna.id), "action": "typing"}


def test_texts_come_in_the_language_of_the_person(sandbox, handle):
    people = {code: sandbox.telegram.person("X", language_code=code) for code in ("en", "en-GB", "ru", "uk", None)}
    for person in people.values():
        person.send("/start")
    handle()
    languages = {code: User.objects.get(pk=person.id).language for code, person in people.items()}
    assert languages == {"en": "en", "en-GB": "en", "ru": "ru", "uk": "ru", None: "ru"}


def test_who_changes_their_language_is_answered_in_it(ask, anna):
    ask("/start")
    anna.language_code = "ru"
    ask("/start")
    assert User.objects.get().language == "ru"


def test_the_real_process_publishes_the_menu_and_answers(sandbox, anna, start):
    bot = start("runbot")
    anna.send("/movie 603")
    assert "The Matrix" in anna.wait(lambda message: message.photo, timeout=30).caption
    assert sandbox.telegram.wait_until(lambda: len(sandbox.telegram.calls_of("setMyCommands")) >= 3)
    assert bot.terminate() == 0
    assert Movie.objects.filter(pk=603).exists()


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that calls to Telegram have made, none of them real."""
    made = []
    monkeypatch.setattr(client, "time", SimpleNamespace(sleep=made.append, monotonic=time.monotonic))
    return made


def test_one_error_of_telegrams_own_costs_nobody_their_answer(ask, sandbox, pauses):
    sandbox.telegram.fail("sendMessage", status=500, description="Internal Server Error", times=2)
    assert "Kinoteka" in ask("/help").text
    assert pauses == [*client.RETRY_DELAYS_SECONDS[:2]]
    assert len(sandbox.telegram.calls_of("sendMessage")) == 3


def test_a_message_that_a_gateway_may_have_passed_on_is_not_sent_twice(ask, sandbox, pauses):
    sandbox.telegram.fail("sendMessage", status=502, body=b"<html>Bad Gateway</html>")
    assert "Something went wrong" in ask("/help").text
    assert pauses == []
    assert len(sandbox.telegram.calls_of("sendMessage")) == 2, "the answer, and one notice that it was lost"


def test_an_idempotent_call_is_repeated_after_a_firewalls_page(ask, sandbox, anna, pauses):
    ask("/help")
    message = bot.send_message(anna.id, "x")
    sandbox.telegram.fail("editMessageText", status=403, body=b"<html>Forbidden</html>", times=3)
    assert edit(message, "y")
    assert pauses == [*client.RETRY_DELAYS_SECONDS[:3]]
    assert not User.objects.filter(blocked_at__isnull=False).exists()


@pytest.mark.parametrize(
    "what", [("topic", 7, True, 7), ("General", 1, True, None), ("a reply's thread", 7, False, None)]
)
def test_an_answer_goes_into_the_topic_of_the_question(what):
    _what, thread_id, is_topic, expected = what
    raw = {"message_id": 5, "date": 1, "chat": {"id": -100, "type": "supergroup"}, "message_thread_id": thread_id}
    message = Message.de_json(raw | ({"is_topic_message": True} if is_topic else {}))
    with client.in_topic(message.chat.id, topic_of(message)):
        assert client._with_topic("sendMessage", {"chat_id": -100}).get("message_thread_id") == expected
        assert "message_thread_id" not in client._with_topic("sendMessage", {"chat_id": 5})
        assert "message_thread_id" not in client._with_topic("editMessageText", {"chat_id": -100})


@pytest.mark.parametrize(
    "words", ["TOPIC_CLOSED", "Bad Request: message thread not found", "Bad Request: message to be replied not found"]
)
def test_where_the_topic_or_the_question_is_gone_the_answer_goes_to_the_chat(sandbox, ask, anna, words):
    ask("/help")
    sandbox.telegram.fail("sendMessage", status=400, description=words)
    assert bot.send_message(anna.id, "x", reply_parameters=ReplyParameters(1)).text == "x"
    assert "reply_parameters" not in sandbox.telegram.calls_of("sendMessage")[-1].params


def test_what_certainly_did_not_arrive_is_sent_once_more(ask, sandbox, anna, monkeypatch):
    ask("/help")
    port, real = free_port(), urlsplit(sandbox.telegram_api_url).port
    monkeypatch.setattr(apihelper, "API_URL", f"http://127.0.0.1:{port}/bot{{0}}/{{1}}")
    with socket.socket() as listener:

        def pause(seconds):  # meanwhile Telegram is back
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()
            threading.Thread(target=pass_on, args=(listener, real), daemon=True).start()

        monkeypatch.setattr(client, "time", SimpleNamespace(sleep=pause, monotonic=time.monotonic))
        assert bot.send_message(anna.id, "x").text == "x"
    assert [message.text for message in anna.chat].count("x") == 1


def pass_on(listener, port):
    """Pass the bytes of one connection on to a port and back."""
    near, _address = listener.accept()
    with near, socket.create_connection(("127.0.0.1", port)) as far:
        threading.Thread(target=pour, args=(near, far), daemon=True).start()
        pour(far, near)


def pour(source, sink):
    with suppress(OSError):  # closed by either side
        while content := source.recv(65_536):
            sink.sendall(content)


def test_what_may_have_arrived_is_repeated_only_where_that_shows_nowhere(ask, sandbox, anna, pauses):
    ask("/help")
    message = bot.send_message(anna.id, "x")
    sandbox.telegram.fail("editMessageText", drop="after")
    assert edit(message, "y")
    assert anna.chat[-1].text == "y"
    sandbox.telegram.fail("sendMessage", drop="after")
    with pytest.raises(client.TelegramUnavailable):
        bot.send_message(anna.id, "z")
    assert [each.text for each in anna.chat].count("z") == 1
    sandbox.telegram.fail("editMessageText", drop="after")
    with client.max_retry_wait(0), pytest.raises(client.TelegramUnavailable):
        edit(message, "z")


def test_a_long_limit_is_waited_out_where_a_person_waits(ask, sandbox, pauses):
    sandbox.telegram.fail("sendMessage", retry_after=45)
    assert "Kinoteka" in ask("/help").text
    assert pauses == [45]


@pytest.mark.parametrize(
    ("status", "description"),
    [
        (400, "Bad Request: not enough rights to send photos to the chat"),
        (400, "Bad Request: PHOTO_INVALID_DIMENSIONS"),
        (400, "Bad Request: IMAGE_PROCESS_FAILED"),
        (500, "Internal Server Error"),
    ],
)
def test_a_card_whose_photo_telegram_refuses_comes_as_text(ask, sandbox, status, description):
    card = ask("/movie 603")
    file_id = Movie.objects.get(pk=603).telegram_file_id
    sandbox.telegram.fail("sendPhoto", status=status, description=description, times=None)
    text = ask("/movie 603")
    assert not text.photo
    assert text.text.splitlines()[0] == card.caption.splitlines()[0]
    assert {b.data for row in card.buttons for b in row} <= {b.data for row in text.buttons for b in row}
    assert Movie.objects.get(pk=603).telegram_file_id == file_id, "nothing is wrong with the photo itself"


def test_a_card_that_a_gateway_may_have_passed_on_is_not_sent_twice(ask, sandbox):
    ask("/movie 603")
    sandbox.telegram.fail("sendPhoto", status=502, body=b"<html>Bad Gateway</html>", times=None)
    assert "Something went wrong" in ask("/movie 603").text
