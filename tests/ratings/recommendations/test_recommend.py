"""/recommend: films to see next with reasons, dismissals, and the cold start of a new bot."""

import threading
from array import array
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection

from movies.models import Movie
from movies.tasks import read_details
from ratings.models import (
    DismissedMovie,
    Rating,
    SimilarMovies,
    TMDbRecommendation,
    TMDbRecommendationFetch,
    TrainingRun,
)
from ratings.recommendations import cold_start, recommender
from ratings.recommendations.diversify import same_series
from ratings.tasks import fetch_most_voted_movies, fetch_tmdb_recommendations
from tests.conftest import queued, wait_until
from users.models import User

pytestmark = pytest.mark.django_db

LIKED, OTHER = 1, 2  # films that neighbours are known of
CANDIDATES = range(101, 141)


@pytest.fixture
def films():
    """Two films to rate, and forty to recommend, of four decades and three lengths."""
    Movie.objects.bulk_create(
        [
            Movie(pk=LIKED, title="Dune & Sand", release_date="2021-09-15", runtime=155, vote_count=900, details_at=1),
            Movie(pk=OTHER, title="Other", release_date="1999-09-15", runtime=90, vote_count=800, details_at=1),
            *(
                Movie(
                    pk=pk,
                    title=f"Film {pk}",
                    release_date=f"{1950 + 20 * (pk % 4)}-05-01",
                    runtime=(80, 120, 160)[pk % 3],
                    vote_average=7,
                    vote_count=1000 - pk,
                    details_at=1,
                )
                for pk in CANDIDATES
            ),
        ]
    )


@pytest.fixture
def learned(films):
    """Neighbours: LIKED leads to 101, 102, … in this order, OTHER to the same films the other way round."""
    return learn(
        [(LIKED, pk, 1 / (pk - 100)) for pk in CANDIDATES] + [(OTHER, pk, 1 / (141 - pk)) for pk in CANDIDATES]
    )


def learn(rows, users=500, places=None):
    build = TrainingRun.objects.create(started_at=1, finished_at=2, users=users)
    popular = [(0, pk, 0.001 * (200 - pk)) for pk in CANDIDATES]
    led_to, places = {}, places or {}
    for one, other, weight in [*rows, *popular]:
        led_to.setdefault(one, {})[other] = weight
    for one, others in led_to.items():
        placed = sorted((other for other in others if (one, other) in places), key=lambda other: places[one, other])
        put(build, one, {other: others[other] for other in placed} | others, len(placed))
    return build


def put(build, film, others, nearest=0):
    """Let a film lead to others, {film: weight}, of which the first are the most alike."""
    films, weights = array("i", others).tobytes(), array("f", others.values()).tobytes()
    SimilarMovies.objects.update_or_create(
        run_id=build.pk, movie_id=film, defaults={"movie_ids": films, "weights": weights, "nearest": nearest}
    )


def rate(person, movie_id, value=9, at=5):
    User.objects.get_or_create(pk=person.id)
    Rating.objects.create(user_id=person.id, movie_id=movie_id, normalized_rating=Decimal(value), rated_at=at)


def ask(person, handle, text="/recommend"):
    person.send(text)
    handle()
    return person.chat[-1]


def tap(person, message, handle, text=None, data=None):
    """Press a button; with `data` that none has, as a changed app would."""
    if data and data not in [button.data for button in buttons(message)]:
        button = buttons(message)[0]
        true, button.raw["callback_data"] = button.raw["callback_data"], data
        query = person.press(message, data=data)
        button.raw["callback_data"] = true
    else:
        query = person.press(message, text, data)
    handle()
    return query.answer


def buttons(message):
    return [button for row in message.buttons for button in row]


def ids(message, kind):
    return [int(button.data.split(":")[1]) for button in buttons(message) if (button.data or "").startswith(f"{kind}:")]


def listed(message):
    """The films of a list of recommendations."""
    return ids(message, "watched")


def test_ten_films_each_with_a_button_to_its_card_and_a_reason(anna, handle, learned):
    rate(anna, LIKED, 9)
    message = ask(anna, handle)
    assert listed(message) == list(range(101, 111))
    assert message.text.count("because you rated “Dune & Sand” 9") == 10
    tap(anna, message, handle, text="1")
    assert anna.chat[-1].caption is not None or "Film 101" in anna.chat[-1].text
    assert any(button.data == "rate:101:8" for button in buttons(anna.chat[-1]))


