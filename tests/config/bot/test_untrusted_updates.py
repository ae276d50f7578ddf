"""The door of the chat: what a hostile, changed or odd client may send, and that it lets nobody in."""

import itertools
import json
import logging

import pytest

from config.bot.dispatch import handle_update
from config.bot.router import button_prefixes
from config.models import Update
from movies.models import Movie
from ratings.models import FileImport, MatchLink, Rating
from tests.config.bot.test_webhook import HEADER, SECRET
from tests.helpers.waiting import wait_until
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db

GROUP_ANONYMOUS = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
CHANNEL_BOT = {"id": 136817688, "is_bot": True, "first_name": "Channel", "username": "Channel_Bot"}
TELEGRAM = {"id": 777000, "is_bot": False, "first_name": "Telegram"}
OTHER_BOT = {"id": 2000000002, "is_bot": True, "first_name": "Other", "username": "other_bot"}
numbers = itertools.count(1)


@pytest.fixture
def anna(sandbox):
    person = sandbox.telegram.person("Anna", language_code="en")
    person.send("/help")
    return person


@pytest.fixture
def boris(sandbox):
    return sandbox.telegram.person("Boris", language_code="en")


@pytest.fixture
def film():
    return Movie.objects.create(pk=603, title="Матрица", details_at=1, search_text="матрица")


@pytest.fixture
def group(sandbox, anna):
    return sandbox.telegram.group("Film club", [anna])


@pytest.fixture
def deliver(sandbox, handle, caplog):
    """deliver({"message": …}): the calls the bot makes for it. Nothing in it may be an error of ours."""
    handle()

    def update(parts):
        caplog.clear()
        before = len(sandbox.telegram.calls)
        handle_update({"update_id": next(numbers)} | parts)
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR], caplog.text
        return list(sandbox.telegram.calls)[before:]

    return update


@pytest.fixture
def press(anna, deliver):
    """press("rate:603:8"): what the bot answers Anna's changed app, which made the button up."""

    def tap(data, message=None, **person):
        place = {
            "message_id": 1,
            "date": 1_700_000_000,
            "chat": {"id": anna.id, "type": "private", "first_name": "Anna"},
        }
        query = {"id": "1", "from": anna.as_json() | person, "message": message or place, "chat_instance": "1"}
        calls = deliver({"callback_query": query | {"data": data}})
        return next(call.params.get("text", "") for call in calls if call.method == "answerCallbackQuery")

    return tap


def said(text, chat, sender, **more):
    """A message as JSON; `sender` None: nobody is named."""
    message = {"message_id": 5, "date": 1_700_000_000, "chat": chat.as_json(), "text": text, **more}
    return {"message": message | ({"from": sender} if sender else {})}


# --- Who speaks


@pytest.mark.parametrize("command", ["/rate 603 9", "/movie 603", "/start", "/forget", "/connect", "/match"])
def test_an_anonymous_administrator_or_a_channel_is_nobody_and_told_so(deliver, film, group, command):
    """GroupAnonymousBot and Channel_Bot are the same sender in every group: what is kept for it is everybody's."""
    for sender, voice in ((GROUP_ANONYMOUS, group.as_json()), (CHANNEL_BOT, {"id": -1005, "type": "channel"})):
        (call,) = deliver(said(command, group, sender, sender_chat=voice))
        assert call.params["text"].startswith(("I cannot see who you are", "Я не вижу, кто вы"))
        assert call.params["chat_id"] == str(group.id)
    assert not User.objects.filter(pk__in=[GROUP_ANONYMOUS["id"], CHANNEL_BOT["id"]]).exists()
    assert not Rating.objects.exists()


@pytest.mark.parametrize("command", ["/rate 603 9", "/movie 603", "/start", "что угодно"])
def test_bots_and_posts_passed_on_from_a_linked_channel_get_no_answer(deliver, film, group, command):
    """Two bots that answer each other would never end."""
    channel = {"id": -1005, "type": "channel", "title": "Кино"}
    passed_on = {"sender_chat": channel, "is_automatic_forward": True, "forward_origin": {
        "type": "channel", "chat": channel, "message_id": 1, "date": 1}}  # fmt: skip
    assert deliver(said(command, group, OTHER_BOT)) == []
    assert deliver(said(command, group, TELEGRAM, **passed_on)) == []
    assert deliver(said(command, group, None)) == []
    assert not User.objects.filter(pk__in=[OTHER_BOT["id"], TELEGRAM["id"]]).exists()


