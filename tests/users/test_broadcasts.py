"""A broadcast reaches everybody it is for once, whatever happens meanwhile, and a message to one person is recorded."""

import io
import time

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.urls import reverse
from PIL import Image

from config.models import RateLimit
from movies.models import Movie, PosterStatus
from ratings.models import Rating
from tests.conftest import queued
from users.disconnect import delete_everything
from users.mailing import sender
from users.mailing.models import Broadcast, BroadcastState, Delivery, DirectMessage, MessageTemplate, Recipient
from users.models import User
from users.tasks import send_broadcasts

pytestmark = pytest.mark.django_db

ADD = reverse("admin:users_broadcast_add")
FORM = {"title": "News", "text_ru": "Привет <всем> & всем", "text_en": "Hello", "is_linked": "unknown"}


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(sender, "MAX_PER_SECOND", 1000)
    monkeypatch.setattr(sender, "TOTAL_PER_SECOND", 1000)


@pytest.fixture
def operator(client):
    client.force_login(get_user_model().objects.create_superuser("olga"))
    client.cookies["django_language"] = "en"
    return client


@pytest.fixture
def people(sandbox, handle):
    """Three people who have started the bot; the third reads English."""
    persons = [
        sandbox.telegram.person(name, language_code=code) for name, code in (("А", "ru"), ("Б", "ru"), ("C", "en"))
    ]
    for person in persons:
        person.send("/start")
    handle()
    return persons


def member_with(client, *permissions):
    """Log a member of the staff in who has these permissions, as a group gives them."""
    member = get_user_model().objects.create_user("-".join(permissions)[:100], is_staff=True)
    member.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(member)


def write(client, **fields):
    page = client.post(ADD, FORM | fields, follow=True)
    assert page.status_code == 200, page.content
    assert "errornote" not in page.text, page.text
    return Broadcast.objects.latest("pk")


def change(broadcast):
    return reverse("admin:users_broadcast_change", args=[broadcast.pk])


def start(client, broadcast):
    return client.post(reverse("admin:start_broadcast", args=[broadcast.pk]), {"confirmed": "1"}, follow=True)


def step(client, broadcast, name):
    return client.post(reverse("admin:broadcast_step", args=[broadcast.pk, name]), follow=True)


def texts(person):
    return [message.text or message.content.caption for message in person.chat]


def states(broadcast):
    return dict(Recipient.objects.filter(broadcast=broadcast).values_list("user_id", "state"))


def test_everybody_gets_it_once_in_their_language_and_the_result_is_shown(operator, people):
    broadcast = write(operator, button_lines="Что смотреть | What to watch | /recommend")
    assert "Goes to 3 people as saved" in operator.get(change(broadcast)).text
    question = operator.post(reverse("admin:start_broadcast", args=[broadcast.pk]))
    assert "Send to 3 people?" in question.text
    assert send_broadcasts() == "0 sent"
    start(operator, broadcast)
    assert "users.tasks.send_broadcasts" in queued()
    assert send_broadcasts() == "3 sent"
    assert send_broadcasts() == "0 sent"
    assert [texts(person)[-1] for person in people] == ["Привет <всем> & всем"] * 2 + ["Hello"]
    assert [sum("Hello" in (text or "") or "Привет <" in (text or "") for text in texts(p)) for p in people] == [
        1,
        1,
        1,
    ]
    broadcast.refresh_from_db()
    assert broadcast.state == BroadcastState.DONE
    page = operator.get(change(broadcast)).text
    assert "sent: <b>3</b>" in page
    assert LogEntry.objects.filter(change_message="Being sent to 3 people.", user__username="olga").exists()
    assert "started already" in start(operator, broadcast).text
    people[0].press(people[0].chat[-1], text="Что смотреть")


def test_a_film_goes_along_with_its_poster_and_buttons(operator, sandbox, people, handle):
    Movie.objects.create(pk=603, title="Матрица", title_en="The Matrix", release_date="1999-03-31", details_at=1)
    broadcast = write(operator, movie="603")
    start(operator, broadcast)
    send_broadcasts()
    assert "Матрица (1999)" in texts(people[0])[-1]
    assert "The Matrix (1999)" in texts(people[2])[-1]
    people[0].press(people[0].chat[-1], text="8")
    handle()
    assert Rating.objects.filter(user_id=people[0].id, movie_id=603).exists()