def test_the_reason_is_the_film_that_carried_most_weight(anna, films):
    learn([(LIKED, 101, 0.5), (OTHER, 101, 0.4), (OTHER, 102, 0.4), (LIKED, 102, -0.4), (OTHER, 103, 0.2)])
    rate(anna, LIKED)
    rate(anna, OTHER)
    found, _more = recommender.recommend(anna.id)
    assert [(one.movie.pk, one.because and one.because.pk) for one in found[:3]] == [
        (101, LIKED),
        (103, OTHER),
        (102, OTHER),
    ]
    assert found[0].because.user_rating == 9
    assert found[3].because is None


def test_a_new_rating_counts_at_once_and_a_rated_film_is_gone(anna, handle, learned):
    rate(anna, LIKED, 10)
    message = ask(anna, handle)
    assert listed(message)[0] == 101
    tap(anna, message, handle, text="1")
    tap(anna, anna.chat[-1], handle, text="3")
    assert 101 not in listed(ask(anna, handle))
    rate(anna, OTHER, 10, at=2_000_000_000)
    assert 140 in listed(ask(anna, handle))


def test_another_page_comes_by_editing_the_message(anna, handle, learned):
    rate(anna, LIKED)
    message = ask(anna, handle)
    tap(anna, message, handle, text="›")
    assert listed(message) == list(range(111, 121))
    assert "11. <b>" in message.text or "11. Film" in message.text
    tap(anna, message, handle, text="‹")
    assert listed(message) == list(range(101, 111))
    assert message is anna.chat[-1]


def fitting(films):
    """Let just so many films be of the 1930s."""
    Movie.objects.filter(pk__in=list(CANDIDATES)[:films]).update(release_date="1935-05-01")


def test_not_interesting_on_the_only_film_of_the_last_page_shows_the_page_before(anna, handle, learned):
    fitting(11)
    rate(anna, LIKED)
    message = ask(anna, handle)
    tap(anna, message, handle, data="recommend:0:1930:any")
    tap(anna, message, handle, text="›")
    (last,) = listed(message)
    tap(anna, message, handle, data=f"dismiss:{last}:1:1930:any")
    assert len(listed(message)) == 10
    assert any(button.data == f"undismiss:{last}:0:1930:any" for button in buttons(message))
    assert "›" not in [button.text for button in buttons(message)]


def test_a_button_to_a_page_that_is_no_longer_there_shows_the_last_one(anna, handle, learned):
    fitting(25)
    rate(anna, LIKED)
    message = ask(anna, handle)
    tap(anna, message, handle, data="recommend:9:1930:any")
    assert len(listed(message)) == 5
    assert "21. " in message.text
    tap(anna, message, handle, text="‹")
    assert len(listed(message)) == 10


def test_not_interesting_is_remembered_counts_and_can_be_undone(anna, handle, learned):
    rate(anna, LIKED)
    message = ask(anna, handle)
    answer = tap(anna, message, handle, data="dismiss:101:0:any:any")
    assert "Film 101" in answer.text
    assert listed(message) == list(range(102, 112))
    assert listed(ask(anna, handle)) == list(range(102, 112))
    tap(anna, message, handle, text="Undo: “Film 101”")
    assert listed(message) == list(range(101, 111))
    assert not DismissedMovie.objects.exists()


def test_films_like_one_that_is_not_interesting_come_later(anna, films):
    learn([(LIKED, 101, 0.5), (LIKED, 102, 0.49), (LIKED, 103, 0.48), (101, 102, 0.9)])
    rate(anna, LIKED)
    assert [one.movie.pk for one in recommender.recommend(anna.id)[0][:3]] == [101, 102, 103]
    DismissedMovie.objects.create(user_id=anna.id, movie_id=101, dismissed_at=1)
    assert recommender.recommend(anna.id)[0][0].movie.pk == 103


def test_dismissed_movies_are_listed_and_can_be_recommended_again(anna, handle, learned):
    rate(anna, LIKED)
    message = ask(anna, handle)
    for film in (101, 102):
        tap(anna, message, handle, data=f"dismiss:{film}:0:any:any")
    tap(anna, message, handle, text="Not interesting: 2")
    assert message.text == "2 films you called not interesting"
    tap(anna, message, handle, text="Recommend again: “Film 102”")
    assert list(DismissedMovie.objects.values_list("movie_id", flat=True)) == [101]
    tap(anna, message, handle, text="Recommend again: “Film 101”")
    assert listed(message) == list(range(101, 111))


