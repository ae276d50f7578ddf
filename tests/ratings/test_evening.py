"""An evening of a group: who is in, a poll of what nobody has seen, its winner, and a question the next day."""

import json
import time
from array import array
from datetime import timedelta
from decimal import Decimal
from io import BytesIO

import pytest
from django.db.models import F
from PIL import Image

from config.bot.polling import KINDS
from movies.models import Movie
from ratings.models import Evening, Rating, SimilarMovies, TrainingRun
from ratings.tasks import run_evenings
from sandbox.telegram.chat import CallbackQuery
from users import countries
from users.disconnect import forget
from users.models import User

pytestmark = pytest.mark.django_db

LOVED = 900


@pytest.fixture
def boris(sandbox):
    return sandbox.telegram.person("Boris", language_code="en")


@pytest.fixture
def carl(sandbox):
    return sandbox.telegram.person("Carl", language_code="en")


@pytest.fixture
def group(sandbox, anna, boris, carl):
    return sandbox.telegram.group("Film club", [anna, boris, carl])


@pytest.fixture(autouse=True)
def films(sandbox):
    """Eight films that go with the one that Anna and Boris love, all with posters in Telegram."""
    content = BytesIO()
    Image.new("RGB", (600, 900), "navy").save(content, "JPEG")
    run = TrainingRun.objects.create(started_at=1, finished_at=2, users=1000)
    for number in (*range(1, 9), LOVED):
        photo = sandbox.telegram.keep_photo(sandbox.telegram.bot, content.getvalue())[-1]
        Movie.objects.create(
            pk=number,
            title=f"Film {number}",
            original_title=f"Own{number} name",
            release_date="1999-05-01",
            runtime=90,
            genres=[18] if number < 5 else [35],
            poster_status=2,
            poster_path="/x.jpg",
            telegram_file_id=photo.file_id,
            details_at=int(time.time()),
        )
    weights = {number: 1 - number / 100 for number in range(1, 9)}
    SimilarMovies.objects.create(
        run_id=run.pk,
        movie_id=LOVED,
        movie_ids=array("i", weights).tobytes(),
        weights=array("f", weights.values()).tobytes(),
        nearest=0,
    )


def rate(person, movie_id, value):
    User.objects.get_or_create(pk=person.id, defaults={"language": "en"})
    Rating.objects.create(
        user_id=person.id, movie_id=movie_id, manual_rating=value, normalized_rating=Decimal(value), rated_at=1,
        source="manual",
    )  # fmt: skip


def last(group):
    return list(group.messages.values())[-1]


def tap(person, message, handle, text):
    query = person.press(message, text)
    handle()
    return query.answer


def gathered(anna, group, handle, *guests):
    """The invitation, with these people in."""
    anna.send("/evening", chat=group)
    handle()
    message = last(group)
    for guest in guests:
        tap(guest, message, handle, "🙋 I’m in")
    return message


def polled(anna, boris, group, handle):
    """The message of the poll of Anna and Boris."""
    rate(anna, LOVED, 9)
    rate(boris, LOVED, 10)
    tap(anna, gathered(anna, group, handle, anna, boris), handle, "Start the poll")
    return last(group)


def titles(poll):
    return [option.text for option in poll.options]


def later(seconds):
    """As much time passes for all evenings."""
    names = ("created_at", "closes_at", "ask_at", "next_try_at")
    Evening.objects.update(**{name: F(name) - seconds for name in names})


def test_the_poll_shows_what_nobody_has_seen_with_posters_and_the_winner_is_a_card(
    sandbox, anna, boris, carl, group, handle
):
    rate(boris, 2, 3)
    message = polled(anna, boris, group, handle)
    assert message.poll.question == "What shall we watch?"
    assert titles(message.poll) == [f"Film {number} (1999)" for number in (1, 3, 4, 5, 6, 7)]
    assert all(option.photos for option in message.poll.options)
    anna.vote(message, 1, 2)
    boris.vote(message, 2)
    handle()
    assert Evening.objects.get().counts == [0, 1, 2, 0, 0, 0]
    assert "Only the person planning" in tap(boris, message, handle, "Close the poll").text
    tap(anna, message, handle, "Close the poll")
    assert message.poll.is_closed
    winner, card = list(group.messages.values())[-2:]
    assert winner.text == "🏆 We watch “Film 4”: 2 votes."
    assert winner.reply_to is message
    assert card.photo
    assert "Film 4" in card.caption
    handle()
    assert last(group) is card, "the update of the closed poll tells nothing new"


