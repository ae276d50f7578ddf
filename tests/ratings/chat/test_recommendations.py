"""/recommend: one message that shows a film at a time, its decisions and filters; a list of five in a group."""

import pytest

from config.bot.dispatch import handle_update
from movies.merging import merge_into
from movies.models import NEVER, Movie, PosterStatus
from ratings.chat import carousel_message
from ratings.models import Carousel, DismissedMovie, Rating, WatchlistEntry
from tests.conftest import queued, wait_until
from tests.helpers.recommendations import (
    CANDIDATES,
    LIKED,
    OTHER,
    ids,
    rate,
    shown_film,
    tap,
    texts,
    with_posters,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_wait(monkeypatch):
    monkeypatch.setattr(carousel_message, "POSTER_WAIT_SECONDS", 0)


@pytest.fixture
def posters(sandbox, learned):
    return with_posters(sandbox)


def press(anna, message, handle, text=None, data=None):
    """Press a button; the message as it looks then."""
    tap(anna, message, handle, text, data)
    return anna.chat[-1]


def photo_of(message):
    return message.photos[-1].file_id


def test_one_photo_by_file_id_with_its_facts_and_reason(anna, ask, sandbox, posters):
    rate(anna, LIKED, 9)
    message = ask("/recommend")
    assert photo_of(message) == posters[101]
    assert message.caption.startswith("Film 101 (1970)")
    assert "2 h 40 min" in message.caption
    assert "because you rated “Dune & Sand” 9" in message.caption
    assert texts(message) == ["👎", "👀 Seen it", "🔖 Want", "1 of 10", "›", "Filters"]
    assert [call.params["photo"] for call in sandbox.telegram.calls_of("sendPhoto")] == [posters[101]]


def test_next_and_back_edit_the_same_message_and_upload_nothing(anna, ask, handle, sandbox, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    for film in (102, 103):
        tap(anna, message, handle, text="›")
        assert (shown_film(message), photo_of(message)) == (film, posters[film])
    assert "3 of 10" in texts(message)
    tap(anna, message, handle, text="‹")
    assert (shown_film(message), photo_of(message)) == (102, posters[102])
    assert anna.chat[-1] is message
    assert not any(call.files for call in sandbox.telegram.calls)
    assert not sandbox.tmdb.requests


def test_after_the_tenth_come_ten_more(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    for _film in range(10):
        tap(anna, message, handle, text="›")
    assert shown_film(message) == 111
    assert "11 of 20" in texts(message)


def test_the_same_press_twice_skips_no_film(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    for _twice in range(2):
        tap(anna, message, handle, data="carousel:rec:after:101")
    assert shown_film(message) == 102
    for _twice in range(2):
        assert tap(anna, message, handle, data="carousel:rec:no:102")
    assert shown_film(message) == 103
    assert DismissedMovie.objects.count() == 1


def test_not_interesting_is_remembered_counts_and_can_be_undone(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    tap(anna, message, handle, text="›")
    answer = tap(anna, message, handle, text="👎")
    assert answer.text == "I will not recommend “Film 102” again."
    assert shown_film(message) == 103
    assert "2 of 10" in texts(message)
    tap(anna, message, handle, text="↩ Undo: “Film 102”")
    assert (shown_film(message), photo_of(message)) == (102, posters[102])
    assert "because you rated" in message.caption
    assert not DismissedMovie.objects.exists()


def test_seen_takes_a_film_off_for_good_and_asks_for_a_rating_in_place_of_the_buttons(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    tap(anna, message, handle, text="👀 Seen it")
    assert texts(message) == [*map(str, range(1, 11)), "No rating"]
    assert 101 not in films_of(anna)
    tap(anna, message, handle, text="8")
    assert Rating.objects.get(user_id=anna.id, movie_id=101).value == 8
    assert shown_film(message) == 102
    tap(anna, message, handle, text="👀 Seen it")
    tap(anna, message, handle, text="No rating")
    assert not Rating.objects.filter(user_id=anna.id, movie_id=102).exists()
    assert shown_film(message) not in (101, 102)
    assert not {101, 102} & set(films_of(anna))
    assert DismissedMovie.objects.get().seen


def films_of(anna):
    from ratings.recommendations.recommender import recommend

    return [one.movie_id for one in recommend(anna.id)]


def test_a_rating_pressed_twice_rates_one_film_once_and_can_be_taken_back(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    tap(anna, message, handle, text="👀 Seen it")
    for _twice in range(2):
        tap(anna, message, handle, data="rate:101:8")
    assert Rating.objects.filter(user_id=anna.id).count() == 2
    after = shown_film(message)
    tap(anna, message, handle, text="↩ Undo: “Film 101”")
    assert shown_film(message) == 101
    assert not Rating.objects.filter(user_id=anna.id, movie_id=101).exists()
    assert after != 101


def test_what_is_put_on_the_watchlist_is_not_offered_again_unless_asked_for(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    tap(anna, message, handle, text="🔖 Want")
    assert [row.movie_id for row in WatchlistEntry.objects.all()] == [101]
    assert shown_film(message) == 102
    assert 101 not in films_of(anna)
    tap(anna, message, handle, text="Filters")
    tap(anna, message, handle, text="From my list")
    assert shown_film(message) == 101
    assert "🔎 from my list" in message.caption
    tap(anna, message, handle, text="✕ Clear filters")
    assert shown_film(message) == 102


def test_putting_on_the_watchlist_can_be_undone(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    for _twice in range(2):
        tap(anna, message, handle, data="watch:101:1")
    tap(anna, message, handle, text="↩ Undo: “Film 101”")
    assert not WatchlistEntry.objects.exists()
    assert shown_film(message) == 101


@pytest.mark.parametrize("replies", [True, False], ids=["as a reply", "without the gesture of a reply"])
def test_a_number_rates_the_film_shown_and_the_next_one_comes(anna, ask, handle, posters, replies):
    rate(anna, LIKED)
    message = ask("/recommend")
    anna.send("7.5", reply_to=message if replies else None)
    handle()
    if not replies:
        tap(anna, anna.chat[-1], handle, text="Rate it 7.5")
    assert Rating.objects.get(user_id=anna.id, movie_id=101).value == 7.5
    assert shown_film(message) == 102
    assert "1 of 10" in texts(message)


def test_a_film_of_the_watchlist_that_has_been_seen_leaves_it_until_that_is_undone(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    tap(anna, message, handle, text="🔖 Want")
    tap(anna, message, handle, data="carousel:rec:listed:1")
    tap(anna, message, handle, text="👀 Seen it")
    assert not WatchlistEntry.objects.exists()
    message = press(anna, message, handle, text="No rating")
    press(anna, message, handle, text="↩ Undo: “Film 101”")
    assert WatchlistEntry.objects.get().movie_id == 101


def test_filters_are_shown_remembered_and_cleared_in_one_tap(anna, ask, handle, posters):
    rate(anna, LIKED)
    Movie.objects.filter(pk__in=range(110, 130)).update(genres=[35])
    Movie.objects.filter(pk__in=range(110, 115)).update(genres=[35, 27])
    message = ask("/recommend")
    tap(anna, message, handle, text="Filters")
    tap(anna, message, handle, text="Genres")
    tap(anna, message, handle, text="comedy")
    assert shown_film(message) == 110
    tap(anna, message, handle, text="horror")
    tap(anna, message, handle, text="✓ horror")
    assert "🔎 comedy · without: horror" in message.caption
    tap(anna, message, handle, text="Done")
    assert shown_film(message) == 115
    assert shown_film(ask("/recommend")) == 115
    again = anna.chat[-1]
    tap(anna, again, handle, text="✕ Clear filters")
    assert "🔎" not in again.caption
    assert shown_film(again) == 101


def test_a_decade_and_something_short(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    tap(anna, message, handle, text="Filters")
    tap(anna, message, handle, text="Something short")
    assert shown_film(message) == 102
    assert "🔎 up to 100 min" in message.caption
    tap(anna, message, handle, text="Filters")
    tap(anna, message, handle, text="Any decade")
    tap(anna, message, handle, text="1990s")
    assert "🔎 1990s · up to 100 min" in message.caption
    assert shown_film(message) % 4 == 2
    assert shown_film(message) % 3 == 0


def test_filters_that_leave_fewer_than_five_films_say_so_and_offer_to_widen(anna, ask, handle, posters):
    rate(anna, LIKED)
    Movie.objects.filter(pk__in=[120, 130]).update(genres=[37])
    message = ask("/recommend")
    tap(anna, message, handle, text="Filters")
    tap(anna, message, handle, text="Genres")
    tap(anna, message, handle, text="western")
    tap(anna, message, handle, text="Done")
    assert "Only 2 films fit these filters." in message.caption
    assert "1 of 2" in texts(message)
    tap(anna, message, handle, text="Any genre")
    assert shown_film(message) == 101


def test_filters_that_no_film_meets_say_so_and_offer_to_widen(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    message = press(anna, message, handle, data="carousel:rec:genre:99:1")
    assert message.words == "No film fits: documentary."
    message = press(anna, message, handle, text="Any genre")
    assert photo_of(message) == posters[101]


def test_a_film_whose_poster_is_not_in_telegram_comes_after_one_whose_is_and_is_fetched_first(
    anna, ask, handle, posters
):
    rate(anna, LIKED)
    Movie.objects.filter(pk=101).update(telegram_file_id="", poster_status=PosterStatus.WAITING)
    message = ask("/recommend")
    assert shown_film(message) == 102
    assert "posters.tasks.download_posters" in queued()
    assert Movie.objects.get(pk=101).poster_priority == 2
    Movie.objects.filter(pk=101).update(telegram_file_id=posters[101], poster_status=PosterStatus.TELEGRAM)
    tap(anna, message, handle, text="›")
    assert (shown_film(message), photo_of(message)) == (101, posters[101])


def test_a_film_that_was_shown_without_its_poster_stays_when_its_buttons_are_pressed(anna, ask, handle, posters):
    rate(anna, LIKED)
    waiting = {"telegram_file_id": "", "poster_status": PosterStatus.WAITING, "poster_path": ""}
    Movie.objects.filter(pk__in=CANDIDATES).update(**waiting)
    message = ask("/recommend")
    assert shown_film(message) == 101
    Movie.objects.filter(pk=104).update(telegram_file_id=posters[104], poster_status=PosterStatus.TELEGRAM)
    tap(anna, message, handle, text="Filters")
    assert message.text.startswith("Film 101")
    tap(anna, message, handle, text="Done")
    assert shown_film(message) == 101
    tap(anna, message, handle, text="👀 Seen it")
    assert set(ids(message, "rate")) == {101}
    message = press(anna, message, handle, text="8")
    assert (shown_film(message), photo_of(message)) == (104, posters[104])


def test_a_film_whose_poster_cannot_be_had_is_not_waited_for(anna, ask, handle, posters):
    rate(anna, LIKED)
    lost = {"telegram_file_id": "", "poster_status": PosterStatus.WAITING, "poster_path": "", "poster_error": "broken"}
    Movie.objects.filter(pk=101).update(**lost, poster_next_try_at=NEVER)
    message = ask("/recommend")
    assert shown_film(message) == 101
    assert message.text.startswith("Film 101")


def test_where_no_poster_is_in_telegram_the_first_one_is_sent_with_its_bytes_and_kept(anna, ask, handle, sandbox):
    film = next(film for film in sandbox.tmdb.films.values() if film.poster_path)
    Movie.objects.create(
        pk=film.id, title="New", poster_path=film.poster_path, poster_status=0, vote_count=9, vote_average=9
    )
    Movie.objects.create(pk=LIKED, title="Seen")
    rate(anna, LIKED)
    message = ask("/recommend")
    assert photo_of(message) == Movie.objects.get(pk=film.id).telegram_file_id


def test_a_film_without_any_poster_is_a_text_and_the_next_photo_takes_its_place(anna, ask, handle, posters):
    rate(anna, LIKED)
    Movie.objects.filter(pk=102).update(telegram_file_id="", poster_status=PosterStatus.NONE, poster_path="")
    message = press(anna, ask("/recommend"), handle, text="›")
    assert message.text.startswith("Film 102")
    assert len(anna.chat) == 2  # /recommend and the one message
    tap(anna, message, handle, text="›")
    assert photo_of(message) == posters[103]
    assert anna.chat[-1] is message


def test_where_the_message_is_gone_a_new_one_takes_its_place(anna, ask, handle, sandbox, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    sandbox.telegram.fail("editMessageMedia", 400, "Bad Request: message to edit not found")
    new = press(anna, message, handle, text="›")
    assert new is not message
    assert shown_film(new) == 102
    sandbox.telegram.faults.clear()
    tap(anna, new, handle, text="›")
    assert shown_film(new) == 103


def test_a_film_that_tmdb_merges_with_another_while_it_is_shown_is_decided_on_as_that(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    Movie.objects.create(pk=900, title="The same")
    merge_into(101, 900)
    for _twice in range(2):
        assert "The same" in tap(anna, message, handle, data="carousel:rec:no:101").text
    assert DismissedMovie.objects.get().movie_id == 900
    assert shown_film(message) == 102
    merge_into(102, 103)
    tap(anna, message, handle, data="carousel:rec:after:102")
    assert shown_film(message) == 104


def test_a_film_that_is_deleted_while_it_is_shown_makes_room_for_the_next(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    Movie.objects.filter(pk=101).delete()
    assert not tap(anna, message, handle, text="👎").text
    assert shown_film(message) == 102


@pytest.mark.parametrize(("seconds", "words"), [(1, "will change in 1 s"), (3600, "press again in 60 min")])
def test_where_telegram_asks_to_wait_the_button_says_so_and_the_decision_is_kept(
    anna, ask, handle, sandbox, posters, monkeypatch, seconds, words
):
    monkeypatch.setattr(carousel_message, "BUTTON_WAIT_SECONDS", 0)
    rate(anna, LIKED)
    message = ask("/recommend")
    sandbox.telegram.fail("editMessageMedia", 429, retry_after=seconds)
    answer = tap(anna, message, handle, text="👎")
    assert words in answer.text
    assert not answer.show_alert
    assert DismissedMovie.objects.get().movie_id == 101
    tap(anna, message, handle, data="carousel:rec:no:101")
    assert shown_film(message) == 102


def test_a_photo_that_telegram_has_forgotten_is_fetched_again(anna, ask, handle, posters):
    rate(anna, LIKED)
    Movie.objects.filter(pk=102).update(telegram_file_id="of-another-bot")
    message = press(anna, ask("/recommend"), handle, text="›")
    assert shown_film(message) == 102
    assert Movie.objects.get(pk=102).telegram_file_id == ""


def test_buttons_of_a_message_whose_row_is_gone_begin_anew_in_it(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    tap(anna, message, handle, text="›")
    Carousel.objects.all().delete()
    tap(anna, message, handle, text="›")
    assert shown_film(message) == 103
    assert anna.chat[-1] is message


def test_what_is_no_longer_offered_is_listed_and_offered_again(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    for _film in range(2):
        tap(anna, message, handle, text="👎")
    tap(anna, message, handle, text="Filters")
    tap(anna, message, handle, text="Hidden films: 2")
    hidden = anna.chat[-1]
    assert "2 hidden films" in hidden.text
    tap(anna, hidden, handle, text="↩ Film 101")
    tap(anna, hidden, handle, text="↩ Film 102")
    assert hidden.text == "All films may be recommended again."
    assert not DismissedMovie.objects.exists()


def test_after_an_import_no_film_is_recommended_because_many_people_like_it(anna, ask, handle, posters):
    rate(anna, 140)
    message = ask("/recommend")
    for _film in range(10):
        assert "many people like it" not in message.caption
        tap(anna, message, handle, text="›")


def test_in_a_group_five_films_for_whoever_asked_and_no_reasons(anna, handle, sandbox, posters):
    rate(anna, LIKED)
    boris = sandbox.telegram.person("Boris", language_code="en")
    group = sandbox.telegram.group("Club", [anna, boris])
    anna.send("/recommend", chat=group)
    handle()
    message = anna.wait(chat=group)
    assert message.text.startswith("Films for Anna:")
    assert ids(message, "card") == [101, 102, 103, 104, 105]
    assert "because" not in message.text
    boris.press(message, text="Five others")
    handle()
    assert ids(message, "card") == [101, 102, 103, 104, 105]
    anna.press(message, text="Five others")
    handle()
    assert ids(message, "card") == [106, 107, 108, 109, 110]
    link = message.button(text="Choose in a private chat").raw["url"]
    anna.open(link)
    handle()
    assert shown_film(anna.chat[-1]) == 101


@pytest.mark.parametrize(
    "data",
    [
        "carousel:",
        "carousel:nobody:show:101",
        "carousel:rec:show:x",
        "carousel:rec:show:99999999999",
        "carousel:rec:no:4000000",
        "carousel:rec:genre:35:7",
        "carousel:rec:menu:x",
        "carousel:rec:undo:no:x:0",
        "carousel:rec:undo:all:101:0",
        "carousel:rec:years:20000",
    ],
)
def test_a_button_that_is_none_of_ours_is_refused(anna, ask, handle, posters, data):
    rate(anna, LIKED)
    assert "out of date" in tap(anna, ask("/recommend"), handle, data=data).text


@pytest.mark.parametrize(
    "ratings",
    [{LIKED: 10}, {LIKED: 10, OTHER: 10}, {LIKED: 1}, {LIKED: 1, OTHER: 1}, dict.fromkeys(CANDIDATES, 8)],
    ids=["one", "all tens", "one of 1", "all ones", "everything there is"],
)
def test_odd_profiles_get_films_that_they_have_not_rated(anna, ask, learned, ratings):
    for at, (movie_id, value) in enumerate(ratings.items()):
        rate(anna, movie_id, value, at)
    assert shown_film(ask("/recommend")) not in ratings


def test_titles_of_any_length_and_characters_fit_into_a_caption(anna, ask, handle, posters):
    Movie.objects.update(title="<b>&" * 200, overview="<i>" * 900)
    rate(anna, LIKED)
    message = ask("/recommend")
    tap(anna, message, handle, text="👎")
    assert shown_film(message) == 102


def test_a_button_of_a_list_from_before_brings_the_film(anna, ask, handle, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    tap(anna, message, handle, data="recommend:1:any:any")
    assert anna.chat[-1] is not message
    assert shown_film(anna.chat[-1]) == 101


def test_an_update_that_is_handled_once_more_after_a_kill_changes_nothing(anna, ask, handle, sandbox, posters):
    rate(anna, LIKED)
    message = ask("/recommend")
    anna.press(message, text="›")
    update = sandbox.telegram.accounts[sandbox.telegram_token].updates[-1][2]
    handle()
    handle_update({"update_id": 1, **update})
    assert shown_film(message) == 102


def test_a_message_of_a_bot_that_was_killed_is_turned_by_the_next_one(anna, sandbox, start, posters):
    rate(anna, LIKED)
    bot = start("runbot")
    message = anna.wait(after=anna.send("/recommend"), timeout=30)
    anna.press(message, text="›")
    wait_until(lambda: shown_film(message) == 102, explain=lambda: bot.output)
    bot.kill()
    anna.press(message, text="👎")
    bot = start("runbot")
    wait_until(lambda: shown_film(message) == 103, 40, explain=lambda: bot.output)
    assert DismissedMovie.objects.get().movie_id == 102