def test_more_dismissed_movies_than_a_page_holds_come_in_pages(anna, handle, learned):
    rate(anna, LIKED)
    DismissedMovie.objects.bulk_create(
        DismissedMovie(user_id=anna.id, movie_id=pk, dismissed_at=pk) for pk in range(101, 111)
    )
    message = ask(anna, handle)
    tap(anna, message, handle, text="Not interesting: 10")
    assert message.text == "10 films you called not interesting (1/2)"
    tap(anna, message, handle, text="›")
    assert ids(message, "card") == [102, 101]


def test_pressed_twice_not_interesting_is_one_row_and_no_error(anna, handle, learned):
    rate(anna, LIKED)
    message = ask(anna, handle)
    for _twice in range(2):
        assert tap(anna, message, handle, data="dismiss:101:0:any:any")
    assert DismissedMovie.objects.count() == 1
    for _twice in range(2):
        assert tap(anna, message, handle, data="undismiss:101:0:any:any")


def test_a_movie_is_dismissed_and_undismissed_on_its_card_too(anna, handle, learned):
    rate(anna, LIKED)
    message = ask(anna, handle)
    tap(anna, message, handle, text="1")
    card = anna.chat[-1]
    for _twice in range(2):
        assert "Film 101" in tap(anna, card, handle, data="carddismiss:101").text
    assert [row.movie_id for row in DismissedMovie.objects.all()] == [101]
    assert {"rate:101:8", "similar:101", "cardundismiss:101"} <= {button.data for button in buttons(card)}
    assert 101 not in listed(ask(anna, handle))
    tap(anna, card, handle, text="Undo: not interesting")
    assert listed(ask(anna, handle))[0] == 101
    tap(anna, card, handle, text="7")
    assert Rating.objects.get(user_id=anna.id, movie_id=101).value == 7
    assert "carddismiss:101" not in [button.data for button in buttons(card)]


def test_rating_a_movie_undismisses_it(anna, handle, learned):
    rate(anna, LIKED)
    message = ask(anna, handle)
    for film in (101, 102):
        tap(anna, message, handle, data=f"dismiss:{film}:0:any:any")
    ask(anna, handle, "/rate 101 7.5")
    assert list(DismissedMovie.objects.values_list("movie_id", flat=True)) == [102]
    assert "Not interesting: 1" in [button.text for button in buttons(ask(anna, handle))]


def test_seen_it_leads_to_the_card_where_it_is_rated(anna, handle, learned):
    rate(anna, LIKED)
    message = ask(anna, handle)
    answer = tap(anna, message, handle, data="watched:103")
    assert "Rate it" in answer.text
    tap(anna, anna.chat[-1], handle, text="7")
    assert Rating.objects.get(user_id=anna.id, movie_id=103).value == 7


def test_a_decade_a_length_and_short_tonight(anna, handle, learned):
    rate(anna, LIKED)
    message = ask(anna, handle)
    tap(anna, message, handle, text="Any decade")
    tap(anna, message, handle, text="1990s")
    assert set(listed(message)) == {pk for pk in CANDIDATES if pk % 4 == 2}
    tap(anna, message, handle, text="Any length")
    tap(anna, message, handle, text="over 140 min")
    assert set(listed(message)) == {pk for pk in CANDIDATES if pk % 4 == 2 and pk % 3 == 2}
    assert "1990s, over 140 min" in message.text
    tap(anna, message, handle, text="Short tonight")
    assert set(listed(message)) - {OTHER} == {pk for pk in CANDIDATES if pk % 4 == 2 and pk % 3 == 0}
    tap(anna, message, handle, text="● Short tonight")
    tap(anna, message, handle, text="1990s")
    tap(anna, message, handle, text="before 1960")
    assert set(listed(message)) == {pk for pk in CANDIDATES if pk % 4 == 0}


def test_where_no_film_fits_it_says_so_and_keeps_the_filters(anna, handle, learned):
    rate(anna, LIKED)
    message = ask(anna, handle)
    Movie.objects.filter(pk__in=CANDIDATES).update(release_date="1999-01-01")
    tap(anna, message, handle, data="recommend:0:1960:long")
    assert "No film fits" in message.text
    tap(anna, message, handle, text="1960s")
    tap(anna, message, handle, text="Any decade")
    assert len(listed(message)) == 10


