"""Ratings, their imports and the training of recommendations in the admin; Django imports this package."""

from ratings.admin import imports, people, ratings, training  # noqa: F401  they register pages and dashboard widgets
