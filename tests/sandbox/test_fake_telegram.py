"""The stand-in for Telegram refuses, limits, remembers and forgets as the Bot API does."""

import io
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests
from PIL import Image

from sandbox.server import Sandbox
from sandbox.telegram.text import parse_html, utf16

OLD = "Bad Request: query is too old and response timeout expired or query ID is invalid"


@pytest.fixture
def sandbox():
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def telegram(sandbox):
    return sandbox.telegram


@pytest.fixture
def anna(telegram):
    """A user who has started the bot; the update is already confirmed."""
    anna = telegram.person("Анна")
    anna.send("/start")
    telegram.accounts[telegram_token(telegram)].updates.clear()
    return anna


def telegram_token(telegram):
    return telegram.account_of(telegram.bot).token


@pytest.fixture
def call(sandbox):
    """Call a method over HTTP; the whole answer as a dictionary."""
    http = requests.Session()
    http.trust_env = False

    def call(method, files=None, token=sandbox.telegram_token, **params):
        form = {k: json.dumps(v) if isinstance(v, dict | list | bool) else v for k, v in params.items()}
        reply = http.post(f"{sandbox.telegram_api_url}/bot{token}/{method}", data=form, files=files, timeout=20)
        answer = reply.json()
        assert answer["ok"] == (reply.status_code == 200)
        assert answer["ok"] or answer["error_code"] == reply.status_code
        return answer

    yield call
    http.close()


def picture(width=500, height=750, kind="JPEG"):
    out = io.BytesIO()
    Image.new("RGB", (width, height), "navy").save(out, kind)
    return out.getvalue()


def keyboard(*buttons):
    return {"inline_keyboard": [list(buttons)]}


def refusal(answer):
    return answer["error_code"], answer["description"]


# What is refused before anything is done


def test_a_wrong_token_is_unauthorized(call):
    assert refusal(call("getMe", token="1000000001:another")) == (401, "Unauthorized")


def test_a_method_that_does_not_exist_is_not_found(call):
    assert refusal(call("sendEverything")) == (404, "Not Found")


def test_an_unknown_parameter_is_refused(call, anna):
    code, text = refusal(call("sendMessage", chat_id=anna.id, text="hello", txet="x"))
    assert code == 400
    assert "txet" in text


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"text": "hello"}, "chat_id is empty"),
        ({"chat_id": 1}, "message text is empty"),
        ({"chat_id": 1, "text": ""}, "message text is empty"),
        ({"chat_id": 1, "text": "x", "reply_markup": "{"}, "can't parse reply keyboard markup JSON object"),
    ],
)
def test_a_missing_or_unreadable_parameter_is_refused(call, params, text):
    assert refusal(call("sendMessage", **params)) == (400, f"Bad Request: {text}")


def test_a_message_id_must_be_a_number(call, anna):
    assert not call("deleteMessage", chat_id=anna.id, message_id="seven")["ok"]


def test_parameters_in_the_address_are_refused_and_recorded(sandbox, telegram, anna):
    address = f"{sandbox.telegram_api_url}/bot{sandbox.telegram_token}/sendMessage"
    params = {"chat_id": anna.id, "text": "hello"}
    assert requests.post(address, params=params, timeout=5).status_code == 400
    assert telegram.calls_of("sendMessage")[-1].in_query
    telegram.strict_query = False
    assert requests.post(address, params=params, timeout=5).status_code == 200


def test_parameters_may_come_as_json(sandbox, anna):
    address = f"{sandbox.telegram_api_url}/bot{sandbox.telegram_token}/sendMessage"
    data = {"chat_id": anna.id, "text": "hello", "reply_markup": keyboard({"text": "a", "callback_data": "b"})}
    assert requests.post(address, json=data, timeout=5).json()["result"]["reply_markup"]


def test_a_method_that_is_not_carried_out_still_has_its_parameters_checked(call):
    assert call("setMyStarBalance") == {"ok": False, "error_code": 404, "description": "Not Found"}
    assert call("sendDice", chat_id=1)["result"] is True
    assert not call("sendDice", chat=1)["ok"]


# Chats


def test_a_bot_cannot_write_first(call, telegram):
    boris = telegram.person("Борис")
    assert refusal(call("sendMessage", chat_id=boris.id, text="hello")) == (
        403,
        "Forbidden: bot can't initiate conversation with a user",
    )
    assert refusal(call("sendMessage", chat_id=12345, text="hello")) == (400, "Bad Request: chat not found")