def test_no_more_than_two_films_that_are_each_others_first_neighbours(anna, films):
    series = [101, 102, 103, 104, 105]
    places = {(one, two): 1 + abs(one - two) // 2 for one in series for two in series if abs(one - two) in (1, 2)}
    learn([(LIKED, pk, 1 / (pk - 100)) for pk in CANDIDATES] + [(one, two, 0.0) for one, two in places], places=places)
    rate(anna, LIKED)
    first, more = recommender.recommend(anna.id)
    assert [one.movie.pk for one in first] == [101, 102, *range(106, 114)]
    assert more
    second, _more = recommender.recommend(anna.id, page=1)
    assert [one.movie.pk for one in second][:2] == [103, 104]


def test_no_more_than_two_films_of_a_series_by_their_titles_where_there_are_no_neighbours(anna, films):
    learn([(LIKED, pk, 1 / (pk - 100)) for pk in CANDIDATES])
    for pk, title in enumerate(
        ["The Toy Story", "Toy Story 2", "Heat", "Toy Story: of Terror!", "Rocky II", "Rocky", "Rocky Balboa", "2001"],
        start=101,
    ):
        Movie.objects.filter(pk=pk).update(original_title=title)
    Movie.objects.filter(pk__gt=108).update(original_title="")
    rate(anna, LIKED)
    first, _more = recommender.recommend(anna.id)
    assert [one.movie.pk for one in first] == [101, 102, 103, 105, 106, 108, 109, 110, 111, 112]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Harry Potter and the Chamber of Secrets", "Harry Potter and the Goblet of Fire", True),
        ("The Godfather", "The Godfather: Part II", True),
        ("Mission: Impossible", "Mission: Impossible - Fallout", True),
        ("Человек-паук", "Человек-паук 2", True),
        ("A Beautiful Mind", "A Beautiful Day in the Neighborhood", False),
        ("The Shining", "The Sting", False),
        ("12 Angry Men", "12 Years a Slave", False),
        ("千と千尋の神隠し", "千年女優", False),
        ("", "", False),
        ("!!!", "The", False),
    ],
)
def test_titles_of_a_series_begin_alike(one, other, same):
    assert bool(same_series({1: one, 2: other})) == same


@pytest.mark.parametrize("values", [[1], [1, 1], [2, 1.5]])
def test_who_only_disliked_films_gets_what_many_like_and_no_reason_they_dislike(anna, learned, values):
    for film, value in zip((LIKED, OTHER), values, strict=False):
        rate(anna, film, value)
    shown, _more = recommender.recommend(anna.id)
    assert [one.movie.pk for one in shown] == list(range(101, 111))  # as film 0 has them
    assert {one.because for one in shown} == {None}


def test_no_film_that_the_user_rated_well_below_their_mean_is_a_reason(anna, films):
    learn([(LIKED, pk, 0.1) for pk in range(101, 106)] + [(OTHER, pk, 1.0) for pk in CANDIDATES])
    rate(anna, LIKED, 9)
    rate(anna, 140, 9)
    rate(anna, OTHER, 6)
    shown, _more = recommender.recommend(anna.id)
    named = {one.movie.pk: one.because and one.because.pk for one in shown}
    assert {named[pk] for pk in range(101, 106)} == {LIKED}
    assert {because for pk, because in named.items() if pk > 105} == {None}


def test_a_bot_that_knew_nothing_a_moment_ago_shows_films_as_soon_as_it_knows_some(anna, handle):
    assert "too few" in ask(anna, handle).text
    Movie.objects.bulk_create(Movie(pk=pk, title=f"Film {pk}", vote_average=8, vote_count=100) for pk in CANDIDATES)
    assert len(ids(ask(anna, handle), "card")) == 5


def test_a_bot_with_few_movies_fetches_the_most_voted_once_and_only_when_a_user_asks(anna, handle, sandbox):
    ask(anna, handle, "/help")
    assert queued() == []
    assert "asking TMDb which films everybody knows" in ask(anna, handle).text
    assert "ratings.chat.recommendations.complete" in queued()
    assert fetch_most_voted_movies() == "60 found"
    assert fetch_most_voted_movies() == "0 found"
    asked = [seen for seen in sandbox.tmdb.requests if seen.path.endswith("/discover/movie")]
    assert [seen.query["page"] for seen in asked] == ["1", "2", "3"]
    best = sorted(sandbox.tmdb.films.values(), key=lambda film: -film.vote_count)
    assert set(Movie.objects.values_list("pk", flat=True)) == {film.id for film in best[:60]}
    before = len(queued())
    message = ask(anna, handle)
    assert len(ids(message, "card")) == 5
    assert "asking" not in message.text
    assert len(queued()) == before