def test_who_is_in_stands_in_the_message_and_only_they_count(anna, boris, carl, group, handle):
    rate(carl, 1, 5)
    message = gathered(anna, group, handle, anna, boris, carl)
    assert message.text.splitlines()[-1] == "In: Anna, Boris, Carl"
    tap(carl, message, handle, "Not me")
    assert message.text.splitlines()[-1] == "In: Anna, Boris"
    tap(boris, message, handle, "🙋 I’m in")
    rate(anna, LOVED, 9)
    tap(anna, message, handle, "Start the poll")
    assert "Film 1 (1999)" in titles(last(group).poll), "Carl has seen it, and is not in"
    assert message.buttons == []
    assert "begun or is over" in tap_late(carl, message, handle, "in").text


def tap_late(person, message, handle, action):
    """Press a button that the message no longer has, as an app that has not seen the change does."""
    telegram = person.telegram
    data = f"evening:{Evening.objects.get().pk}:{action}"
    query = CallbackQuery("77" + action, person, message, data, telegram.bot, telegram.clock())
    telegram.callback_queries[query.id] = query
    update = {
        "id": query.id,
        "from": person.as_json(),
        "message": message.as_json(),
        "chat_instance": "1",
        "data": data,
    }
    telegram.add_update(telegram.bot, "callback_query", update)
    handle()
    return query.answer


def test_fewer_than_two_start_nothing(anna, boris, group, handle):
    message = gathered(anna, group, handle, boris)
    assert "at least two" in tap(anna, message, handle, "Start the poll").text
    assert last(group) is message


def test_started_twice_there_is_one_poll(sandbox, anna, boris, group, handle):
    rate(anna, LOVED, 9)
    message = gathered(anna, group, handle, anna, boris)
    anna.press(message, "Start the poll")
    anna.press(message, "Start the poll")
    handle()
    assert len(sandbox.telegram.calls_of("sendPoll")) == 1


def test_filters_hold_for_the_poll_and_only_the_asker_sets_them(anna, boris, group, handle):
    rate(anna, LOVED, 9)
    message = gathered(anna, group, handle, anna, boris)
    assert "Only the person planning" in tap(boris, message, handle, "Filters").text
    tap(anna, message, handle, "Filters")
    tap(anna, message, handle, "Genres")
    tap(anna, message, handle, "comedy")
    tap(anna, message, handle, "Done")
    assert "🔎 comedy" in message.text
    tap(anna, message, handle, "Start the poll")
    assert titles(last(group).poll) == [f"Film {number} (1999)" for number in (5, 6, 7, 8)]


def test_filters_that_leave_hardly_anything_say_so(anna, boris, group, handle):
    rate(anna, LOVED, 9)
    message = gathered(anna, group, handle, anna, boris)
    Evening.objects.update(filters={"genres": [99]})
    assert "fewer filters" in tap(anna, message, handle, "Start the poll").text
    assert message.buttons
    Evening.objects.update(filters={})
    Movie.objects.exclude(pk=LOVED).delete()
    text = tap(anna, message, handle, "Start the poll").text
    assert text == "I found too few films that none of you has seen."


def test_when_the_time_is_over_the_job_closes_the_poll_once(anna, boris, group, handle):
    message = polled(anna, boris, group, handle)
    boris.vote(message, 3)
    run_evenings()
    assert not message.poll.is_closed
    later(3 * 3600)
    run_evenings()
    run_evenings()
    handle()
    assert message.poll.is_closed
    assert [one.text for one in group.messages.values() if "🏆" in one.words] == ["🏆 We watch “Film 4”: 1 vote."]


def test_a_poll_that_somebody_else_stopped_ends_the_evening_too(sandbox, anna, boris, group, handle):
    message = polled(anna, boris, group, handle)
    boris.vote(message, 0)
    sandbox.telegram.close_poll(message.poll)
    sandbox.telegram.fail("sendMessage", status=429, retry_after=40)
    handle()
    later(61)
    run_evenings()
    assert "Film 1" in last(group).caption
    assert "poll" in KINDS