def test_a_person_who_blocks_the_bot_hears_nothing_and_the_bot_is_told(call, anna):
    anna.block()
    assert refusal(call("sendMessage", chat_id=anna.id, text="x")) == (403, "Forbidden: bot was blocked by the user")
    [update] = call("getUpdates")["result"]
    assert update["my_chat_member"]["new_chat_member"]["status"] == "kicked"
    anna.unblock()
    assert call("sendMessage", chat_id=anna.id, text="x")["ok"]


def test_a_channel_wants_the_right_to_post(call, telegram):
    stranger = telegram.channel("not ours")
    reader = telegram.channel("read only", members=[telegram.bot])
    mute = telegram.channel("mute", admins=[telegram.bot], can_post=False)
    answers = [refusal(call("sendMessage", chat_id=c.id, text="x")) for c in (stranger, reader, mute)]
    assert answers[0] == (403, "Forbidden: bot is not a member of the channel chat")
    assert answers[1] == answers[2] == (400, "Bad Request: need administrator rights in the channel chat")
    telegram.delete_chat(mute)
    assert refusal(call("sendMessage", chat_id=mute.id, text="x"))[0] == 403


def test_a_group_that_became_a_supergroup_says_where_it_went(call, telegram, anna):
    group = telegram.group("Киноклуб", members=[anna])
    new = telegram.migrate(group)
    answer = call("sendMessage", chat_id=group.id, text="x")
    assert answer["parameters"] == {"migrate_to_chat_id": new.id}
    assert call("sendMessage", chat_id=new.id, text="x")["ok"]


def test_in_a_group_the_bot_hears_what_is_meant_for_it(call, telegram, anna):
    group = telegram.group("Киноклуб", members=[anna])
    said = call("sendMessage", chat_id=group.id, text="hello")["result"]
    anna.send("talking among ourselves", chat=group)
    anna.send("/movie@another_bot 603", chat=group)
    anna.send("/movie 603", chat=group)
    anna.send("yes", chat=group, reply_to=group.messages[said["message_id"]])
    heard = [u["message"]["text"] for u in call("getUpdates")["result"] if "message" in u]
    assert heard == ["/movie 603", "yes"]


# Topics of a forum


@pytest.fixture
def forum(telegram, anna):
    return telegram.group("Киноклуб", members=[anna], forum=True)


def heard(call):
    """The messages that wait for the bot, each once."""
    updates = call("getUpdates")["result"]
    call("getUpdates", offset=updates[-1]["update_id"] + 1)
    return [update["message"] for update in updates if "message" in update]


def test_a_message_of_a_topic_names_it_and_one_of_general_does_not(call, telegram, anna, forum):
    topic = telegram.topic(forum, "Новинки")
    anna.send("/movie 603", chat=forum, topic=topic)
    anna.send("/movie 604", chat=forum)
    made, asked, general = heard(call)
    assert made["forum_topic_created"]["name"] == "Новинки"
    assert asked["chat"]["is_forum"]
    assert (asked["message_thread_id"], asked["is_topic_message"]) == (made["message_id"], True)
    assert "forum_topic_created" in asked["reply_to_message"], "which replies to nothing replies to the topic itself"
    assert not {"message_thread_id", "is_topic_message", "reply_to_message"} & general.keys()


def test_an_answer_goes_to_the_topic_it_names_or_that_of_the_message_it_replies_to(call, telegram, anna, forum):
    topic = telegram.topic(forum, "Новинки")
    asked = anna.send("/movie 603", chat=forum, topic=topic)
    named = call("sendMessage", chat_id=forum.id, text="a", message_thread_id=topic.id)["result"]
    reply = call("sendMessage", chat_id=forum.id, text="b", reply_parameters={"message_id": asked.id})["result"]
    general = call("sendMessage", chat_id=forum.id, text="c")["result"]
    assert [sent.get("message_thread_id") for sent in (named, reply, general)] == [topic.id, topic.id, None]
    button = keyboard({"text": "8", "callback_data": "rate:603:8"})
    place = {"chat_id": forum.id, "message_id": named["message_id"]}
    call("editMessageText", text="d", reply_markup=button, **place)
    anna.press(forum.messages[named["message_id"]], "8")
    press = call("getUpdates")["result"][-1]["callback_query"]
    assert (press["message"]["message_thread_id"], press["message"]["is_topic_message"]) == (topic.id, True)


