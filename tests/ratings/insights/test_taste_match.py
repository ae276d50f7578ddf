"""The taste match of two users who both consent, by a link and a button."""

import re
import time
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db.models import F

from movies.models import Movie
from ratings.chat.taste_match import drawable_name_of
from ratings.insights.taste_match import (
    CHECK_SECONDS,
    LINK_TTL_SECONDS,
    RESULT_TTL_SECONDS,
    compute_match,
    delete_old_results,
    match_tastes,
    result_of,
)
from ratings.models import MatchLink, MatchResult, Rating
from users.disconnect import forget
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


def compare(person, handle, token):
    """What this person reads after opening a link and agreeing: the result, or why there is none."""
    person.send(f"/start match_{token}")
    handle()
    return tap(person, handle, "Compare").text or person.chat[-1].words


def later(seconds):
    """As much time passes for all that is stored."""
    MatchResult.objects.update(checked_at=F("checked_at") - seconds, computed_at=F("computed_at") - seconds)
    Rating.objects.update(rated_at=F("rated_at") - seconds)


def test_one_sends_a_link_and_the_other_agrees_and_both_see_the_result(anna, boris, handle):
    rate(anna.id, [9, 8, 3, 2, 10, 5, 6])
    rate(boris.id, [10, 7, 2, 2, 9, 6, 9])
    boris.send(f"/start match_{link_for(anna, handle)}")
    handle()
    assert "%" not in boris.chat[-1].text
    tap(boris, handle, "Compare")
    percent = match_tastes(anna.id, boris.id).percent
    assert percent
    assert percent % 5 == 0
    assert 50 < percent <= 100
    for person in (anna, boris):
        assert person.chat[-1].photo
        assert f"a {percent}% match" in person.chat[-1].caption
        assert "You both love “Film <1>” and “Film <5>”." in person.chat[-1].caption
    assert anna.chat[-1].caption.startswith("You and <b>Boris are")
    assert boris.chat[-2].text == f"You and Anna are a {percent}% match.", "in the place of the question"


def test_a_visitor_who_rates_film_by_film_reads_nothing_new_that_day_and_the_owner_hears_once(anna, boris, handle):
    rate(anna.id, [9, 8, 3, 2, 10, 9, 1, 10, 3] * 3)
    rate(boris.id, [10, 7, 2, 2, 9])
    token, before = link_for(anna, handle), len(anna.chat)
    first = compare(boris, handle, token)
    for film in range(6, 28):
        rate(boris.id, [1 if film % 2 else 10], start=film)
        assert compare(boris, handle, token) == first
    assert len(anna.chat) == before + 1
    boris_token, before = link_for(boris, handle), len(boris.chat)
    assert compare(anna, handle, boris_token) == first.replace("Anna", "<b>Boris")
    assert len(boris.chat) == before


def test_over_days_one_more_film_in_common_changes_nothing_that_is_shown_and_many_do(anna, boris, handle):
    rate(anna.id, [9, 8, 3, 2, 10, 9, 1, 10, 3, 9, 2, 8])
    rate(boris.id, [10, 7, 2, 2, 9])
    token, before = link_for(anna, handle), len(anna.chat)
    first = compare(boris, handle, token)
    for film in range(6, 10):
        later(CHECK_SECONDS)
        rate(boris.id, [1 if anna_likes(film) else 10], start=film)
        assert compare(boris, handle, token) == first
    later(CHECK_SECONDS - 600)
    rate(boris.id, [1, 10, 1], start=10)
    assert compare(boris, handle, token) == first
    assert len(anna.chat) == before + 1
    later(600)
    assert compare(boris, handle, token) != first
    assert len(anna.chat) == before + 2


def test_ratings_that_have_been_changed_since_count_like_new_ones(anna, boris, handle):
    rate(anna.id, [9, 8, 3, 2, 10])
    rate(boris.id, [9, 8, 3, 2, 10])
    token = link_for(anna, handle)
    assert "100%" in compare(boris, handle, token)
    for movies, unchanged in (([1, 2, 3, 4], True), ([5], False)):
        changed = Rating.objects.filter(user_id=boris.id, movie_id__in=movies)
        changed.update(normalized_rating=11 - F("normalized_rating"), rated_at=int(time.time()))
        later(CHECK_SECONDS)
        Rating.objects.update(rated_at=F("rated_at") + CHECK_SECONDS)
        assert ("100%" in compare(boris, handle, token)) == unchanged


def anna_likes(film):
    return Rating.objects.get(user_id__gt=0, movie_id=film).normalized_rating > 5


def test_a_result_is_looked_at_once_a_day_so_that_its_change_names_no_film(anna, boris, handle):
    rate(anna.id, [9, 8, 3, 2, 10, 9, 1, 10, 3, 9, 2, 8])
    rate(boris.id, [10, 7, 2, 2, 9])
    token = link_for(anna, handle)
    first = compare(boris, handle, token)
    later(CHECK_SECONDS)
    for film in range(6, 13):
        assert compare(boris, handle, token) == first
        rate(boris.id, [1 if anna_likes(film) else 10], start=film)