def test_a_poll_that_is_gone_counts_as_it_was_last_seen(sandbox, anna, boris, group, handle):
    message = polled(anna, boris, group, handle)
    boris.vote(message, 5)
    handle()
    sandbox.telegram.delete_message(message)
    later(3 * 3600)
    run_evenings()
    assert "Film 6" in last(group).caption


def test_without_any_vote_the_best_film_for_the_group_is_suggested(anna, boris, group, handle):
    message = polled(anna, boris, group, handle)
    tap(anna, message, handle, "Close the poll")
    assert "Nobody voted" in list(group.messages.values())[-2].text
    assert "Film 1" in last(group).caption


def test_the_next_day_those_who_were_in_are_asked_privately_or_else_in_the_group(
    sandbox, anna, boris, carl, group, handle
):
    anna.send("/help")
    carl.send("/help")
    message = polled(anna, boris, group, handle)
    tap(anna, message, handle, "Close the poll")
    before = last(group)
    run_evenings()
    assert last(group) is before
    later(2 * 86_400)
    run_evenings()
    run_evenings()
    assert "Yesterday you chose “Film 1”" in anna.chat[-1].caption
    assert "Yesterday" not in carl.chat[-1].words, "Carl was not in"
    asked = last(group)
    assert asked.caption.startswith("Boris\n"), "the bot may not write to Boris first"
    assert list(group.messages.values())[-2] is before
    boris.press(asked, "8")
    handle()
    assert Rating.objects.get(user_id=boris.id, movie_id=1).manual_rating == 8
    tap(anna, anna.chat[-1], handle, "9")
    assert Rating.objects.get(user_id=anna.id, movie_id=1).manual_rating == 9


def test_what_telegram_takes_later_is_said_once(sandbox, anna, boris, group, handle):
    message = polled(anna, boris, group, handle)
    sandbox.telegram.fail("sendPhoto", status=429, retry_after=40)
    assert "within a minute or two" in tap(anna, message, handle, "Close the poll").text
    later(61)
    run_evenings()
    assert [one.text for one in group.messages.values() if "🏆" in one.words or "Nobody voted" in one.words] == [
        "Nobody voted, so I suggest “Film 1”."
    ]
    assert last(group).photo
    User.objects.filter(pk__in=[anna.id, boris.id]).update(blocked_at=1)
    later(2 * 86_400)
    for _hour in range(6):  # it is no reason to give the evening up, either
        sandbox.telegram.fail("sendPhoto", status=429, retry_after=40)
        run_evenings()
        later(61)
    run_evenings()
    run_evenings()
    assert [one.caption for one in group.messages.values() if "How was" in one.words] == [
        "Anna, Boris\nHow was “Film 1”? Each of you can rate it here."
    ]


def test_who_has_rated_the_film_or_has_not_watched_it_is_left_in_peace(
    sandbox, anna, boris, group, handle, monkeypatch
):
    anna.send("/help")
    boris.send("/help")
    tap(anna, polled(anna, boris, group, handle), handle, "Close the poll")
    asked_at, now = (countries.local_time("US", at) for at in (Evening.objects.get().ask_at, time.time()))
    assert (asked_at.hour, asked_at.date() - now.date()) == (12, timedelta(days=1))
    monkeypatch.setattr(countries, "LAST_HOUR", 0)  # it is night at Boris's
    rate(anna, 1, 7)
    later(2 * 86_400)
    run_evenings()
    assert "Yesterday" not in anna.chat[-1].words
    assert sandbox.telegram.calls_of("sendPhoto")[-1].params["disable_notification"] in (True, "true")
    tap(boris, boris.chat[-1], handle, "Have not watched it")
    assert boris.chat[-1].buttons == []


def test_a_worker_that_died_before_the_poll_was_sent_leaves_it_to_the_job(sandbox, anna, boris, group, handle):
    rate(anna, LOVED, 9)
    message = gathered(anna, group, handle, anna, boris)
    sandbox.telegram.fail("sendPoll", status=502, times=None)
    assert "within a minute or two" in tap(anna, message, handle, "Start the poll").text
    sandbox.faults.clear()
    run_evenings()
    assert last(group).poll is None, "somebody may still be at it"
    later(61)
    run_evenings()
    assert last(group).poll