def test_a_closed_a_deleted_and_generals_own_topic_are_refused(call, telegram, anna, forum):
    closed, deleted = telegram.topic(forum, "Старое"), telegram.topic(forum, "Лишнее")
    telegram.close_topic(forum, closed)
    telegram.delete_topic(forum, deleted)
    for method, rest in (("sendMessage", {"text": "x"}), ("sendChatAction", {"action": "typing"})):
        answers = [
            refusal(call(method, chat_id=forum.id, message_thread_id=thread_id, **rest))
            for thread_id in (closed.id, deleted.id, 1)
        ]
        assert answers == [
            (400, "Bad Request: TOPIC_CLOSED"),
            (400, "Bad Request: message thread not found"),
            (400, "Bad Request: message thread not found"),
        ]
    telegram.close_topic(forum)
    assert refusal(call("sendMessage", chat_id=forum.id, text="x")) == (400, "Bad Request: TOPIC_CLOSED")
    telegram.set_member(forum, telegram.bot, "administrator", can_manage_topics=True)
    assert call("sendMessage", chat_id=forum.id, text="x", message_thread_id=closed.id)["ok"]


def test_outside_forums_a_thread_is_a_chain_of_replies(call, telegram, anna):
    group = telegram.group("Киноклуб", members=[anna], supergroup=True)
    first = anna.send("/movie 603", chat=group)
    second = call("sendMessage", chat_id=group.id, text="a", reply_parameters={"message_id": first.id})["result"]
    third = anna.send("/movie 604", chat=group, reply_to=group.messages[second["message_id"]])
    told = heard(call)[-1]
    assert (told["message_id"], told["message_thread_id"]) == (third.id, first.id)
    assert "is_topic_message" not in told
    wrong = refusal(call("sendMessage", chat_id=group.id, text="x", message_thread_id=7))
    assert wrong == (400, "Bad Request: message thread not found")
    assert refusal(call("sendMessage", chat_id=anna.id, text="x", message_thread_id=7)) == wrong


def test_an_answer_to_a_message_that_is_gone_is_refused_unless_it_may_stand_alone(call, telegram, anna):
    asked = anna.send("/movie 603")
    telegram.delete_message(asked)
    params = {"chat_id": anna.id, "text": "x"}
    refused = call("sendMessage", reply_parameters={"message_id": asked.id}, **params)
    assert refusal(refused) == (400, "Bad Request: message to be replied not found")
    alone = {"message_id": asked.id, "allow_sending_without_reply": True}
    assert "reply_to_message" not in call("sendMessage", reply_parameters=alone, **params)["result"]


# Texts


def test_html_becomes_text_and_entities_counted_in_utf16():
    text, entities = parse_html("😀 <b>жир <i>и курсив</i></b> &lt;3 &amp; <a href='https://a.b/?c=1&amp;d'>там</a>")
    assert text == "😀 жир и курсив <3 & там"
    assert [(e["type"], e["offset"], e["length"]) for e in entities] == [
        ("bold", 3, 12),
        ("italic", 7, 8),
        ("text_link", 21, 3),
    ]
    assert entities[2]["url"] == "https://a.b/?c=1&d"
    assert utf16("😀") == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a < b", 'Unsupported start tag "" at byte offset 2'),
        ("я <h1>", 'Unsupported start tag "h1" at byte offset 3'),
        ("<b>", 'Can\'t find end tag corresponding to start tag "b"'),
        ("<b><i></b>", 'Unmatched end tag at byte offset 6, expected "</i>", found "</b>"'),
        ("a</b>", "Unexpected end tag at byte offset 1"),
        ("a <b", "Unclosed start tag at byte offset 2"),
    ],
)
def test_broken_html_is_refused(call, anna, text, why):
    answer = call("sendMessage", chat_id=anna.id, text=text, parse_mode="HTML")
    assert refusal(answer) == (400, f"Bad Request: can't parse entities: {why}")


def test_the_length_of_a_text_is_measured_after_parsing(call, anna):
    assert call("sendMessage", chat_id=anna.id, text=f"<b>{'x' * 4096}</b>", parse_mode="HTML")["ok"]
    assert refusal(call("sendMessage", chat_id=anna.id, text="x" * 4097)) == (400, "Bad Request: message is too long")
    assert not call("sendMessage", chat_id=anna.id, text="😀" * 2049)["ok"]
    assert refusal(call("sendMessage", chat_id=anna.id, text="<b> </b>", parse_mode="HTML")) == (
        400,
        "Bad Request: message text is empty",
    )