def test_a_result_is_computed_anew_after_a_week_and_then_deleted(anna, boris, handle):
    rate(anna.id, [9, 8, 3, 2, 10, 9])
    rate(boris.id, [9, 8, 3, 2, 10])
    token = link_for(anna, handle)
    compare(boris, handle, token)
    Rating.objects.filter(user_id=boris.id, movie_id__in=(1, 2)).update(normalized_rating=1)
    later(RESULT_TTL_SECONDS - CHECK_SECONDS)
    assert "100%" in compare(boris, handle, token)
    later(CHECK_SECONDS)
    assert "100%" not in compare(boris, handle, token)
    assert delete_old_results() == 0
    later(RESULT_TTL_SECONDS)
    assert delete_old_results() == 1


@pytest.mark.parametrize("one", ["visitor", "owner"])
def test_who_forgets_everything_leaves_no_result_and_gets_no_new_one_that_day(anna, boris, handle, one):
    rate(anna.id, [9, 8, 3, 2, 10, 9])
    rate(boris.id, [9, 8, 3, 2, 10])
    compare(boris, handle, link_for(anna, handle))
    person = boris if one == "visitor" else anna
    forget(person.id)
    left = MatchResult.objects.get()
    assert {left.percent, left.common, left.both_love, left.differ} == {None}
    assert str(person.id) not in left.pair
    rate(person.id, [9, 8, 3, 2, 10, 9])
    token, before = link_for(anna, handle), len(anna.chat)
    assert "tomorrow" in compare(boris, handle, token)
    assert len(anna.chat) == before
    later(CHECK_SECONDS)
    assert "100%" in compare(boris, handle, token)


def test_no_number_of_films_below_twenty_five_is_told_and_none_exactly(anna, boris, handle):
    rate(anna.id, [9, 8, 3, 2] * 30)
    rate(boris.id, [9, 8, 3, 2] * 6)
    token = link_for(anna, handle)
    assert not re.search(r"\d+ films?", compare(boris, handle, token))
    later(CHECK_SECONDS)
    rate(boris.id, [9, 8, 3, 2] * 10, start=25)
    assert "more than 50 films" in compare(boris, handle, token)


def test_who_has_rated_too_little_themselves_is_told_so_and_uses_up_no_day(anna, boris, handle):
    rate(anna.id, [9, 8, 3, 2, 10])
    rate(boris.id, [9, 8, 3, 2])
    token, before = link_for(anna, handle), len(anna.chat)
    assert "at least five" in compare(boris, handle, token)
    assert len(anna.chat) == before
    rate(boris.id, [10], start=5)
    tap(boris, handle, "Compare")
    assert "100%" in boris.chat[-1].words


def test_where_the_owner_could_not_be_notified_they_are_the_next_time(anna, boris, handle, sandbox):
    rate(anna.id, [9, 8, 3, 2, 10])
    rate(boris.id, [10, 7, 2, 2, 9])
    token, before = link_for(anna, handle), len(anna.chat)
    for notified in (0, 1):
        boris.send(f"/start match_{token}")
        handle()
        if not notified:
            sandbox.telegram.fail("sendPhoto", status=502, times=None)
        tap(boris, handle, "Compare")
        sandbox.faults.clear()
        assert len(anna.chat) - before == notified


def test_a_link_is_sent_with_one_tap_and_names_who_sent_it(anna, boris, handle):
    token = link_for(anna, handle)
    url = urlsplit(anna.chat[-1].button("Send to a friend").url)
    assert (url.hostname, url.path) == ("t.me", "/share/url")
    assert parse_qs(url.query)["url"] == [f"https://t.me/kinoteka_sandbox_bot?start=match_{token}"]
    boris.send(f"/start match_{token}")
    handle()
    assert boris.chat[-1].text.startswith("Anna wants to compare")


def films_to_watch(number=12):
    """Films that neither has seen, liked by others."""
    for film in range(500, 500 + number):
        Movie.objects.create(pk=film, title=f"New {film}", vote_count=1000, vote_average=8)


def test_a_match_ends_in_films_that_neither_has_seen_and_rating_one_moves_nobody_elses_list(anna, boris, handle):
    films_to_watch()
    rate(anna.id, [9, 8, 3, 2, 10, 9])
    rate(boris.id, [9, 8, 3, 2, 10])
    compare(boris, handle, link_for(anna, handle))
    seen = Rating.objects.values_list("movie_id", flat=True)
    together = MatchResult.objects.get().together
    assert len(together) == 12
    assert not set(together) & set(seen)
    card = boris.chat[-1]
    tap(boris, handle, "What to watch together")
    carousel = boris.chat[-1]
    assert carousel is not card
    assert f"New {together[0]}" in carousel.words
    assert "for you and Anna" in carousel.words
    boris.press(carousel, "›")
    handle()
    assert f"New {together[1]}" in carousel.words
    rate(anna.id, [1], start=together[2])
    boris.press(carousel, "›")
    handle()
    assert f"New {together[2]}" in carousel.words, "that Anna has rated it since is nobody's business"