def test_where_tmdb_does_not_return_the_most_voted_movies_it_is_asked_an_hour_later(anna, handle, sandbox):
    sandbox.tmdb.fail("/discover/movie", status=404, body={"status_code": 34}, times=9)
    ask(anna, handle)
    for _twice in range(2):
        assert fetch_most_voted_movies() == "0 found"
    assert len([seen for seen in sandbox.tmdb.requests if seen.path.endswith("/discover/movie")]) == 1
    assert "asking" not in ask(anna, handle).text
    TMDbRecommendationFetch.objects.update(next_try_at=1)
    sandbox.faults.clear()
    assert fetch_most_voted_movies() == "60 found"


def test_a_person_without_ratings_gets_five_different_known_films_to_rate(anna, handle, films):
    learn([(101, pk, 0.5) for pk in (102, 103, 104, 105)])
    message = ask(anna, handle)
    shown = ids(message, "card")
    assert len(shown) == len(set(shown)) == 5
    assert 101 in shown
    assert not {102, 103, 104, 105} & set(shown)
    assert "Which of these have you seen?" in message.text
    tap(anna, message, handle, text="Other films")
    others = ids(message, "card")
    assert len(others) == 5
    assert not set(others) & set(shown)


def test_pages_of_films_to_rate_first_go_back_and_forth_and_end_where_there_are_no_more(anna, handle, films):
    Movie.objects.filter(pk__gt=107).delete()
    message = ask(anna, handle)
    pages = [ids(message, "card")]
    assert "‹" not in [button.text for button in buttons(message)]
    tap(anna, message, handle, text="Other films")
    pages.append(ids(message, "card"))
    assert "Other films" not in [button.text for button in buttons(message)]
    assert sorted(sum(pages, [])) == [LIKED, OTHER, *range(101, 108)]
    tap(anna, message, handle, text="‹")
    assert ids(message, "card") == pages[0]
    tap(anna, message, handle, data="coldstart:6")
    assert ids(message, "card") == pages[1]


def test_where_a_first_film_has_been_rated_a_button_shows_recommendations(anna, handle, learned):
    message = ask(anna, handle)
    assert "press “Show recommendations”" in message.text
    tap(anna, message, handle, text="Other films")
    answer = tap(anna, message, handle, text="Show recommendations")
    assert "Rate a film first" in answer.text
    assert "Which of these have you seen?" in message.text
    tap(anna, message, handle, text="1")
    tap(anna, anna.chat[-1], handle, text="9")
    tap(anna, message, handle, text="Show recommendations")
    assert "Films for you" in message.text
    assert len(listed(message)) == 10


def test_before_any_table_films_that_many_vote_well_for_come_first_and_three_tens_do_not_lead(anna, handle, films):
    Movie.objects.create(pk=500, title="Three votes", vote_average=10, vote_count=3)
    Movie.objects.create(pk=501, title="Many votes", vote_average=8.5, vote_count=20_000)
    rate(anna, LIKED)
    message = ask(anna, handle)
    assert listed(message)[0] == 501
    assert 500 not in listed(message)[:1]
    assert "many people like it" in message.text


def test_a_film_that_is_gone_since_the_best_ones_were_listed_is_in_no_list(anna, films):
    rate(anna, LIKED)
    profile = recommender.UserProfile.load(anna.id)
    assert len(recommender.top_movies(profile, 50)) == 41
    Movie.objects.filter(pk__in=[101, 102]).delete()
    assert len(recommender.top_movies(profile, 50)) == 39


def test_an_empty_bot_asks_for_a_title(anna, handle):
    assert "title" in ask(anna, handle).text


@pytest.mark.parametrize(
    "ratings",
    [{LIKED: 10}, {LIKED: 10, OTHER: 10}, {LIKED: 1}, {LIKED: 1, OTHER: 1}, dict.fromkeys(CANDIDATES, 8)],
    ids=["one", "all tens", "one of 1", "all ones", "everything there is"],
)
def test_odd_profiles_get_lists_without_what_they_rated(anna, handle, learned, ratings):
    for at, (movie_id, value) in enumerate(ratings.items()):
        rate(anna, movie_id, value, at)
    shown = listed(ask(anna, handle))
    assert not set(shown) & set(ratings)
    assert shown