def test_a_picture_is_uploaded_once(operator, sandbox, people):
    data = io.BytesIO()
    Image.new("RGB", (300, 200), "navy").save(data, "PNG")
    data.seek(0)
    data.name = "p.png"
    broadcast = write(operator, picture_file=data)
    start(operator, broadcast)
    assert send_broadcasts() == "3 sent"
    assert all(person.chat[-1].content.photos for person in people)
    broadcast.refresh_from_db()
    assert broadcast.picture_file_id


def test_who_opted_out_is_banned_or_has_blocked_the_bot_gets_nothing(operator, people, handle):
    a, b, c = people
    a.send("/settings")
    handle()
    a.press(a.chat[-1], text="Без новостей")
    handle()
    assert not User.objects.get(pk=a.id).takes_broadcasts
    User.objects.filter(pk=b.id).update(banned_at=5)
    broadcast = write(operator)
    assert list(broadcast.audience().values_list("pk", flat=True)) == [c.id]
    a.press(a.chat[-1], text="Присылать новости")
    handle()
    assert broadcast.audience().count() == 2


def test_who_opts_out_while_it_is_sent_is_left_out(operator, people):
    broadcast = write(operator)
    sender.start(broadcast)
    sender.fill(broadcast)
    User.objects.filter(pk=people[0].id).update(takes_broadcasts=False)
    assert send_broadcasts() == "2 sent"
    assert states(broadcast)[people[0].id] == Delivery.SKIPPED


def test_who_is_banned_or_forgotten_while_it_waits_gets_nothing(operator, people):
    broadcast = write(operator)
    sender.start(broadcast)
    sender.fill(broadcast)
    banned, forgotten, other = people
    User.objects.filter(pk=banned.id).update(banned_at=5)
    delete_everything(forgotten.id)
    assert send_broadcasts() == "1 sent"
    assert states(broadcast) == {banned.id: Delivery.SKIPPED, other.id: Delivery.SENT}
    assert "Hello" not in texts(forgotten)
    assert Broadcast.objects.get().state == BroadcastState.DONE


def test_who_blocks_the_bot_is_marked_and_the_rest_get_it(operator, people):
    people[1].block()
    broadcast = write(operator)
    start(operator, broadcast)
    assert send_broadcasts() == "2 sent"
    assert states(broadcast)[people[1].id] == Delivery.BLOCKED
    assert User.objects.get(pk=people[1].id).blocked_at
    assert Broadcast.objects.get().state == BroadcastState.DONE


def test_a_429_is_waited_out_and_nobody_is_lost(operator, sandbox, people):
    broadcast = write(operator)
    sandbox.telegram.fail("sendMessage", retry_after=1)
    start(operator, broadcast)
    began = time.time()
    assert send_broadcasts() == "3 sent"
    assert time.time() - began >= 0.9  # for all that the bot sends in the background
    assert set(states(broadcast).values()) == {Delivery.SENT}


def test_a_message_without_an_answer_is_not_repeated(operator, sandbox, people):
    broadcast = write(operator)
    sandbox.telegram.fail("sendMessage", drop="after")
    start(operator, broadcast)
    assert send_broadcasts() == "2 sent"
    assert sorted(states(broadcast).values()) == [Delivery.SENT, Delivery.SENT, Delivery.UNKNOWN]
    assert [sum(text in ("Hello", FORM["text_ru"]) for text in texts(person)) for person in people] == [1, 1, 1]


def test_what_a_killed_process_had_claimed_is_not_sent_again_and_the_rest_goes_on(operator, people):
    broadcast = write(operator)
    sender.start(broadcast)
    sender.fill(broadcast)
    lost = sender.claim(broadcast.pk)  # and killed -9
    assert send_broadcasts() == "2 sent"
    assert states(broadcast)[lost] == Delivery.CLAIMED
    Recipient.objects.filter(user_id=lost).update(claimed_at=int(time.time()) - sender.CLAIM_TTL_SECONDS - 1)
    assert send_broadcasts() == "0 sent"
    assert states(broadcast)[lost] == Delivery.UNKNOWN
    assert Broadcast.objects.get().state == BroadcastState.DONE