def test_a_command_in_a_channel_does_nothing(deliver, sandbox, film):
    channel = sandbox.telegram.poster_channel
    post = said("/rate 603 9", channel, None, sender_chat=channel.as_json())["message"]
    for kind in ("channel_post", "edited_channel_post", "message"):
        assert [c.method for c in deliver({kind: post}) if c.method != "sendMessage"] == []
    assert not Rating.objects.exists()


@pytest.mark.parametrize("kind", ["edited_message", "business_message", "edited_business_message", "chat_member"])
def test_kinds_of_updates_that_nobody_asked_for_do_nothing(deliver, anna, film, kind):
    message = said("/rate 603 9", anna.private_chat(), anna.as_json())["message"]
    change = {"chat": anna.private_chat().as_json(), "from": anna.as_json(), "date": 1}
    person = {"user": anna.as_json(), "status": "member"}
    change |= {"old_chat_member": person, "new_chat_member": person}
    assert deliver({kind: change if kind == "chat_member" else message | {"business_connection_id": "x"}}) == []
    assert not Rating.objects.exists()


def test_a_forwarded_message_acts_for_who_forwards_it_and_nobody_else(sandbox, anna, boris, film, handle):
    boris.send("/rate 603 9")
    handle()
    anna.forward(boris.chat[0])
    handle()
    assert set(Rating.objects.values_list("user_id", "manual_rating")) == {(anna.id, 9), (boris.id, 9)}


def test_a_number_in_reply_to_what_only_looks_like_a_card_rates_nothing(deliver, anna, film):
    """A forwarded card, a bot's or a channel's message with our buttons in it."""
    buttons = {"inline_keyboard": [[{"text": "8", "callback_data": "rate:603:8"}]]}
    for sender in (anna.as_json(), OTHER_BOT, None):
        answered = said("x", anna.private_chat(), sender, reply_markup=buttons)["message"]
        deliver(said("9", anna.private_chat(), anna.as_json(), reply_to_message=answered))
    assert not Rating.objects.exists()


# --- Made-up buttons


def test_every_button_of_ours_with_rubbish_behind_it_is_refused_in_words(press, film):
    rubbish = ["", ":", "::::", ":0", ":-1", ":603:11", ":603:8:9", ":603:8\n", ":٦٠٣:8", ":603:8.25", ":9999999999:8",
               ":\0", ":603:" + "8" * 40, ":" + "9" * 30, ":💣" * 8, ":'; DROP TABLE movies; --"]  # fmt: skip
    for prefix, rest in itertools.product(sorted(button_prefixes - {"nomatch"}), rubbish):
        assert press((prefix + rest)[:64]) is not None
    assert not Rating.objects.exists()
    assert Movie.objects.get(pk=603).title == "Матрица"


def test_a_made_up_button_reaches_nothing_of_another_persons(press, anna, boris, film):
    """Another's file, link, token, list; the rating is always the presser's own."""
    other, _created = User.objects.get_or_create(pk=boris.id, defaults={"language": "en"})
    Rating.objects.create(user=other, movie_id=603, manual_rating=9, normalized_rating=9, rated_at=1, source="manual")
    file = FileImport.objects.create(user=other, sent_at=1, finished_at=1, telegram_file_id="x")
    link = MatchLink.objects.create(user=other, token="abcdefghijkl", created_at=1)
    assert "no longer have" in press(f"file:{file.pk}")
    assert "somebody else's" in press(f"card:603:{boris.id}")
    assert "somebody else's" in press(f"similar:603:0:{boris.id}")
    assert "somebody else's" in press(f"found:0:{boris.id}:матрица")
    assert "no longer works" in press("approved:" + "f" * 40)
    press("unrate:603"), press("matchend:abcdefghijkl"), press("forget:yes"), press("writes:off")
    other.refresh_from_db()
    file.refresh_from_db()
    assert other.writes_ratings
    assert file.finished_at == 1
    assert MatchLink.objects.get() == link
    assert Rating.objects.get().user_id == boris.id