def test_films_that_are_not_in_the_table_yet_are_not_shown(anna, learned):
    put(learned, LIKED, {999: 50} | {pk: 1 / (pk - 100) for pk in CANDIDATES}, 1)
    rate(anna, LIKED)
    assert [one.movie.pk for one in recommender.recommend(anna.id)[0]] == list(range(101, 111))


def test_other_peoples_refusals_and_ratings_change_nothing_for_anna(anna, sandbox, learned):
    rate(anna, LIKED)
    before = recommender.recommend(anna.id)
    boris = sandbox.telegram.person("Boris")
    rate(boris, 101, 10)
    DismissedMovie.objects.create(user_id=boris.id, movie_id=102, dismissed_at=1)
    assert recommender.recommend(anna.id) == before


@pytest.mark.parametrize(
    "data",
    [
        "recommend:",
        "recommend:0:any",
        "recommend:99:any:any",
        "recommend:0:any:short; DROP",
        "filter:year:0:any:any",
        "dismiss:x:0:any:any",
        "choose:",
        "carddismiss:x",
        "cardundismiss:1:2",
        "undismiss:1",
        "watched:",
        "coldstart:10",
        "dismissed:-1",
    ],
)
def test_a_button_that_is_none_of_ours_is_refused(anna, handle, learned, data):
    rate(anna, LIKED)
    assert "out of date" in tap(anna, ask(anna, handle), handle, data=data).text


def tap_too_old(sandbox, person, message, handle, data):
    """Press a button of a message that Telegram no longer gives us (Bot API: InaccessibleMessage)."""
    button = buttons(message)[0]
    true, button.raw["callback_data"] = button.raw["callback_data"], data
    query = person.press(message, data=data)
    button.raw["callback_data"] = true
    update = sandbox.telegram.accounts[sandbox.telegram_token].updates[-1][2]["callback_query"]
    update["message"] = {"chat": message.chat.as_json(), "message_id": message.id, "date": 0}
    handle()
    return query.answer


@pytest.mark.parametrize(
    ("data", "words", "button"),
    [
        ("recommend:1:any:any", "11. ", "recommend:0:any:any"),
        ("filter:decade:1:any:any", "11. ", "recommend:0:1990:any"),
        ("dismiss:101:0:any:any", "Films for you", "undismiss:101:0:any:any"),
        ("undismiss:140:0:any:any", "Films for you", "dismiss:101:0:any:any"),
        ("dismissed:0", "1 film you called", "dismissed:0:140"),
        ("dismissed:0:140", "Films for you", "dismiss:101:0:any:any"),
        ("coldstart:1", "Which of these", "coldstart:0"),
    ],
)
def test_a_button_of_a_list_that_can_no_longer_be_changed_brings_a_new_one(
    anna, handle, sandbox, learned, data, words, button
):
    rate(anna, LIKED)
    DismissedMovie.objects.create(user_id=anna.id, movie_id=140, dismissed_at=1)
    old = ask(anna, handle)
    before = old.text
    assert tap_too_old(sandbox, anna, old, handle, data)
    new = anna.chat[-1]
    assert new is not old
    assert words in new.text
    assert button in [each.data for each in buttons(new)]
    assert old.text == before


def test_on_a_card_that_can_no_longer_be_edited_a_dismissal_is_confirmed_by_an_alert(anna, handle, sandbox, learned):
    rate(anna, LIKED)
    message = ask(anna, handle)
    tap(anna, message, handle, text="1")
    for data, words in (("carddismiss:101", "I will not recommend"), ("cardundismiss:101", "may be recommended again")):
        answer = tap_too_old(sandbox, anna, anna.chat[-1], handle, data)
        assert words in answer.text
        assert answer.show_alert
    assert not DismissedMovie.objects.exists()


def test_in_a_group_recommendations_are_asked_for_in_private(anna, handle, sandbox, learned):
    group = sandbox.telegram.group("Club", [anna])
    anna.send("/recommend", chat=group)
    handle()
    assert "privately" in anna.wait(chat=group).text


def test_titles_of_any_length_and_characters_fit_into_a_message(anna, handle, learned):
    Movie.objects.update(title="<b>&" * 200)
    rate(anna, LIKED)
    assert len(listed(ask(anna, handle))) == 10


# --- Similar films