def test_where_options_take_no_pictures_the_posters_are_an_album(sandbox, anna, boris, group, handle):
    sandbox.telegram.fail("sendPoll", status=400, description="Bad Request: unknown field media")
    polled(anna, boris, group, handle)
    (message,) = [one for one in group.messages.values() if one.poll]
    assert not any(option.photos for option in message.poll.options)
    album = [one for one in group.messages.values() if one.media_group_id]
    assert [one.caption for one in album] == titles(message.poll)


def test_where_the_bot_may_send_no_polls_the_asker_is_told_and_may_start_again(sandbox, anna, boris, group, handle):
    rate(anna, LOVED, 9)
    message = gathered(anna, group, handle, anna, boris)
    why = "Bad Request: not enough rights to send polls to the chat"
    sandbox.telegram.fail("sendPoll", status=400, description=why)
    assert "may not send polls" in tap(anna, message, handle, "Start the poll").text
    tap(anna, message, handle, "Start the poll")
    assert last(group).poll


def test_a_second_evening_points_to_the_first_until_that_is_cancelled(anna, boris, group, handle):
    message = gathered(anna, group, handle, boris)
    boris.send("/evening", chat=group)
    handle()
    assert last(group).reply_to is message
    assert "Only the person planning" in tap(boris, last(group), handle, "Cancel it").text
    tap(anna, last(group), handle, "Cancel it")
    assert "called off" in message.text
    boris.send("/evening", chat=group)
    handle()
    assert last(group).text.startswith("🍿 Boris is planning")


def test_when_the_asker_has_left_whoever_is_in_may_start(sandbox, anna, boris, carl, group, handle):
    rate(boris, LOVED, 9)
    message = gathered(anna, group, handle, boris, carl)
    sandbox.telegram.set_member(group, anna, "left")
    tap(boris, message, handle, "Start the poll")
    assert last(group).poll


def test_who_forgets_everything_is_no_guest_any_more(anna, boris, carl, group, handle):
    message = gathered(anna, group, handle, anna, boris, carl)
    forget(anna.id)
    rate(boris, LOVED, 9)
    tap(boris, message, handle, "Start the poll")
    assert last(group).poll
    assert "In: Boris, Carl" in message.text
    assert not Evening.objects.filter(asker_id=anna.id).exists()


def test_what_nobody_starts_is_cancelled(anna, boris, group, handle):
    message = gathered(anna, group, handle, boris)
    later(13 * 3600)
    run_evenings()
    assert "called off" in message.text
    assert message.buttons == []


def test_an_evening_stays_in_its_topic(sandbox, anna, boris, handle):
    forum = sandbox.telegram.group("Forum", [anna, boris], forum=True)
    topic = sandbox.telegram.topic(forum, "Films")
    rate(anna, LOVED, 9)
    anna.send("/evening", chat=forum, topic=topic)
    handle()
    message = last(forum)
    for person in (anna, boris):
        tap(person, message, handle, "🙋 I’m in")
    tap(anna, message, handle, "Start the poll")
    later(3 * 3600)
    run_evenings()
    assert last(forum).photo
    assert all(one.topic is topic for one in forum.messages.values() if one.from_bot)


def test_many_presses_keep_to_the_limits_of_a_group_and_the_job_shows_the_rest(sandbox, anna, group, handle):
    message = gathered(anna, group, handle)
    people = [sandbox.telegram.person(f"P{number}", language_code="en") for number in range(20)]
    for person in people:
        person.press(message, "🙋 I’m in")
    handle()
    assert len(sandbox.telegram.calls_of("editMessageText")) < 8
    assert "P19" not in message.text
    run_evenings()
    assert "P19" in message.text


def test_many_filters_keep_to_the_limits_of_a_group_too(sandbox, anna, group, handle):
    message = gathered(anna, group, handle)
    tap(anna, message, handle, "Filters")
    tap(anna, message, handle, "Genres")
    queries = [anna.press(message, "comedy") for _press in range(20)]
    handle()
    assert len(sandbox.telegram.calls_of("editMessageText")) < 12
    assert "within a minute" in queries[-1].answer.text
    run_evenings()
    assert "🔎 comedy" in message.text