def test_a_caption_has_a_quarter_of_the_room(call, sandbox):
    photo = call("sendPhoto", chat_id=sandbox.channel, files={"photo": ("a.jpg", picture())})["result"]["photo"][-1]
    said = {"chat_id": sandbox.channel, "photo": photo["file_id"]}
    assert call("sendPhoto", caption="x" * 1024, **said)["ok"]
    assert refusal(call("sendPhoto", caption="x" * 1025, **said)) == (400, "Bad Request: message caption is too long")


@pytest.mark.parametrize(
    ("button", "why"),
    [
        ({"text": "a", "callback_data": "я" * 33}, "BUTTON_DATA_INVALID"),
        ({"text": "a", "callback_data": ""}, "BUTTON_DATA_INVALID"),
        ({"text": "a"}, "Text buttons are unallowed in the inline keyboard"),
        ({"text": "", "callback_data": "a"}, "the text is empty"),
        ({"text": "a", "callback_data": "a", "url": "https://a.b"}, "more than one action"),
        ({"text": "a", "url": "http://localhost/"}, "inline keyboard button URL 'http://localhost/' is invalid"),
    ],
)
def test_a_wrong_button_is_refused(call, anna, button, why):
    code, text = refusal(call("sendMessage", chat_id=anna.id, text="x", reply_markup=keyboard(button)))
    assert code == 400
    assert why in text


def test_a_button_holds_64_bytes_and_may_lead_to_the_sandbox(call, anna):
    buttons = {"text": "a", "callback_data": "я" * 32}, {"text": "b", "url": "http://127.0.0.1:8081/authenticate/x"}
    assert call("sendMessage", chat_id=anna.id, text="x", reply_markup=keyboard(*buttons))["ok"]


# Photos and files


@pytest.mark.parametrize(
    ("size", "made"),
    [
        ((500, 750), [(60, 90), (213, 320), (500, 750)]),
        ((80, 60), [(80, 60)]),
        ((2000, 3000), [(60, 90), (213, 320), (533, 800), (853, 1280)]),
    ],
)
def test_a_photo_becomes_several_sizes(call, sandbox, telegram, size, made):
    sent = call("sendPhoto", chat_id=sandbox.channel, files={"photo": ("a.png", picture(size[0], size[1], "PNG"))})[
        "result"
    ]
    assert [(p["width"], p["height"]) for p in sent["photo"]] == made
    assert len({p["file_id"] for p in sent["photo"]}) == len(made)
    assert [p.file_id for p in telegram.photos] == [sent["photo"][-1]["file_id"]]


def test_a_photo_sent_by_file_id_is_no_upload(call, sandbox, telegram, anna):
    first = call("sendPhoto", chat_id=sandbox.channel, files={"photo": ("a.jpg", picture())})["result"]["photo"][-1]
    call("sendPhoto", chat_id=anna.id, photo=first["file_id"])
    assert anna.chat[-1].photo.file_id == first["file_id"]
    assert len(telegram.photos) == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "file must be non-empty"),
        (b"<html>not found</html>", "IMAGE_PROCESS_FAILED"),
        (picture()[:300], "IMAGE_PROCESS_FAILED"),
        (picture(2100, 100), "PHOTO_INVALID_DIMENSIONS"),
        (b"x" * (10 * 1024 * 1024 + 1), "file is too big"),
    ],
)
def test_what_is_no_photo_is_refused(call, sandbox, telegram, content, why):
    answer = call("sendPhoto", chat_id=sandbox.channel, files={"photo": ("a.jpg", content)})
    assert refusal(answer) == (400, f"Bad Request: {why}")
    assert telegram.photos == []


def test_a_file_id_is_good_for_its_bot_until_telegram_forgets_it(call, sandbox, telegram, anna):
    file_id = call("sendPhoto", chat_id=sandbox.channel, files={"photo": ("a.jpg", picture())})["result"]["photo"][-1][
        "file_id"
    ]
    telegram.add_bot("2000000002:another", "another_bot")
    anna.send("hi", bot=telegram.accounts["2000000002:another"].bot)
    answer = call("sendPhoto", token="2000000002:another", chat_id=anna.id, photo=file_id)
    assert answer["description"].startswith("Bad Request: wrong remote file identifier specified")
    telegram.forget_file(file_id)
    wrong = (400, "Bad Request: wrong file identifier/HTTP URL specified")
    assert refusal(call("sendPhoto", chat_id=anna.id, photo=file_id)) == wrong
    assert refusal(call("sendPhoto", chat_id=anna.id, photo="nonsense")) == wrong


