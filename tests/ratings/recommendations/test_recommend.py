"""Films to see next, each with a reason, their variety, and the cold start of a new bot."""

import threading

import pytest
from django.db import DatabaseError, connection

from movies.models import Movie
from movies.tasks import read_details
from ratings.models import DismissedMovie, Rating, TMDbRecommendation, TMDbRecommendationFetch
from ratings.recommendations import cold_start, recommender
from ratings.recommendations.diversify import same_series
from ratings.recommendations.recommender import Filters
from ratings.tasks import fetch_tmdb_recommendations
from tests.conftest import wait_until
from tests.helpers.recommendations import CANDIDATES, LIKED, OTHER, ids, learn, put, rate, tap
from users.models import User

pytestmark = pytest.mark.django_db


def test_the_reason_is_the_film_that_carried_most_weight(anna, films):
    learn([(LIKED, 101, 0.5), (OTHER, 101, 0.4), (OTHER, 102, 0.4), (LIKED, 102, -0.4), (OTHER, 103, 0.2)])
    rate(anna, LIKED)
    rate(anna, OTHER)
    found = recommender.recommend(anna.id)
    assert [(one.movie_id, one.because) for one in found[:3]] == [
        (101, LIKED),
        (103, OTHER),
        (102, OTHER),
    ]
    assert found[3].because is None


def test_reasons_name_different_films_where_several_speak_for_a_film(anna, films):
    learn([(LIKED, pk, 1 / (pk - 100)) for pk in CANDIDATES] + [(OTHER, pk, 0.9 / (pk - 100)) for pk in CANDIDATES])
    rate(anna, LIKED)
    rate(anna, OTHER)
    first = recommender.recommend(anna.id)
    assert {first[0].because, first[1].because} == {LIKED, OTHER}
    assert recommender.recommend(anna.id, 1, kept=[101], told=[LIKED])[0].because == OTHER


def test_a_film_that_nothing_learned_speaks_for_is_explained_by_its_director_or_genres(anna, films):
    Movie.objects.filter(pk__in=[LIKED, 101]).update(directors=[{"name": "Дени Вильнёв", "original_name": "Denis V"}])
    Movie.objects.filter(pk__in=[OTHER, 102]).update(genres=[878, 12])
    rate(anna, LIKED)
    rate(anna, OTHER)
    reasons = {one.movie_id: one.because for one in recommender.recommend(anna.id)}
    assert (reasons[101], reasons[102], reasons[103]) == (LIKED, OTHER, None)


def test_no_more_than_two_films_of_a_director_in_ten_counting_those_already_listed(anna, films):
    learn([(LIKED, pk, 1 / (pk - 100)) for pk in CANDIDATES])
    rate(anna, LIKED)
    Movie.objects.filter(pk__in=range(101, 106)).update(directors=[{"name": "Нолан", "original_name": "Nolan"}])
    first = [one.movie_id for one in recommender.recommend(anna.id)]
    assert first == [101, 102, *range(106, 114)]
    after = recommender.recommend(anna.id, 8, kept=[101, 102])
    assert [one.movie_id for one in after] == [*range(106, 114)]


def test_no_more_than_two_films_of_a_collection_whatever_their_titles(anna, films):
    learn([(LIKED, pk, 1 / (pk - 100)) for pk in CANDIDATES])
    rate(anna, LIKED)
    Movie.objects.filter(pk__in=[101, 103, 105, 107]).update(collection_id=645)
    first = [one.movie_id for one in recommender.recommend(anna.id)]
    assert first == [101, 102, 103, 104, 106, *range(108, 113)]