def test_a_cards_similar_films_are_its_nearest_neighbours(anna, handle, sandbox, films):
    learn([(LIKED, 103, 0.1), (LIKED, 102, 0.9)], places={(LIKED, 103): 1, (LIKED, 102): 2})
    message = ask(anna, handle, f"/movie {LIKED}")
    tap(anna, message, handle, text="Similar films")
    assert ids(anna.chat[-1], "card") == [103, 102]
    assert not sandbox.tmdb.requests_of("/movie/*/recommendations")


def test_what_the_worker_has_asked_of_tmdb_is_not_asked_again_on_a_card(anna, handle, sandbox, films):
    cold_start.save_tmdb_recommendations(LIKED, [Movie(pk=pk, title=str(pk)) for pk in (140, 139)])
    message = ask(anna, handle, f"/movie {LIKED}")
    sandbox.tmdb.forget_requests()
    tap(anna, message, handle, text="Similar films")
    assert ids(anna.chat[-1], "card") == [140, 139]
    assert sandbox.tmdb.requests == []


def test_what_a_card_has_asked_of_tmdb_the_worker_does_not_ask_again(anna, handle, sandbox):
    Movie.objects.create(pk=603, title="The Matrix", details_at=1)
    message = ask(anna, handle, "/movie 603")
    for _twice in range(2):
        tap(anna, message, handle, text="Similar films")
    shown = ids(anna.chat[-1], "card")
    assert shown == list(TMDbRecommendation.objects.order_by("place").values_list("recommended_id", flat=True)[:8])
    rate(anna, 603, 9)
    assert fetch_tmdb_recommendations() == "0 asked"
    assert len(requests_for(sandbox, 603)) == 1


def test_films_without_recommendations_at_tmdb_are_asked_for_once_on_a_card(anna, handle, sandbox):
    Movie.objects.create(pk=603, title="The Matrix", details_at=1)
    sandbox.tmdb.fail("/movie/603/recommendations", status=200, body={"results": []}, times=9)
    message = ask(anna, handle, "/movie 603")
    for _twice in range(2):
        assert "no similar films" in tap(anna, message, handle, text="Similar films").text
    assert len(requests_for(sandbox, 603)) == 1


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_several_workers_save_at_the_same_moment_is_saved_once(films):
    failed = []

    def save():
        try:
            cold_start.save_tmdb_recommendations(LIKED, [Movie(pk=pk, title=str(pk)) for pk in range(101, 121)])
        except DatabaseError as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=save) for _each in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert list(TMDbRecommendation.objects.order_by("place").values_list("recommended_id", flat=True)) == [
        *range(101, 121)
    ]


# --- Cold start


def test_tmdbs_recommendations_for_liked_films_are_fetched_once_and_saved(anna, sandbox):
    Movie.objects.create(pk=603, title="The Matrix")
    Movie.objects.create(pk=604, title="Not loved")
    rate(anna, 603, 9)
    rate(anna, 604, 4)
    assert fetch_tmdb_recommendations() == "1 asked"
    assert fetch_tmdb_recommendations() == "0 asked"
    assert len(requests_for(sandbox, 603)) == 1
    rows = list(TMDbRecommendation.objects.order_by("place").values_list("movie_id", "place"))
    assert rows == [(603, place) for place in range(1, len(rows) + 1)]
    neighbours = set(TMDbRecommendation.objects.values_list("recommended_id", flat=True))
    assert Movie.objects.filter(pk__in=neighbours).count() == len(neighbours)
    TMDbRecommendationFetch.objects.update(fetched_at=1)
    assert fetch_tmdb_recommendations() == "1 asked"


def requests_for(sandbox, movie_id):
    return [seen for seen in sandbox.tmdb.requests if seen.path.endswith(f"/movie/{movie_id}/recommendations")]


def test_tmdbs_recommendations_lead_in_a_bot_without_other_users_with_the_liked_film_as_reason(anna, sandbox, films):
    cold_start.save_tmdb_recommendations(LIKED, [Movie(pk=pk, title=str(pk)) for pk in (140, 139, 138)])
    rate(anna, LIKED)
    found, _more = recommender.recommend(anna.id)
    assert [one.movie.pk for one in found[:3]] == [140, 139, 138]
    assert found[0].because.pk == LIKED
    learn([(LIKED, pk, 1 / (pk - 100)) for pk in CANDIDATES], users=recommender.MAX_USERS_FOR_TMDB)
    assert recommender.recommend(anna.id)[0][0].movie.pk == 101