def test_a_photo_can_be_downloaded_again(call, sandbox):
    content = picture()
    photo = call("sendPhoto", chat_id=sandbox.channel, files={"photo": ("a.jpg", content)})["result"]["photo"][-1]
    file = call("getFile", file_id=photo["file_id"])["result"]
    address = f"{sandbox.telegram_api_url}/file/bot{sandbox.telegram_token}/{file['file_path']}"
    assert requests.get(address, timeout=5).content == content


def test_a_document_keeps_its_name_and_its_bytes(call, telegram, anna):
    content = bytes(range(256)) * 50 + b"\r\n--\r"
    sent = call("sendDocument", chat_id=anna.id, files={"document": ("оценки.csv", content, "text/csv")})["result"]
    assert sent["document"]["file_name"] == "оценки.csv"
    assert telegram.files[sent["document"]["file_id"]].content == content
    refused = call("sendPhoto", chat_id=anna.id, photo=sent["document"]["file_id"])
    assert refused["description"] == "Bad Request: can't use file of type Document as Photo"


# Edits


def test_an_edit_changes_the_message_in_place(call, anna):
    sent = call(
        "sendMessage", chat_id=anna.id, text="1 of 2", reply_markup=keyboard({"text": "a", "callback_data": "b"})
    )
    place = {"chat_id": anna.id, "message_id": sent["result"]["message_id"]}
    edited = call("editMessageText", text="2 of 2", **place)["result"]
    assert edited["edit_date"]
    assert "reply_markup" not in edited, "an edit without a keyboard takes it away"
    message = anna.chat[-1]
    assert (message.text, [old.text for old in message.edits]) == ("2 of 2", ["1 of 2"])
    assert "message is not modified" in call("editMessageText", text="2 of 2", **place)["description"]
    assert len(message.edits) == 1


def test_only_messages_of_the_bot_that_exist_are_edited(call, anna):
    theirs = anna.chat[0]
    place = {"chat_id": anna.id, "text": "x"}
    wrong = refusal(call("editMessageText", message_id=theirs.id, **place))
    assert wrong == (400, "Bad Request: message can't be edited")
    assert refusal(call("editMessageText", message_id=1, **place)) == (400, "Bad Request: message to edit not found")
    assert call("editMessageText", **place)["description"] == "Bad Request: message identifier is not specified"


def test_a_caption_and_a_text_are_edited_each_in_their_way(call, anna):
    photo = call("sendPhoto", chat_id=anna.id, files={"photo": ("a.jpg", picture())}, caption="a")["result"]
    text = call("sendMessage", chat_id=anna.id, text="a")["result"]
    to_photo = {"chat_id": anna.id, "message_id": photo["message_id"]}
    to_text = {"chat_id": anna.id, "message_id": text["message_id"]}
    assert call("editMessageCaption", caption="b", **to_photo)["ok"]
    assert "there is no text" in call("editMessageText", text="b", **to_photo)["description"]
    assert "there is no caption" in call("editMessageCaption", caption="b", **to_text)["description"]
    media = {"type": "photo", "media": "attach://new", "caption": "c"}
    call("editMessageMedia", media=media, files={"new": ("a.jpg", picture(100, 100))}, **to_photo)
    message = anna.chat[-2]
    assert (message.caption, message.photo.width, len(message.edits)) == ("c", 100, 2)


def test_a_deleted_message_is_gone(call, anna):
    place = {"chat_id": anna.id, "message_id": call("sendMessage", chat_id=anna.id, text="x")["result"]["message_id"]}
    assert call("deleteMessage", **place)["ok"]
    assert len(anna.chat) == 1
    assert refusal(call("deleteMessage", **place)) == (400, "Bad Request: message to delete not found")


# Presses and inline mode


def test_a_press_is_answered_once(call, anna):
    call("sendMessage", chat_id=anna.id, text="?", reply_markup=keyboard({"text": "8", "callback_data": "rate:603:8"}))
    query = anna.press(anna.chat[-1], "8")
    [update] = call("getUpdates")["result"]
    assert update["callback_query"]["data"] == "rate:603:8"
    assert update["callback_query"]["message"]["text"] == "?"
    assert not query.answer
    assert call("answerCallbackQuery", callback_query_id=query.id, text="noted", show_alert=True)["ok"]
    assert (query.answer.text, query.answer.show_alert) == ("noted", True)
    assert refusal(call("answerCallbackQuery", callback_query_id=query.id)) == (400, OLD)