def test_it_is_paused_resumed_and_stopped_by_hand(operator, people):
    broadcast = write(operator)
    start(operator, broadcast)
    step(operator, broadcast, "pause")
    assert send_broadcasts() == "0 sent"
    step(operator, broadcast, "resume")
    sender.fill(Broadcast.objects.get())
    step(operator, broadcast, "stop")
    assert send_broadcasts() == "0 sent"
    assert Broadcast.objects.get().state == BroadcastState.STOPPED
    assert "in another state" in step(operator, broadcast, "resume").text
    assert set(states(broadcast).values()) == {Delivery.WAITING}


def test_telegram_away_loses_nobody(operator, sandbox, people, settings):
    broadcast = write(operator)
    start(operator, broadcast)
    fault = sandbox.telegram.fail("sendMessage", 502, "Bad Gateway", times=None)
    assert send_broadcasts() == "0 sent"
    assert fault.seen == 1
    sandbox.telegram.faults.clear()
    assert send_broadcasts() == "3 sent"


def test_a_text_that_telegram_refuses_pauses_it(operator, sandbox, monkeypatch):
    User.objects.bulk_create(User(pk=pk, language="ru") for pk in range(1, 40))
    sandbox.telegram.fail("sendMessage", 400, "Bad Request: no", times=None)
    broadcast = write(operator)
    start(operator, broadcast)
    send_broadcasts()
    broadcast.refresh_from_db()
    assert (broadcast.state, broadcast.problem) == (BroadcastState.PAUSED, "Bad Request: no")
    assert list(states(broadcast).values()).count(Delivery.FAILED) < 39
    assert "Bad Request: no" in operator.get(change(broadcast)).text


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ({"language": "en"}, [2]),
        ({"is_linked": True}, [1]),
        ({"is_linked": False}, [2, 3]),
        ({"active_days": 7}, [1, 2]),
        ({"came_by": "ad"}, [3]),
        ({"min_ratings": 1}, [2]),
        ({"min_ratings": 0}, [1, 2]),
        ({}, [1, 2, 3]),
    ],
)
def test_a_segment_is_who_it_says(segment, expected):
    now = int(time.time())
    User.objects.create(pk=1, tmdb_session_id="x", last_seen_at=now)
    User.objects.create(pk=2, language="en", last_seen_at=now - 86_400)
    User.objects.create(pk=3, came_by="ad", last_seen_at=now - 30 * 86_400)
    for movie, owners in ((10, (1, 2)), (11, (2,))):
        Movie.objects.create(pk=movie, title="x")
        for owner in owners:
            Rating.objects.create(
                user_id=owner, movie_id=movie, normalized_rating=5, manual_rating=5, source="manual", rated_at=1
            )
    assert sorted(Broadcast(**segment).audience().values_list("pk", flat=True)) == expected


def test_a_preview_goes_to_oneself_alone_in_both_languages(operator, people):
    broadcast = write(operator)
    operator.post(reverse("admin:preview_broadcast", args=[broadcast.pk]), {"chat": str(people[0].id)})
    assert texts(people[0])[-2:] == [FORM["text_ru"], "Hello"]
    assert not Recipient.objects.exists()
    page = operator.post(reverse("admin:preview_broadcast", args=[broadcast.pk]), {"chat": "5"}, follow=True)
    assert "Telegram did not take it" in page.text


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"text_en": ""}, "Some of these people read this language"),
        ({"text_ru": "а" * 4097}, "at most 4096"),
        ({"button_lines": "one | two"}, "three parts"),
        ({"button_lines": "one | two | javascript:x"}, "neither an address nor a command"),
    ],
)
def test_what_telegram_would_refuse_is_refused_in_the_form(operator, fields, error):
    assert error in operator.post(ADD, FORM | fields).text
    assert not Broadcast.objects.exists()


