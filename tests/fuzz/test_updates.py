"""Updates through the webhook and the handlers: each is answered 200 and done with, and none is an error of ours."""

import json
import logging
from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config.bot.validation import read_update
from config.models import Update
from tests.config.bot.test_webhook import HEADER, SECRET
from tests.fuzz.mutations import JUNK, LONG, TEXT, WHOLE, bounded, most_memory, spoilt
from tests.helpers.waiting import wait_until
from users.models import User

pytestmark = pytest.mark.django_db

MOST_MEMORY = 100 * 2**20
numbers = count(1)

ANNA = {"id": 501, "is_bot": False, "first_name": "Анна", "language_code": "ru", "username": "anna"}
BOT = {"id": 1000000001, "is_bot": True, "first_name": "Кинотека", "username": "kinoteka_sandbox_bot"}
PRIVATE = {"id": 501, "type": "private", "first_name": "Анна"}
GROUP = {"id": -4_000_000_001, "type": "group", "title": "Кино"}
CARD = {
    "message_id": 7, "date": 1_700_000_000, "chat": PRIVATE, "from": BOT, "caption": "Матрица",
    "photo": [{"file_id": "x", "file_unique_id": "x", "width": 90, "height": 60}],
    "reply_markup": {"inline_keyboard": [[{"text": "8", "callback_data": "rate:603:8"}]]},
}  # fmt: skip


def said(text, **more):
    return {"message_id": 8, "date": 1_700_000_000, "chat": PRIVATE, "from": ANNA, "text": text, **more}


def sent(**what):
    return {name: value for name, value in said("").items() if name != "text"} | what


DOCUMENT = {"file_id": "x", "file_unique_id": "x", "file_name": "ratings.csv", "mime_type": "text/csv", "file_size": 9}
MESSAGES = [
    said("/start"), said("/start tmdb"), said("/start movie_603"), said("/start match_abcdefghijkl"),
    said("/movie 603"), said("/rate 603 7.5"), said("/rated"), said("/recommend"), said("/stats"),
    said("/connect"), said("/sync"), said("/forget"), said("/disconnect"), said("/match"), said("/export"),
    said("/settings"), said("матрица"),
    said("/movie матрица", chat=GROUP), said("/rate 603 8", chat=GROUP, sender_chat=GROUP),
    said("9", reply_to_message=CARD), sent(document=DOCUMENT), sent(location={"latitude": 1.5, "longitude": 2}),
    said("603", forward_origin={"type": "user", "sender_user": BOT, "date": 1}), said("/help", via_bot=BOT),
]  # fmt: skip
DATA = [
    "rate:603:8", "unrate:603", "keep:603", "card:603", "card:603:501", "similar:603", "similar:603:0:501",
    "found:0::матрица", "more:0:501:матрица", "rated:new:0", "recommend:0:any:any", "dismissed:0:603",
    "carousel:rec:after:603", "carousel:rec:no:603", "carousel:rec:seen:603", "carousel:rec:genre:35:1",
    "carousel:rec:menu:genres", "carousel:rec:undo:no:603:0", "carousel:first:skip:603", "groupfilms:1:501",
    "match:abcdefghijkl", "matchend:abcdefghijkl", "nomatch", "file:1", "forget:no", "writes:off", "approved:abc",
]  # fmt: skip
PRESS = {"id": "1", "from": ANNA, "message": CARD, "chat_instance": "1"}
UPDATES = [
    *({"message": message} for message in MESSAGES),
    *({"callback_query": PRESS | {"data": data}} for data in DATA),
    {"callback_query": {"id": "1", "from": ANNA, "inline_message_id": "x", "chat_instance": "1", "data": "rate:603:8"}},
    {"inline_query": {"id": "1", "from": ANNA, "query": "матрица", "offset": ""}},
    {"my_chat_member": {
        "chat": PRIVATE, "from": ANNA, "date": 1, "old_chat_member": {"user": BOT, "status": "member"},
        "new_chat_member": {"user": BOT, "status": "kicked", "until_date": 0}}},
    {"edited_message": MESSAGES[0] | {"edit_date": 1}},
    {"channel_post": sent(text="/rate 603 8", chat={"id": -1001, "type": "channel", "title": "x"})},
    {"business_message": MESSAGES[0] | {"business_connection_id": "x"}},
]  # fmt: skip

# A changed app may put anything into a button; only Telegram says who presses it.
BUTTONS = st.builds(
    lambda data: {"callback_query": PRESS | {"data": data}},
    st.builds(lambda known, rest: (known.rsplit(":", 1)[0] + rest)[:64], st.sampled_from(DATA), TEXT) | TEXT,
)
NAMES = st.sampled_from(["start", "movie", "rate", "rated", "connect", "match"])
WORDS = st.builds(lambda text: {"message": said(text)}, TEXT | LONG | st.builds("/{} {}".format, NAMES, TEXT))
TYPED = st.builds(
    lambda text, offset: {"inline_query": {"id": "1", "from": ANNA, "query": text[:256], "offset": offset}},
    TEXT | LONG,
    st.just("") | TEXT,
)


@pytest.fixture
def deliver(sandbox, client, settings, monkeypatch, caplog):
    """deliver(update): post it as Telegram does; what the bot makes of it is done when this returns."""
    settings.TELEGRAM_WEBHOOK_SECRET = SECRET
    sandbox.telegram.person("Анна", id=501).send("/help")
    caplog.set_level(logging.ERROR)

    def post(update):
        caplog.clear()
        update = {"update_id": next(numbers)} | update if isinstance(update, dict) else update
        body = json.dumps(update).encode("utf-8", "surrogatepass")
        answer = client.post("/telegram/webhook/", body, content_type="application/json", headers={HEADER: SECRET})
        assert answer.status_code == 200
        wait_until(lambda: not Update.objects.filter(state__lt=Update.State.HANDLED).exists())
        assert caplog.text == ""

    return post


def test_what_is_spoilt_is_good_before_that(deliver):
    for update in UPDATES:
        read_update(json.loads(json.dumps({"update_id": 1} | update)))
        deliver(update)


@bounded
@given(spoilt(UPDATES))
@example({"message": said("/start", **{"from": ANNA | {"id": 2**63}})})
@example({"message": said("/start", chat=PRIVATE | {"id": []})})
@example({"message": said("/start", chat=PRIVATE | {"id": "\ud83d"})})
@example({"message": said("\0/movie \ud83d")})
def test_any_update_is_answered_and_done_with(deliver, update):
    before = most_memory()
    deliver(update)
    assert most_memory() - before < MOST_MEMORY
    assert all(-(2**52) < person < 2**52 for person in User.objects.values_list("pk", flat=True))


@bounded
@given(BUTTONS | WORDS | TYPED)
def test_whatever_a_person_writes_types_or_presses_is_answered_and_done_with(deliver, sandbox, update):
    deliver(update)


@bounded
@given(JUNK | st.builds(lambda number: {"update_id": number}, WHOLE))
def test_json_that_is_no_update_is_answered_and_done_with(deliver, junk):
    deliver(junk)
