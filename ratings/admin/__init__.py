"""Ratings, their imports and the training of recommendations in the admin; Django imports this package."""

# they register pages and dashboard widgets
from ratings.admin import imports, people, ratings, training, watchlists  # noqa: F401