def test_a_press_cannot_be_answered_late_or_at_length(call, telegram, anna):
    call("sendMessage", chat_id=anna.id, text="?", reply_markup=keyboard({"text": "8", "callback_data": "8"}))
    query = anna.press(anna.chat[-1], data="8")
    assert not call("answerCallbackQuery", callback_query_id=query.id, text="x" * 201)["ok"]
    telegram.clock = lambda: time.time() + 151
    assert refusal(call("answerCallbackQuery", callback_query_id=query.id)) == (400, OLD)
    assert refusal(call("answerCallbackQuery", callback_query_id="1")) == (400, OLD)


def test_an_inline_query_gets_cached_photos_and_a_choice_becomes_a_message(call, sandbox, anna):
    photo = call("sendPhoto", chat_id=sandbox.channel, files={"photo": ("a.jpg", picture())})["result"]["photo"][-1]
    query = anna.inline("матрица")
    [update] = call("getUpdates")["result"]
    assert (update["inline_query"]["query"], update["inline_query"]["offset"]) == ("матрица", "")
    result = {"type": "photo", "id": "603", "photo_file_id": photo["file_id"], "caption": "<b>Матрица</b>"}
    result["parse_mode"] = "HTML"
    assert call("answerInlineQuery", inline_query_id=query.id, results=[result], next_offset="20")["ok"]
    assert query.wait(1)[0]["id"] == "603"
    assert query.next_offset == "20"
    message = anna.choose(query, "603")
    assert (message.caption, message.photo.file_id) == ("Матрица", photo["file_id"])
    [update] = [u for u in call("getUpdates")["result"] if "message" in u]
    assert update["message"]["via_bot"]["is_bot"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"results": [{"type": "photo", "id": "1", "photo_file_id": "gone"}]},
            "wrong file identifier/HTTP URL specified",
        ),
        ({"results": [{"type": "article", "id": "1"}]}, "can't parse inline query result"),
        ({"results": [{"type": "article", "id": "я" * 33}]}, "RESULT_ID_INVALID"),
        ({"results": [{}] * 51}, "RESULTS_TOO_MUCH"),
        ({"results": [], "next_offset": "x" * 65}, "NEXT_OFFSET_INVALID"),
        ({"results": [], "inline_query_id": "1"}, OLD.removeprefix("Bad Request: ")),
    ],
)
def test_a_wrong_inline_answer_is_refused(call, anna, change, why):
    answer = call("answerInlineQuery", **{"inline_query_id": anna.inline("x").id, **change})
    assert why in answer["description"]


def test_inline_results_have_different_ids_and_come_in_time(call, telegram, anna):
    article = {"type": "article", "id": "1", "title": "a", "input_message_content": {"message_text": "a"}}
    query = anna.inline("x")
    twice = call("answerInlineQuery", inline_query_id=query.id, results=[article, article])
    assert twice["description"] == "Bad Request: RESULT_ID_DUPLICATE"
    telegram.clock = lambda: time.time() + 31
    assert refusal(call("answerInlineQuery", inline_query_id=query.id, results=[article])) == (400, OLD)


def test_telegram_answers_a_repeated_inline_query_itself_where_that_is_on(call, telegram, anna):
    telegram.inline_cache = True
    article = {"type": "article", "id": "1", "title": "a", "input_message_content": {"message_text": "a"}}
    call("answerInlineQuery", inline_query_id=anna.inline("x").id, results=[article], cache_time=60)
    assert anna.inline("x").results == [article]
    assert anna.inline("y").results is None
    telegram.clock = lambda: time.time() + 61
    assert anna.inline("x").results is None


# Updates


def test_an_update_comes_again_until_a_later_offset_is_asked_for(call, anna):
    anna.send("one")
    anna.send("two")
    first = call("getUpdates", limit=1)["result"]
    assert call("getUpdates", limit=1)["result"] == first
    second = call("getUpdates", offset=first[0]["update_id"] + 1)["result"]
    assert [u["message"]["text"] for u in second] == ["two"]
    assert second[0]["update_id"] == first[0]["update_id"] + 1
    assert call("getUpdates")["result"] == second, "what was confirmed does not come back"
    assert call("getUpdates", offset=second[0]["update_id"] + 1)["result"] == []


def test_an_offset_from_the_future_counts_as_none(call, anna):
    """As after a week without updates, when the ids may begin again, or with another server's ids."""
    anna.send("one")
    anna.send("two")
    first = call("getUpdates")["result"]
    assert call("getUpdates", offset=first[-1]["update_id"] + 1_000)["result"] == first
    assert call("getUpdates", offset=first[-1]["update_id"] + 1)["result"] == []