def test_a_button_of_another_group_does_nothing_here(sandbox, anna, boris, group, handle):
    message = gathered(anna, group, handle, boris)
    other = sandbox.telegram.group("Others", [anna])
    anna.send("/evening", chat=other)
    handle()
    foreign = last(other)
    Evening.objects.filter(chat_id=other.id).delete()
    answer = tap(anna, foreign, handle, "🙋 I’m in")
    assert "out of date" in answer.text
    assert "Anna" not in message.text.splitlines()[-1]


def test_an_evening_goes_on_when_the_group_becomes_a_supergroup(sandbox, anna, boris, group, handle):
    message = polled(anna, boris, group, handle)
    boris.vote(message, 2)
    handle()
    upgraded = sandbox.telegram.migrate(group)
    handle()
    assert Evening.objects.get().chat_id == upgraded.id
    later(3 * 3600)
    run_evenings()
    assert "Film 3" in last(upgraded).caption


def test_films_whose_posters_can_be_shown_come_before_others_that_are_nearly_as_good(anna, boris, group, handle):
    Movie.objects.filter(pk__in=(1, 2)).update(telegram_file_id="", poster_status=-1, poster_path="")
    message = polled(anna, boris, group, handle)
    assert titles(message.poll) == [f"Film {number} (1999)" for number in (3, 4, 5, 6, 7, 8)]


def test_in_a_private_chat_it_says_what_it_is(anna, handle):
    anna.send("/evening")
    handle()
    assert "is for a group" in anna.chat[-1].text
    assert anna.chat[-1].buttons[0][0].url.endswith("?startgroup=evening")


def test_a_bot_that_was_thrown_out_gives_the_evening_up(sandbox, anna, boris, group, handle):
    polled(anna, boris, group, handle)
    sandbox.telegram.set_member(group, sandbox.telegram.bot, "kicked")
    later(3 * 3600)
    run_evenings()
    assert Evening.objects.get().state == Evening.State.CANCELLED


def test_no_two_options_read_alike(anna, boris, group, handle):
    Movie.objects.filter(pk__in=(1, 2, 3)).update(title="Pinocchio", title_en="Pinocchio")
    Movie.objects.filter(pk=2).update(directors=[{"name": "Дель Торо", "original_name": "Guillermo del Toro"}])
    poll = polled(anna, boris, group, handle).poll
    assert titles(poll)[:3] == [
        "Pinocchio (1999)",
        "Pinocchio (1999) · Guillermo del Toro",
        "Pinocchio (1999) · 3",
    ]


def test_the_options_name_their_posters_by_file_id(sandbox, anna, boris, group, handle):
    polled(anna, boris, group, handle)
    (call,) = sandbox.telegram.calls_of("sendPoll")
    first = json.loads(call.params["options"])[0]
    assert first["media"] == {"type": "photo", "media": Movie.objects.get(pk=1).telegram_file_id}
    assert not call.files


def test_an_invitation_that_could_not_be_sent_or_was_deleted_is_sent_by_the_next_command(
    sandbox, anna, boris, group, handle
):
    why = "Bad Request: not enough rights to send text messages to the chat"
    sandbox.telegram.fail("sendMessage", status=400, description=why)
    anna.send("/evening", chat=group)
    handle()
    for _time in range(2):
        boris.send("/evening", chat=group)
        handle()
        tap(boris, last(group), handle, "🙋 I’m in")
        assert "In: Boris" in last(group).text
        assert last(group).text.startswith("🍿 Anna")
        sandbox.telegram.delete_message(last(group))
    assert Evening.objects.count() == 1


def test_a_poll_that_telegram_refuses_leaves_nothing_in_the_group(sandbox, anna, boris, group, handle):
    rate(anna, LOVED, 9)
    message = gathered(anna, group, handle, anna, boris)
    sandbox.telegram.fail("sendPoll", status=400, description="Bad Request: poll can't be sent", times=2)
    assert "ask" in tap(anna, message, handle, "Start the poll").text.lower()
    assert last(group) is message
    assert message.buttons


def test_an_album_that_fails_makes_no_second_poll(sandbox, anna, boris, group, handle):
    sandbox.telegram.fail("sendPoll", status=400, description="Bad Request: unknown field media")
    sandbox.telegram.fail("sendMediaGroup", status=502, times=None)
    polled(anna, boris, group, handle)
    later(61)
    run_evenings()
    assert len([one for one in group.messages.values() if one.poll]) == 1
