"""Forty films to recommend, and what leads to them."""

import pytest

from movies.models import Movie
from tests.helpers.recommendations import CANDIDATES, LIKED, OTHER, learn


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