def test_nothing_is_asked_of_tmdb_while_the_person_waits(anna, handle, sandbox, films):
    rate(anna, LIKED)
    sandbox.tmdb.forget_requests()
    assert listed(ask(anna, handle))
    assert sandbox.tmdb.requests == []


def test_with_many_people_tmdb_is_no_longer_asked(anna, sandbox):
    Movie.objects.create(pk=603, title="The Matrix")
    rate(anna, 603, 9)
    learn([], users=recommender.MAX_USERS_FOR_TMDB)
    assert fetch_tmdb_recommendations() == "0 asked"


def test_while_tmdb_is_down_nothing_is_fetched_until_the_next_run(anna, sandbox):
    Movie.objects.create(pk=603, title="The Matrix")
    rate(anna, 603, 9)
    sandbox.tmdb.fail("/movie/603/recommendations", status=401, code=7, times=1)
    assert fetch_tmdb_recommendations() == "0 asked"
    assert fetch_tmdb_recommendations() == "1 asked"


@pytest.fixture
def hurried(monkeypatch):
    """No pause between two attempts."""
    monkeypatch.setattr("movies.tmdb.time.sleep", lambda seconds: None)


def test_a_film_that_tmdb_fails_at_is_tried_an_hour_later_and_the_others_are_asked_for(anna, sandbox, hurried):
    Movie.objects.bulk_create([Movie(pk=pk, title=str(pk)) for pk in (603, 550, 13)])
    boris = sandbox.telegram.person("Boris")
    for person, film in ((anna, 603), (boris, 603), (anna, 550), (anna, 13)):
        rate(person, film, 9)
    sandbox.tmdb.fail("/movie/603/recommendations", status=500, times=99)
    assert fetch_tmdb_recommendations() == "2 asked"
    sandbox.tmdb.forget_requests()
    assert fetch_tmdb_recommendations() == "0 asked"
    assert sandbox.tmdb.requests == []
    assert not cold_start.can_fetch_more(boris.id)
    sandbox.tmdb.faults.clear()
    TMDbRecommendationFetch.objects.filter(pk=603).update(next_try_at=1)
    assert cold_start.can_fetch_more(boris.id)
    assert fetch_tmdb_recommendations() == "1 asked"
    assert TMDbRecommendation.objects.filter(movie_id=603).exists()


def test_a_round_ends_where_tmdb_fails_at_a_few_films_in_a_row(anna, sandbox, hurried):
    films = list(range(1, 9))
    Movie.objects.bulk_create([Movie(pk=pk, title=str(pk)) for pk in films])
    for film in films:
        rate(anna, film, 9)
    sandbox.tmdb.fail("/recommendations", status=503, times=999)
    assert fetch_tmdb_recommendations() == "0 asked"
    assert {seen.path.split("/")[-2] for seen in sandbox.tmdb.requests_of("/movie/*/recommendations")} == {
        "1",
        "2",
        "3",
    }


def test_a_film_that_tmdb_no_longer_has_is_not_asked_for_again(anna, sandbox):
    Movie.objects.create(pk=999_999_999, title="Gone")
    rate(anna, 999_999_999, 9)
    assert fetch_tmdb_recommendations() == "1 asked"
    assert fetch_tmdb_recommendations() == "0 asked"


def test_no_list_shows_a_film_of_which_only_the_id_is_known_before_its_details_are_read(anna, films, sandbox):
    Movie.objects.create(pk=603, search_text="|")
    cold_start.save_tmdb_recommendations(LIKED, [Movie(pk=603, title="")])
    rate(anna, LIKED, 9)
    assert 603 not in recommended(anna)
    read_details()
    assert 603 in recommended(anna)


def recommended(anna):
    return [one.movie.pk for one in recommender.recommend(anna.id)[0]]


def test_recommendations_that_are_still_asked_of_tmdb_appear_in_the_same_message(sandbox, handle, start):
    anna = sandbox.telegram.person("Анна", language_code="en")
    user = User.objects.create(pk=anna.id, language="en")
    Movie.objects.create(id=603, title="The Matrix", vote_average=8, vote_count=100, details_at=1)
    Rating.objects.create(user=user, movie_id=603, tmdb_rating=10, normalized_rating=10, rated_at=1)
    anna.send("/recommend")
    handle()
    shown = anna.chat[-1]
    assert "I am asking TMDb" in shown.text
    worker = start("qcluster")
    wait_until(lambda: "because you rated “The Matrix” 10" in anna.chat[-1].text, explain=lambda: worker.output)
    assert anna.chat[-1].id == shown.id