def test_films_of_one_director_far_down_the_list_do_not_push_variety_out(anna, films):
    learn([(LIKED, pk, 1 / (pk - 100)) for pk in CANDIDATES])
    rate(anna, LIKED)
    Movie.objects.filter(pk__in=range(101, 134)).update(directors=[{"name": "Нолан", "original_name": "Nolan"}])
    first = [one.movie_id for one in recommender.recommend(anna.id)]
    assert first == [101, 102, *range(134, 141), 2]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(genres=frozenset({35})), [101, 102, 103]),
        (Filters(genres=frozenset({35, 18})), [101, 102, 103, 104]),
        (Filters(genres=frozenset({35}), without=frozenset({27})), [101, 103]),
        (Filters(years=(2100, 2109)), []),
    ],
)
def test_films_of_any_of_the_genres_wanted_and_of_none_of_those_not_wanted(anna, learned, filters, expected):
    rate(anna, LIKED)
    for pk, genres in {101: [35], 102: [27, 35], 103: [35, 3535], 104: [18], 105: [355]}.items():
        Movie.objects.filter(pk=pk).update(genres=genres)
    assert [one.movie_id for one in recommender.recommend(anna.id, filters=filters)] == expected
    assert set(filters.movies().values_list("pk", flat=True)) == set(expected)


def test_films_like_one_that_is_not_interesting_come_later(anna, films):
    learn([(LIKED, 101, 0.5), (LIKED, 102, 0.49), (LIKED, 103, 0.48), (101, 102, 0.9)])
    rate(anna, LIKED)
    assert [one.movie_id for one in recommender.recommend(anna.id)[:3]] == [101, 102, 103]
    DismissedMovie.objects.create(user_id=anna.id, movie_id=101, dismissed_at=1)
    assert recommender.recommend(anna.id)[0].movie_id == 103


def test_a_film_seen_but_not_rated_is_gone_and_says_nothing_of_taste(anna, films):
    learn([(LIKED, 101, 0.5), (LIKED, 102, 0.49), (LIKED, 103, 0.48), (101, 102, 0.9)])
    rate(anna, LIKED)
    DismissedMovie.objects.create(user_id=anna.id, movie_id=101, dismissed_at=1, seen=True)
    assert [one.movie_id for one in recommender.recommend(anna.id)[:2]] == [102, 103]