def test_what_has_been_started_is_neither_changed_nor_deleted(operator, people):
    broadcast = write(operator)
    start(operator, broadcast)
    assert operator.post(change(broadcast), FORM | {"title": "x"}).status_code == 403
    assert (
        operator.post(reverse("admin:users_broadcast_delete", args=[broadcast.pk]), {"post": "yes"}).status_code == 403
    )


def test_operators_and_support_have_no_broadcasts_and_their_own_group_has(client, people):
    for name, status in (("operators", 403), ("broadcasters", 200)):
        own = ["add_broadcast", "view_broadcast", "send_broadcast"]
        member_with(client, *(own if name == "broadcasters" else ["view_user", "change_user", "add_directmessage"]))
        assert client.get(ADD).status_code == status, name
        broadcast = Broadcast.objects.create(title=name, text_ru="а", text_en="a")
        assert (start(client, broadcast).status_code == 200) is (status == 200)


def test_a_started_broadcast_keeps_its_rate_beneath_the_chats(monkeypatch):
    from config.models import MetricCount

    monkeypatch.setattr(sender, "MAX_PER_SECOND", 25)
    monkeypatch.setattr(sender, "TOTAL_PER_SECOND", 28)
    assert sender._Rate().now() == 25
    minute = int(time.time()) // 60 * 60
    MetricCount.objects.create(name="telegram.requests", minute=minute, number=2400)
    MetricCount.objects.create(name="broadcasts.sent", minute=minute, number=600)
    assert sender._Rate().now() == 13
    MetricCount.objects.update(number=100_000)
    assert RateLimit.objects.count() == 0


def test_forget_takes_what_was_sent_along(operator, people, handle):
    broadcast = write(operator)
    start(operator, broadcast)
    send_broadcasts()
    people[0].send("/forget")
    handle()
    people[0].press(people[0].chat[-1], text="Удалить всё")
    handle()
    assert people[0].id not in states(broadcast)


# --- To one person


def message_page(person):
    return reverse("admin:write_to_user", args=[person.id])


def test_a_message_to_one_person_is_sent_once_recorded_and_shown(operator, people):
    form = operator.get(message_page(people[0])).context["form"]
    for _press in range(2):
        operator.post(message_page(people[0]), {"text": "Вы спрашивали\r\nпро <b>", "form": form})
    assert texts(people[0])[-1] == "Вы спрашивали\nпро <b>"
    assert DirectMessage.objects.get().state == Delivery.SENT
    page = operator.get(reverse("admin:users_user_change", args=[people[0].id])).text
    assert "Вы спрашивали" in page
    assert "olga" in page
    assert LogEntry.objects.get().object_id == str(people[0].id)


def test_a_template_fills_the_form_in_the_readers_language(operator, people):
    template = MessageTemplate.objects.create(name="Hi", text_ru="Здравствуйте!", text_en="Hello there!")
    assert "Здравствуйте!" in operator.get(message_page(people[0]), {"template": template.pk}).text
    assert "Hello there!" in operator.get(message_page(people[2]), {"template": template.pk}).text


def test_a_message_that_cannot_be_sent_says_why(operator, people):
    people[0].block()
    page = operator.post(message_page(people[0]), {"text": "x", "form": "a"}, follow=True)
    assert "The message was not sent: Forbidden" in page.text
    assert User.objects.get(pk=people[0].id).blocked_at


def test_support_writes_to_one_person(client, people):
    member_with(client, "view_user", "add_directmessage")
    client.post(message_page(people[0]), {"text": "Поддержка", "form": "a"})
    assert texts(people[0])[-1] == "Поддержка"


def test_a_persons_page_says_what_is_known_and_what_recommend_would_say(operator, people):
    for pk in (603, 604):
        Movie.objects.create(
            pk=pk, title=f"Film {pk}", vote_count=1000, vote_average=8, poster_status=PosterStatus.NONE
        )
    person = people[0]
    page = operator.get(reverse("admin:users_user_change", args=[person.id])).text
    url = reverse("admin:recommendations_of_user", args=[person.id])
    assert url in page
    assert "Film 604" in operator.get(url).text
    Rating.objects.create(
        user_id=person.id, movie_id=603, normalized_rating=9, manual_rating=9, source="manual", rated_at=5
    )
    assert "Film 604" in operator.get(url).text
