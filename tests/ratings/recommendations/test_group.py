"""Films for several people at once: what nobody has seen, by everybody's taste, with a floor for the least pleased."""

from decimal import Decimal

import pytest

from movies.models import Movie
from ratings.models import Rating, SimilarMovies, TrainingRun
from ratings.recommendations.dismissals import dismiss, mark_seen
from ratings.recommendations.group import recommend_for_two, recommend_together
from ratings.recommendations.recommender import Filters
from users.models import User

pytestmark = pytest.mark.django_db

ANNA, BORIS, CARL = 1, 2, 3
WEST, SPACE = 100, 200  # what Anna and what Boris has rated


@pytest.fixture(autouse=True)
def trained():
    """Whoever likes the western is recommended 1-4, who likes the film in space 3-6."""
    from array import array

    run = TrainingRun.objects.create(started_at=1, finished_at=2, users=1000)
    for movie_id in (1, 2, 3, 4, 5, 6, WEST, SPACE):
        Movie.objects.create(pk=movie_id, title=f"Film {movie_id}", original_title=f"Unique{movie_id} Film", runtime=90)
    for liked, weights in ((WEST, {1: 1.0, 2: 0.9, 3: 0.5, 4: 0.45}), (SPACE, {5: 1.0, 6: 0.9, 4: 0.6, 3: 0.4})):
        SimilarMovies.objects.create(
            run_id=run.pk,
            movie_id=liked,
            movie_ids=array("i", weights).tobytes(),
            weights=array("f", weights.values()).tobytes(),
            nearest=0,
        )
    for user_id in (ANNA, BORIS, CARL):
        User.objects.create(pk=user_id)
    for user_id, movie_id in ((ANNA, WEST), (BORIS, SPACE)):
        Rating.objects.create(user_id=user_id, movie_id=movie_id, normalized_rating=Decimal(9), rated_at=1)


def test_for_two_comes_first_what_the_less_pleased_likes_best():
    assert recommend_for_two(ANNA, BORIS, 2) == [4, 3]
    assert recommend_for_two(BORIS, ANNA, 2) == [4, 3]


def test_for_a_group_what_leaves_somebody_cold_comes_after_all_else():
    found = recommend_together([ANNA, BORIS], 6)
    assert set(found[:2]) == {3, 4}
    assert set(found) == {1, 2, 3, 4, 5, 6}


def test_what_anybody_has_rated_seen_or_dismissed_is_not_offered():
    dismiss(User.objects.get(pk=CARL), 4)
    mark_seen(User.objects.get(pk=CARL), 5)
    found = recommend_together([ANNA, BORIS, CARL], 10)
    assert set(found) == {1, 2, 3, 6}


def test_who_has_no_ratings_is_neutral():
    assert recommend_together([ANNA, CARL], 4) == recommend_together([ANNA], 4) == [1, 2, 3, 4]


def test_where_nobody_has_rated_anything_there_are_the_best_voted():
    Movie.objects.filter(pk=6).update(vote_count=5000, vote_average=9)
    Movie.objects.filter(pk=2).update(vote_count=5000, vote_average=8)
    assert recommend_together([CARL, 77], 5) == [6, 2]


def test_filters_hold_for_a_group():
    Movie.objects.filter(pk=3).update(runtime=200, genres=[18])
    Movie.objects.filter(pk=4).update(genres=[18])
    assert recommend_together([ANNA, BORIS], 5, Filters(minutes=(1, 100), genres=frozenset([18]))) == [4]
    assert recommend_together([ANNA, BORIS], 5, Filters(genres=frozenset([99]))) == []