def test_what_to_watch_together_is_gone_when_one_of_the_two_forgets_everything(anna, boris, handle):
    films_to_watch()
    rate(anna.id, [9, 8, 3, 2, 10, 9])
    rate(boris.id, [9, 8, 3, 2, 10])
    compare(boris, handle, link_for(anna, handle))
    forget(anna.id)
    assert "out of date" in tap(boris, handle, "What to watch together").text
    assert MatchResult.objects.get().together is None


def test_a_strangers_button_shows_no_films_of_the_two(anna, boris, handle, sandbox):
    films_to_watch()
    rate(anna.id, [9, 8, 3, 2, 10, 9])
    rate(boris.id, [9, 8, 3, 2, 10])
    compare(boris, handle, link_for(anna, handle))
    carl = sandbox.telegram.person("Carl", language_code="en")
    carl.send("/help")
    handle()
    query = carl.press(boris.chat[-1], "What to watch together")
    handle()
    assert "out of date" in query.answer.text
    assert result_of(boris.id, "") is None


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
        tap(anna, handle, "Turn off the link")
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
    anna.press(old, "Turn off the link")
    handle()
    assert "Use the newer one" in old.text
    assert MatchLink.objects.get().token == token
    tap(anna, handle, "Turn off the link")
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
    assert "% match" in boris.chat[-1].caption
    assert "% match" in anna.chat[-1].caption
    anna.send("/match")
    handle()
    answer = tap_too_old(anna, "Turn off the link")
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


def test_too_few_films_in_common_give_neither_percentage_nor_number_and_are_looked_at_again_tomorrow(
    anna, boris, handle
):
    rate(anna.id, [9, 8, 3, 2, 10, 9])
    rate(boris.id, [9, 8, 3, 2, 10, 9], start=4)
    token, before = link_for(anna, handle), len(anna.chat)
    few = compare(boris, handle, token)
    assert "too few" in few
    assert not re.search(r"\d", few)
    rate(boris.id, [9, 8, 3], start=1)
    assert compare(boris, handle, token) == few
    assert len(anna.chat) == before + 1
    later(CHECK_SECONDS)
    assert "% match" in compare(boris, handle, token)


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        ([1, 9] * 20, [1, 9] * 20, range(100, 101)),
        ([1, 9] * 20, [9, 1] * 20, range(0, 11)),
        ([1, 9] * 20, [5, 7] * 20, range(90, 101)),
        ([1, 9] * 20, [1, 1, 9, 9] * 10, range(50, 51)),
        ([10] * 30, [10] * 30, range(100, 101)),
        ([10] * 29 + [9], [9] + [10] * 29, range(85, 101)),
        ([10] * 30, [10, 9] * 15, range(75, 95)),
        ([10] * 5, [10] * 5, range(100, 101)),
        ([10] * 30, [1] * 30, range(50, 51)),
        ([10] * 30, [1, 10] * 15, range(50, 51)),
        ([7, 8] * 15, [8, 7] * 15, range(0, 50)),
        ([1, 9, 1, 9, 1], [1, 9, 1, 9, 1], range(100, 101)),
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
    assert compute_match(1, 2).percent in expected
    assert compute_match(1, 2).percent == compute_match(2, 1).percent


def test_the_same_ratings_of_films_in_common_agree_whatever_else_the_two_have_rated():
    rate(1, [10] * 30)
    rate(2, [10] * 30 + [4] * 40)
    assert compute_match(1, 2).percent > 90


@pytest.mark.parametrize(("value", "loved"), [(10, (1, 2)), (2, (None, None))])
def test_two_who_rate_all_films_alike_love_them_where_they_rate_them_high(value, loved):
    rate(1, [value] * 6)
    rate(2, [value] * 6)
    match = compute_match(1, 2)
    assert (match.both_love, match.both_love_too) == loved


def test_there_is_no_match_with_a_user_without_ratings():
    rate(1, [5] * 9)
    assert compute_match(1, 2).percent is None


def test_a_picture_that_telegram_does_not_take_is_told_in_words_to_both(sandbox, anna, boris, handle):
    rate(anna.id, [9, 8, 3, 2, 10])
    rate(boris.id, [10, 7, 2, 2, 9])
    sandbox.telegram.fail("sendPhoto", status=400, description="Bad Request: IMAGE_PROCESS_FAILED", times=None)
    assert "You both love" in compare(boris, handle, link_for(anna, handle))
    assert "You both love" in anna.chat[-1].text


def test_a_name_that_no_font_has_is_a_username_in_the_picture():
    User.objects.create(pk=1, first_name="😀", username="anna_k")
    User.objects.create(pk=2, first_name="Борис 😀", username="boris")
    assert [drawable_name_of(pk) for pk in (1, 2, 3)] == ["@anna_k", "Борис", ""]
