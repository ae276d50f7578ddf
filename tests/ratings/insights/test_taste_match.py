"""The taste match of two users who both consent, by a link and a button."""

import re
from decimal import Decimal

import pytest

from movies.models import Movie
from ratings.insights.taste_match import LINK_TTL_SECONDS, TooFewInCommon, match_tastes
from ratings.models import MatchLink, Rating
from users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def boris(sandbox):
    return sandbox.telegram.person("<b>Boris", language_code="en")


def rate(person_id, values, start=1):
    User.objects.get_or_create(pk=person_id, defaults={"language": "en"})
    for film, value in enumerate(values, start):
        Movie.objects.get_or_create(pk=film, defaults={"title": f"Film <{film}>"})
        Rating.objects.create(user_id=person_id, movie_id=film, normalized_rating=Decimal(str(value)), rated_at=film)


def token_in(message):
    return re.search(r"match_([\w-]+)", message.text)[1]


def link_for(person, handle):
    person.send("/match")
    handle()
    return token_in(person.chat[-1])


def tap(person, handle, text):
    query = person.press(person.chat[-1], text)
    handle()
    return query.answer


def test_one_sends_a_link_and_the_other_agrees_and_both_see_the_result(anna, boris, handle):
    rate(anna.id, [9, 8, 3, 2, 10, 5, 6])
    rate(boris.id, [10, 7, 2, 2, 9, 6, 9])
    boris.send(f"/start match_{link_for(anna, handle)}")
    handle()
    assert "%" not in boris.chat[-1].text
    tap(boris, handle, "Compare")
    percent = match_tastes(anna.id, boris.id).percent
    assert 50 < percent <= 100
    for person in (anna, boris):
        assert f"agree by {percent}%" in person.chat[-1].text
        assert "7 films" in person.chat[-1].text
        assert "You both love “Film <1>”" in person.chat[-1].text
    assert anna.chat[-1].text.startswith("<b>Boris")


def test_however_often_compare_is_pressed_the_owner_is_notified_once_until_the_result_changes(anna, boris, handle):
    rate(anna.id, [9, 8, 3, 2, 10, 5, 6])
    rate(boris.id, [10, 7, 2, 2, 9])
    token = link_for(anna, handle)
    before = len(anna.chat)

    def compare(taps):
        boris.send(f"/start match_{token}")
        handle()
        asked = boris.chat[-1]
        pressed = [boris.press(asked, "Compare") for _tap in range(taps)]
        handle()
        assert all(query.answer for query in pressed)
        assert "agree by" in asked.text
        return len(anna.chat) - before

    assert compare(3) == 1
    assert compare(1) == 1
    rate(boris.id, [1, 9], start=6)
    assert compare(2) == 2
    assert "You have both rated 7 films" in anna.chat[-1].text


def test_where_the_owner_could_not_be_notified_they_are_the_next_time(anna, boris, handle, sandbox):
    rate(anna.id, [9, 8, 3, 2, 10])
    rate(boris.id, [10, 7, 2, 2, 9])
    token, before = link_for(anna, handle), len(anna.chat)
    for notified in (0, 1):
        boris.send(f"/start match_{token}")
        handle()
        if not notified:
            sandbox.telegram.fail("sendMessage", status=502, times=2)
        tap(boris, handle, "Compare")
        assert len(anna.chat) - before == notified


def test_without_the_others_consent_nothing_is_compared(anna, boris, handle):
    rate(anna.id, [9, 8, 3, 2, 10])
    rate(boris.id, [9, 8, 3, 2, 10])
    boris.send(f"/start match_{link_for(anna, handle)}")
    handle()
    before = len(anna.chat)
    tap(boris, handle, "No")
    assert "Nothing has been compared" in boris.chat[-1].text
    assert len(anna.chat) == before


@pytest.mark.parametrize("end", ["stopped", "old", "replaced", "forgotten", "made up"])
def test_a_link_that_is_no_longer_good_says_so(anna, boris, handle, end):
    token = link_for(anna, handle)
    if end == "stopped":
        tap(anna, handle, "Stop the link")
    elif end == "old":
        MatchLink.objects.update(created_at=MatchLink.objects.get().created_at - LINK_TTL_SECONDS - 1)
    elif end == "replaced":
        link_for(anna, handle)
    elif end == "forgotten":
        User.objects.all().delete()
    else:
        token = "no-such-token"
    boris.send(f"/start match_{token}")
    handle()
    assert "no longer works" in boris.chat[-1].text