def test_a_negative_offset_keeps_the_last_updates_only(call, anna):
    for text in "abc":
        anna.send(text)
    assert [u["message"]["text"] for u in call("getUpdates", offset=-2)["result"]] == ["b", "c"]
    assert len(call("getUpdates")["result"]) == 2


def test_a_long_poll_ends_when_something_comes(call, anna):
    threading.Timer(0.2, anna.send, ["hello"]).start()
    started = time.monotonic()
    [update] = call("getUpdates", timeout=10)["result"]
    assert update["message"]["text"] == "hello"
    assert 0.1 < time.monotonic() - started < 3


def test_of_two_polls_the_earlier_meets_a_conflict(call, sandbox, telegram):
    answers = []
    address = f"{sandbox.telegram_api_url}/bot{sandbox.telegram_token}/getUpdates"
    first = threading.Thread(
        target=lambda: answers.append(requests.post(address, data={"timeout": 10}, timeout=20).json())
    )
    first.start()
    assert telegram.wait_until(lambda: telegram.account_of(telegram.bot).polling == 1, 5)
    assert call("getUpdates")["ok"]
    first.join(5)
    code, text = refusal(answers[0])
    assert code == 409
    assert text.startswith("Conflict: terminated by other getUpdates request")


def test_only_the_kinds_of_updates_that_were_asked_for_come(call, anna):
    call("getUpdates", allowed_updates=["callback_query"])
    anna.send("hello")
    assert call("getUpdates")["result"] == []
    call("getUpdates", allowed_updates=[])
    anna.send("hello")
    assert len(call("getUpdates")["result"]) == 1


def test_an_update_older_than_a_day_is_gone(call, telegram, anna):
    anna.send("hello")
    telegram.clock = lambda: time.time() + 24 * 3600 + 1
    assert call("getUpdates")["result"] == []


def test_a_webhook_gets_updates_in_order_again_until_it_takes_them(call, telegram, anna):
    seen, statuses = [], [500, 200, 200]

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((body["message"]["text"], self.headers["X-Telegram-Bot-Api-Secret-Token"]))
            self.send_response(statuses.pop(0))
            self.end_headers()
            if len(seen) == 3:
                reply = {"method": "sendMessage", "chat_id": anna.id, "text": "by return"}
                self.wfile.write(json.dumps(reply).encode())

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/hook/"
        assert call("setWebhook", url=url, secret_token="secret", max_connections=5)["ok"]
        telegram.account_of(telegram.bot).webhook.pauses = (0.1,)
        assert refusal(call("getUpdates"))[0] == 409
        anna.send("one")
        anna.send("two")
        assert anna.wait(lambda m: m.text == "by return", timeout=5)
        assert seen == [("one", "secret"), ("one", "secret"), ("two", "secret")]
        assert telegram.wait_until(lambda: not telegram.account_of(telegram.bot).updates, 5)
        assert "500" in call("getWebhookInfo")["result"]["last_error_message"]
        assert call("deleteWebhook")["ok"]
        assert call("getUpdates")["result"] == []
    finally:
        server.shutdown()
        server.server_close()


def test_a_webhook_needs_https_or_this_machine(call):
    assert not call("setWebhook", url="http://example.org/hook")["ok"]


# Limits and faults


def test_a_channel_takes_twenty_messages_a_minute(call, sandbox, telegram):
    telegram.limits = True
    answers = [call("sendMessage", chat_id=sandbox.channel, text=str(n)) for n in range(21)]
    assert [a["ok"] for a in answers] == [True] * 20 + [False]
    wait = answers[-1]["parameters"]["retry_after"]
    assert refusal(answers[-1]) == (429, f"Too Many Requests: retry after {wait}")
    assert 55 < wait <= 60
    assert telegram.refused == 1
    telegram.clock = lambda: time.time() + wait
    assert call("sendMessage", chat_id=sandbox.channel, text="x")["ok"]


def test_a_private_chat_takes_a_burst_and_then_one_a_second(call, telegram, anna):
    telegram.limits = True
    answers = [call("sendMessage", chat_id=anna.id, text=str(n)) for n in range(6)]
    assert [a["ok"] for a in answers] == [True] * 5 + [False]
    assert call("sendChatAction", chat_id=anna.id, action="typing")["ok"], "only messages count"