def test_a_button_in_a_group_does_not_show_or_do_what_is_for_a_private_chat(press, film, group, anna):
    place = {"message_id": 1, "date": 1_700_000_000, "chat": group.as_json()}
    lists = ("rated:new:0", "recommend:0:any:any", "dismissed:0", "carousel:rec:show:603", "carousel:first:done")
    for data in (*lists, "carousel:rec:seen:603", "carousel:rec:no:603"):
        assert press(data, place) == "This button is out of date."


# --- /start and its payloads


@pytest.mark.parametrize(
    "payload",
    ["tmdb_" + "f" * 40, "tmdb", "tmdb ", "TMDB", "match_", "match_" + "A" * 58, "match", "movie_0",
     "movie_" + "9" * 20, "movie_٦", "movie_603;x", "_", "__", "approved_x", "../..", "<b>x", "%00",
     "\ud83d", "A" * 4000],
)  # fmt: skip
def test_no_payload_of_start_does_more_than_answer(deliver, anna, payload):
    calls = deliver(said(f"/start {payload}", anna.private_chat(), anna.as_json()))
    assert [call.method for call in calls if call.method.startswith("send")] == ["sendMessage"]
    user = User.objects.get(pk=anna.id)
    assert (user.connected, user.sync_status) == (False, SyncStatus.NOT_CONNECTED)


def test_a_token_that_an_attacker_approved_ties_no_other_chat_to_the_attackers_account(sandbox, anna, boris, handle):
    """Boris has /connect's token approved by his own account, and sends it to Anna in every way there is."""
    boris.send("/connect")
    handle()
    token = boris.chat[-1].button(text="Done").data.partition(":")[2]
    sandbox.tmdb.approve(token, "demo")
    for text in (
        f"/start tmdb_{token}",
        f"/start {token}",
        f"/start approved_{token}",
        f"/connect {token}",
        "/start tmdb",
    ):
        anna.send(text)
    anna.forward(boris.chat[-1])
    handle()
    assert not User.objects.get(pk=anna.id).connected
    assert sandbox.tmdb.sessions == {}


def test_a_token_that_somebody_else_approved_is_used_in_no_chat_but_the_askers(sandbox, anna, boris, handle):
    """The other way round: Anna's own link, approved by whoever got hold of it, does nothing in Boris' chat."""
    anna.send("/connect")
    handle()
    question = anna.chat[-1]
    token = question.button(text="Done").data.partition(":")[2]
    sandbox.tmdb.approve(token, "demo")
    boris.send("/start")
    boris.send(f"/start tmdb_{token}")
    boris.open("https://t.me/kinoteka_sandbox_bot?start=tmdb")
    handle()
    assert not User.objects.get(pk=boris.id).connected
    assert sandbox.tmdb.sessions == {}


def test_two_peoples_consent_cannot_be_had_with_one_persons_link(press, anna, boris, film):
    """A made-up yes to a link that does not exist, is one's own, or is over, compares and tells nothing."""
    me, _created = User.objects.get_or_create(pk=anna.id, defaults={"language": "en"})
    MatchLink.objects.create(user=me, token="abcdefghijkl", created_at=2_000_000_000)
    for token in ("abcdefghijkl", "mnopqrstuvwx", "a" * 10, "a" * 41, "%" * 12, "abcdefghijk_"):
        assert press(f"match:{token}")
    assert not User.objects.filter(pk=boris.id).exists()


# --- Odd letters