def test_the_button_of_an_older_message_stops_its_own_link_only(anna, boris, handle):
    link_for(anna, handle)
    old = anna.chat[-1]
    token = link_for(anna, handle)
    anna.press(old, "Stop the link")
    handle()
    assert "This link has ended already" in old.text
    assert MatchLink.objects.get().token == token
    tap(anna, handle, "Stop the link")
    assert "The link no longer works" in anna.chat[-1].text
    assert not MatchLink.objects.exists()


def test_a_link_is_stopped_and_tastes_are_compared_where_the_message_can_no_longer_be_changed(
    anna, boris, handle, sandbox
):
    rate(anna.id, [9, 8, 3, 2, 10])
    rate(boris.id, [10, 7, 2, 2, 9])

    def tap_too_old(person, text):
        message = person.chat[-1]
        query = person.press(message, text)
        update = sandbox.telegram.accounts[sandbox.telegram_token].updates[-1][2]["callback_query"]
        update["message"] = {"chat": message.chat.as_json(), "message_id": message.id, "date": 0}
        handle()
        return query.answer

    token = link_for(anna, handle)
    ours = anna.chat[-1]
    boris.send(f"/start match_{token}")
    handle()
    assert tap_too_old(boris, "Compare")
    assert "agree by" in boris.chat[-1].text
    assert "agree by" in anna.chat[-1].text
    anna.send("/match")
    handle()
    answer = tap_too_old(anna, "Stop the link")
    assert "no longer works" in answer.text
    assert answer.show_alert
    assert not MatchLink.objects.exists()
    assert "match_" in ours.text


def test_a_link_that_ends_before_the_yes_compares_nothing(anna, boris, handle):
    rate(anna.id, [9, 8, 3, 2, 10])
    rate(boris.id, [9, 8, 3, 2, 10])
    boris.send(f"/start match_{link_for(anna, handle)}")
    handle()
    MatchLink.objects.all().delete()
    assert "no longer works" in tap(boris, handle, "Compare").text


def test_ones_own_link_is_named_as_such(anna, handle):
    anna.send(f"/start match_{link_for(anna, handle)}")
    handle()
    assert "your own link" in anna.chat[-1].text


def test_too_few_films_in_common_give_no_percentage(anna, boris, handle):
    rate(anna.id, [9, 8, 3])
    rate(boris.id, [9, 8, 3], start=2)
    boris.send(f"/start match_{link_for(anna, handle)}")
    handle()
    tap(boris, handle, "Compare")
    assert "2 films in common: too few" in boris.chat[-1].text


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        ([1, 9] * 20, [1, 9] * 20, range(90, 101)),
        ([1, 9] * 20, [9, 1] * 20, range(0, 11)),
        ([1, 9] * 20, [5, 7] * 20, range(90, 101)),
        ([1, 9] * 20, [1, 1, 9, 9] * 10, range(50, 51)),
        ([10] * 30, [10] * 30, range(90, 101)),
        ([10] * 29 + [9], [9] + [10] * 29, range(85, 101)),
        ([10] * 30, [10, 9] * 15, range(75, 95)),
        ([10] * 5, [10] * 5, range(70, 80)),
        ([10] * 30, [1] * 30, range(50, 51)),
        ([10] * 30, [1, 10] * 15, range(50, 51)),
        ([7, 8] * 15, [8, 7] * 15, range(0, 50)),
        ([1, 9, 1, 9, 1], [1, 9, 1, 9, 1], range(70, 80)),
    ],
    ids=[
        "alike",
        "opposite",
        "strict and kind",
        "strangers",
        "all tens",
        "nearly all tens",
        "tens and nines",
        "five tens",
        "tens and ones",
        "tens and anything",
        "opposite by a point",
        "alike on a few",
    ],
)
def test_the_percentage_is_high_for_similar_tastes_and_fifty_for_strangers(mine, theirs, expected):
    rate(1, mine)
    rate(2, theirs)
    assert match_tastes(1, 2).percent in expected
    assert match_tastes(1, 2).percent == match_tastes(2, 1).percent


def test_the_same_ratings_of_films_in_common_agree_whatever_else_the_two_have_rated():
    rate(1, [10] * 30)
    rate(2, [10] * 30 + [4] * 40)
    assert match_tastes(1, 2).percent > 90


def test_there_is_no_match_with_a_user_without_ratings():
    rate(1, [5] * 9)
    with pytest.raises(TooFewInCommon):
        match_tastes(1, 2)
