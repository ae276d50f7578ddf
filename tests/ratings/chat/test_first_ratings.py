"""The first ratings as a game, and a bot that knows hardly any film yet."""

import pytest

from movies.models import Movie
from ratings.chat import carousel_message
from ratings.models import Carousel, Rating, TMDbRecommendationFetch
from ratings.tasks import fetch_most_voted_movies
from tests.conftest import queued
from tests.helpers.recommendations import CANDIDATES, LIKED, learn, rate, shown_film, tap, texts, with_posters

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_wait(monkeypatch):
    monkeypatch.setattr(carousel_message, "POSTER_WAIT_SECONDS", 0)


def test_five_films_are_rated_in_one_message_and_then_recommendations_come_in_it(anna, ask, handle, sandbox, learned):
    posters = with_posters(sandbox)
    message = ask("/recommend")
    rated = []
    for number in range(1, 6):
        assert f"Seen it? Rate it. {number} of 5" in message.caption
        rated.append(shown_film(message))
        assert message.photos[-1].file_id == posters[rated[-1]]
        assert texts(message)[:10] == [*map(str, range(1, 11))]
        tap(anna, message, handle, text="9")
    assert len(set(rated)) == 5
    assert set(Rating.objects.values_list("movie_id", flat=True)) == set(rated)
    assert "1 of 10" in texts(message)
    assert shown_film(message) not in rated
    assert anna.chat[-1] is message


def test_the_films_tell_tastes_apart_and_one_not_seen_does_not_come_again(anna, ask, handle, films):
    learn([(101, pk, 0.5) for pk in (102, 103, 104, 105)])
    message, shown = ask("/recommend"), []
    for _film in range(5):
        shown.append(shown_film(message))
        tap(anna, message, handle, text="Not seen")
    assert len(set(shown)) == 5
    assert 101 in shown
    assert not {102, 103, 104, 105} & set(shown)
    assert shown_film(message) not in shown
    assert "1 of 5" in message.words


def test_a_press_twice_skips_no_film(anna, ask, handle, learned):
    message = ask("/recommend")
    first = shown_film(message)
    for _twice in range(2):
        tap(anna, message, handle, data=f"rate:{first}:8")
    second = shown_film(message)
    for _twice in range(2):
        tap(anna, message, handle, data=f"carousel:first:skip:{second}")
    assert Rating.objects.get().movie_id == first
    assert len({first, second, shown_film(message)}) == 3


def test_it_can_be_left_and_taken_up_in_another_message_or_the_old_one(anna, ask, handle, learned):
    message = ask("/recommend")
    tap(anna, message, handle, text="Not seen")
    tap(anna, message, handle, text="7")
    at = shown_film(message)
    ask("/help")
    again = ask("/recommend")
    assert shown_film(again) == at
    assert "2 of 5" in again.words
    rate(anna, at)  # on its card
    assert shown_film(ask("/recommend")) != at
    Rating.objects.get(movie_id=at).delete()
    tap(anna, message, handle, text="6")
    assert "3 of 5" in message.words


def test_who_does_not_want_to_go_on_gets_recommendations_after_the_first_rating(anna, ask, handle, learned):
    message = ask("/recommend")
    assert "Show recommendations" not in texts(message)
    tap(anna, message, handle, text="9")
    for _twice in range(2):
        assert not tap(anna, message, handle, data="carousel:first:done").text
    assert "1 of 10" in texts(message)


def test_who_has_rated_films_elsewhere_is_not_asked(anna, ask, learned):
    rate(anna, 140)
    assert "1 of 10" in texts(ask("/recommend"))


def test_the_button_of_start_leads_to_the_game(anna, ask, handle, learned):
    tap(anna, ask("/start"), handle, text="Start rating")
    assert "1 of 5" in anna.chat[-1].words


def test_where_there_are_no_more_films_to_rate_what_there_is_is_recommended(anna, ask, handle, films):
    Movie.objects.filter(pk__gt=2).delete()
    message = ask("/recommend")
    tap(anna, message, handle, text="9")
    tap(anna, message, handle, text="Not seen")
    assert "1 of 1" in texts(message)


def test_a_game_that_is_taken_up_where_no_film_is_left_to_rate_is_over(anna, ask, films):
    ask("/recommend")
    Carousel.objects.update(films=[], shown=0)
    rate(anna, LIKED)
    Movie.objects.update(vote_count=0)
    assert "too few films" not in ask("/recommend").text


# --- A bot that knows nothing


def test_an_empty_bot_asks_for_a_title(anna, ask):
    assert "title" in ask("/recommend").text


def test_a_bot_that_knew_nothing_a_moment_ago_shows_films_as_soon_as_it_knows_some(anna, ask, handle):
    message = ask("/recommend")
    assert "too few" in message.text
    Movie.objects.bulk_create(Movie(pk=pk, title=f"Film {pk}", vote_average=8, vote_count=100) for pk in CANDIDATES)
    tap(anna, message, handle, text="Look again")
    assert "1 of 5" in message.text


def test_a_bot_with_few_movies_fetches_the_most_voted_once_and_only_when_a_user_asks(anna, ask, sandbox):
    ask("/help")
    assert queued() == []
    assert "asking TMDb which films everybody knows" in ask("/recommend").text
    assert "ratings.chat.recommendations.complete" in queued()
    assert fetch_most_voted_movies() == "60 found"
    assert fetch_most_voted_movies() == "0 found"
    asked = [seen for seen in sandbox.tmdb.requests if seen.path.endswith("/discover/movie")]
    assert [seen.query["page"] for seen in asked] == ["1", "2", "3"]
    best = sorted(sandbox.tmdb.films.values(), key=lambda film: -film.vote_count)
    assert set(Movie.objects.values_list("pk", flat=True)) == {film.id for film in best[:60]}
    before = queued().count("ratings.chat.recommendations.complete")
    message = ask("/recommend")
    assert "1 of 5" in message.words
    assert queued().count("ratings.chat.recommendations.complete") == before


def test_where_tmdb_does_not_return_the_most_voted_movies_it_is_asked_an_hour_later(anna, ask, sandbox):
    sandbox.tmdb.fail("/discover/movie", status=404, body={"status_code": 34}, times=9)
    ask("/recommend")
    for _twice in range(2):
        assert fetch_most_voted_movies() == "0 found"
    assert len([seen for seen in sandbox.tmdb.requests if seen.path.endswith("/discover/movie")]) == 1
    assert "asking" not in ask("/recommend").text
    TMDbRecommendationFetch.objects.update(next_try_at=1)
    sandbox.faults.clear()
    assert fetch_most_voted_movies() == "60 found"


def test_where_few_films_are_known_those_that_many_vote_well_for_come_first(anna, ask, films):
    Movie.objects.create(pk=500, title="Three votes", vote_average=10, vote_count=3)
    Movie.objects.create(pk=501, title="Many votes", vote_average=8.5, vote_count=20_000)
    rate(anna, 1)
    assert shown_film(ask("/recommend")) == 501