def test_a_call_can_be_made_to_fail(call, telegram, anna):
    telegram.fail("sendMessage", retry_after=7)
    telegram.fail("sendMessage", 502, "Bad Gateway")
    answers = [call("sendMessage", chat_id=anna.id, text="x") for _ in range(3)]
    assert answers[0]["parameters"] == {"retry_after": 7}
    assert [a["ok"] for a in answers] == [False, False, True]
    assert [c.status for c in telegram.calls_of("sendMessage")] == [429, 502, 200]


def test_a_connection_can_break_after_the_work_is_done(call, telegram, anna):
    telegram.fail("sendMessage", drop="after")
    with pytest.raises(requests.ConnectionError):
        call("sendMessage", chat_id=anna.id, text="x")
    assert anna.chat[-1].text == "x"


def test_every_call_is_recorded_as_it_came(call, telegram, anna):
    call("sendPhoto", chat_id=anna.id, caption="c", files={"photo": ("a.jpg", picture())})
    [seen] = telegram.calls_of("sendPhoto")
    assert seen.params == {"chat_id": str(anna.id), "caption": "c"}
    assert seen.files["photo"].content == picture()
    assert (seen.status, seen.token_ok, seen.in_query) == (200, True, False)


# The bot itself, and people


def test_commands_are_kept_by_language_and_scope(call):
    commands = [{"command": "movie", "description": "карточка фильма"}]
    assert call("setMyCommands", commands=commands, language_code="ru")["ok"]
    assert call("getMyCommands", language_code="ru")["result"] == commands
    assert call("getMyCommands")["result"] == []
    wrong = call("setMyCommands", commands=[{"command": "Фильм", "description": "x"}])
    assert wrong["description"] == "Bad Request: BOT_COMMAND_INVALID"


def test_the_bot_may_ask_about_a_chat_and_its_members(call, sandbox, telegram, anna):
    me = call("getMe")["result"]
    assert me["username"] == telegram.bot.username
    assert call("getChat", chat_id=sandbox.channel)["result"]["type"] == "channel"
    member = call("getChatMember", chat_id=sandbox.channel, user_id=me["id"])["result"]
    assert (member["status"], member["can_post_messages"]) == ("administrator", True)
    assert call("getChatMember", chat_id=sandbox.channel, user_id=anna.id)["result"]["status"] == "left"


def test_a_person_who_waits_in_vain_sees_the_chat(anna):
    with pytest.raises(AssertionError, match="/start"):
        anna.wait(lambda message: "never" in message.words, timeout=0.1)


def test_a_link_to_the_bot_starts_it_with_a_payload(call, telegram):
    telegram.person("Борис").open("https://t.me/kinoteka_sandbox_bot?start=movie_603")
    [update] = call("getUpdates")["result"]
    assert update["message"]["text"] == "/start movie_603"
    assert update["message"]["entities"] == [{"type": "bot_command", "offset": 0, "length": 6}]


# The chat page


def test_the_page_is_whole_and_lets_nothing_else_in(sandbox):
    for path in ("/", "/chat.js", "/chat.css", "/kinoteka_sandbox_bot?start=tmdb"):
        reply = requests.get(sandbox.url + path, timeout=5)
        assert reply.status_code == 200
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "<script>" not in requests.get(sandbox.url, timeout=5).text


def test_what_is_done_on_the_page_is_done_by_the_person(sandbox, call, telegram):
    anna = telegram.person("Анна")
    api = f"{sandbox.url}/chat/api/"
    requests.post(api + "send", json={"person": anna.id, "text": "/movie 603"}, timeout=5)
    assert call("getUpdates")["result"][0]["message"]["text"] == "/movie 603"
    call("sendMessage", chat_id=anna.id, text="<b>x</b> &lt;script&gt;", parse_mode="HTML")
    state = requests.get(api + "state", params={"person": anna.id, "since": ""}, timeout=5).json()
    assert [m["text"] for m in state["messages"]] == ["/movie 603", "x <script>"]
    assert state["messages"][1]["entities"] == [{"type": "bold", "offset": 0, "length": 1}]
    requests.post(api + "language", json={"person": anna.id, "language": "en"}, timeout=5)
    assert anna.language_code == "en"


def test_another_site_cannot_write_in_a_persons_name(sandbox, telegram):
    anna = telegram.person("Анна")
    body = {"person": anna.id, "text": "x"}
    alien = requests.post(
        f"{sandbox.url}/chat/api/send", json=body, headers={"Origin": "https://example.org"}, timeout=5
    )
    assert alien.status_code == 403
    assert requests.post(f"{sandbox.url}/chat/api/send", data=body, timeout=5).status_code == 403
    assert anna.chat == []