ODD = [
    "\0" * 256, "матрица\0", "%" * 256, "_" * 256, "\\" * 256, "'" * 256, '"' * 256, "%' OR 1=1 --", "\u202e" * 256,
    "אבג" * 85, "👩\u200d👩\u200d👧\u200d👦" * 36, "🏳️\u200d🌈", "\ud83d" * 256, "\U0010ffff" * 256, "ﷺ" * 256,
    "İ" * 256, "ß" * 256, "*" * 256, "(" * 256, "[" * 256, "a|b", "|" * 256, "<b>" * 85, "&#0;", "\n" * 256,
    "\t \u2003" * 64, "٣" * 256, "²" * 200, "Z̷͎̈" * 60, "-1", "0x25b", "1e3", "NaN", "themoviedb.org/movie/" + "9" * 230,
]  # fmt: skip


@pytest.mark.parametrize("typed", ODD, ids=range(len(ODD)))
def test_whatever_letters_are_typed_inline_or_sent_are_answered(deliver, anna, film, typed):
    query = {"id": "1", "from": anna.as_json(), "query": typed[:256], "offset": ""}
    calls = deliver({"inline_query": query})  # where it is the first to name the bot, the bot asks who it is
    assert [call.method for call in calls if call.method != "getMe"] == ["answerInlineQuery"]
    calls = deliver(said(typed, anna.private_chat(), anna.as_json()))
    assert [call.method for call in calls if call.method.startswith("send") and call.method != "sendChatAction"]


def test_odd_letters_in_names_and_languages_are_answered(deliver, anna):
    for odd in ("\0", "\ud83d", "<b>", "x" * 5000, ""):
        sender = anna.as_json() | {"first_name": odd, "last_name": odd, "username": odd, "language_code": odd}
        assert deliver(said("/help", anna.private_chat(), sender))


# --- The webhook's own door


@pytest.fixture
def post(sandbox, client, settings, monkeypatch):
    """post(body): what the webhook answers to Telegram."""
    settings.TELEGRAM_WEBHOOK_SECRET = SECRET
    return lambda body: client.post(
        "/telegram/webhook/", body, content_type="application/json", headers={HEADER: SECRET}
    )


@pytest.mark.parametrize(
    "body",
    [
        '{"update_id": 7, "message": ' + '{"reply_to_message": ' * 900 + "{}" + "}" * 901,
        '{"update_id": 7, "message": {"message_id": ' + "9" * 1_000_000 + "}}",
        '{"update_id": 7, "message": {"message_id": 1, "date": NaN, "chat": {"id": 501, "type": "private"}}}',
        '{"update_id": 7, "message": {"message_id": 1, "date": 1, "chat": {"id": 1e999, "type": "private"}}}',
        '{"update_id": 7, "message": {"message_id": 1, "date": 1, "chat": {"id": ["x"], "type": "private"}}}',
        '{"update_id": 7, "message": {"message_id": 1, "date": 1, "chat": {"id": "\\u0000", "type": "\\ud800"}}}',
        '{"update_id": 7, "callback_query": {"id": 5, "from": null, "data": []}}',
        '{"update_id": 7, "inline_query": []}',
        '{"update_id": 7, "message": true}',
        '{"update_id": 7}',
        '{"update_id": 7, "update_id": 7, "message": {}, "message": {}}',
        '{"\\u0000": 1, "update_id": 7}',
    ],
    ids=range(12),
)
def test_a_json_bomb_is_answered_and_gone(sandbox, post, caplog, body):
    caplog.set_level(logging.ERROR)
    for _delivery in range(2):
        answer = post(body)
        assert (answer.status_code, answer.content) == (200, b"")
    wait_until(lambda: not Update.objects.filter(state__lt=Update.State.HANDLED).exists())
    assert sandbox.telegram.calls == []
    assert caplog.text == ""


def test_of_a_name_given_twice_the_last_counts_for_everybody(sandbox, post, anna, boris):
    """Else one part of the bot would see another sender than the next."""
    boris.send("/help")
    update = json.dumps({"update_id": 9} | said("/start", boris.private_chat(), boris.as_json()))
    first = json.dumps(anna.as_json())
    post(update.replace('"from":', f'"from": {first}, "from":'))
    wait_until(lambda: not Update.objects.filter(state__lt=Update.State.HANDLED).exists())
    assert User.objects.get().pk == boris.id
    assert [call.params["chat_id"] for call in sandbox.telegram.calls_of("sendMessage")] == [str(boris.id)]