def test_no_more_than_two_films_that_are_each_others_first_neighbours(anna, films):
    series = [101, 102, 103, 104, 105]
    places = {(one, two): 1 + abs(one - two) // 2 for one in series for two in series if abs(one - two) in (1, 2)}
    learn([(LIKED, pk, 1 / (pk - 100)) for pk in CANDIDATES] + [(one, two, 0.0) for one, two in places], places=places)
    rate(anna, LIKED)
    first = recommender.recommend(anna.id)
    assert [one.movie_id for one in first] == [101, 102, *range(106, 114)]
    second = recommender.recommend(anna.id, kept=[one.movie_id for one in first])
    assert [one.movie_id for one in second][:2] == [103, 104]


def test_no_more_than_two_films_of_a_series_by_their_titles_where_there_are_no_neighbours(anna, films):
    learn([(LIKED, pk, 1 / (pk - 100)) for pk in CANDIDATES])
    for pk, title in enumerate(
        ["The Toy Story", "Toy Story 2", "Heat", "Toy Story: of Terror!", "Rocky II", "Rocky", "Rocky Balboa", "2001"],
        start=101,
    ):
        Movie.objects.filter(pk=pk).update(original_title=title)
    Movie.objects.filter(pk__gt=108).update(original_title="")
    rate(anna, LIKED)
    first = recommender.recommend(anna.id)
    assert [one.movie_id for one in first] == [101, 102, 103, 105, 106, 108, 109, 110, 111, 112]


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
    shown = recommender.recommend(anna.id)
    assert [one.movie_id for one in shown] == list(range(101, 111))  # as film 0 has them
    assert {one.because for one in shown} == {None}


def test_no_film_that_the_user_rated_well_below_their_mean_is_a_reason(anna, films):
    learn([(LIKED, pk, 0.1) for pk in range(101, 106)] + [(OTHER, pk, 1.0) for pk in CANDIDATES])
    rate(anna, LIKED, 9)
    rate(anna, 140, 9)
    rate(anna, OTHER, 6)
    shown = recommender.recommend(anna.id)
    named = {one.movie_id: one.because for one in shown}
    assert {named[pk] for pk in range(101, 106)} == {LIKED}
    assert {because for pk, because in named.items() if pk > 105} == {None}


def test_a_film_that_is_gone_since_the_best_ones_were_listed_is_in_no_list(anna, films):
    rate(anna, LIKED)
    profile = recommender.UserProfile.load(anna.id)
    assert len(recommender.top_movies(profile, 50)) == 41
    Movie.objects.filter(pk__in=[101, 102]).delete()
    assert len(recommender.top_movies(profile, 50)) == 39


def test_films_that_are_not_in_the_table_yet_are_not_shown(anna, learned):
    put(learned, LIKED, {999: 50} | {pk: 1 / (pk - 100) for pk in CANDIDATES}, 1)
    rate(anna, LIKED)
    assert [one.movie_id for one in recommender.recommend(anna.id)] == list(range(101, 111))


def test_other_peoples_refusals_and_ratings_change_nothing_for_anna(anna, sandbox, learned):
    rate(anna, LIKED)
    before = recommender.recommend(anna.id)
    boris = sandbox.telegram.person("Boris")
    rate(boris, 101, 10)
    DismissedMovie.objects.create(user_id=boris.id, movie_id=102, dismissed_at=1)
    assert recommender.recommend(anna.id) == before


# --- Similar films


def test_a_cards_similar_films_are_its_nearest_neighbours(anna, handle, ask, sandbox, films):
    learn([(LIKED, 103, 0.1), (LIKED, 102, 0.9)], places={(LIKED, 103): 1, (LIKED, 102): 2})
    message = ask(f"/movie {LIKED}")
    tap(anna, message, handle, text="Similar films")
    assert ids(anna.chat[-1], "card") == [103, 102]
    assert not sandbox.tmdb.requests_of("/movie/*/recommendations")


def test_what_the_worker_has_asked_of_tmdb_is_not_asked_again_on_a_card(anna, handle, ask, sandbox, films):
    cold_start.save_tmdb_recommendations(LIKED, [Movie(pk=pk, title=str(pk)) for pk in (140, 139)])
    message = ask(f"/movie {LIKED}")
    sandbox.tmdb.forget_requests()
    tap(anna, message, handle, text="Similar films")
    assert ids(anna.chat[-1], "card") == [140, 139]
    assert sandbox.tmdb.requests == []


def test_what_a_card_has_asked_of_tmdb_the_worker_does_not_ask_again(anna, handle, ask, sandbox):
    Movie.objects.create(pk=603, title="The Matrix", details_at=1)
    message = ask("/movie 603")
    for _twice in range(2):
        tap(anna, message, handle, text="Similar films")
    shown = ids(anna.chat[-1], "card")
    assert shown == list(TMDbRecommendation.objects.order_by("place").values_list("recommended_id", flat=True)[:8])
    rate(anna, 603, 9)
    assert fetch_tmdb_recommendations() == "0 asked"
    assert len(requests_for(sandbox, 603)) == 1


def test_films_without_recommendations_at_tmdb_are_asked_for_once_on_a_card(anna, handle, ask, sandbox):
    Movie.objects.create(pk=603, title="The Matrix", details_at=1)
    sandbox.tmdb.fail("/movie/603/recommendations", status=200, body={"results": []}, times=9)
    message = ask("/movie 603")
    for _twice in range(2):
        assert "No similar films" in tap(anna, message, handle, text="Similar films").text
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
    found = recommender.recommend(anna.id)
    assert [one.movie_id for one in found[:3]] == [140, 139, 138]
    assert found[0].because == LIKED
    learn([(LIKED, pk, 1 / (pk - 100)) for pk in CANDIDATES], users=recommender.MAX_USERS_FOR_TMDB)
    assert recommender.recommend(anna.id)[0].movie_id == 101


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
    return [one.movie_id for one in recommender.recommend(anna.id)]


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
    wait_until(lambda: "because you rated “The Matrix” 10" in anna.chat[-1].words, explain=lambda: worker.output)
    assert anna.chat[-1].id == shown.id
