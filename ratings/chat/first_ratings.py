"""The first ratings as a game: five well-known films, one message, then recommendations in the same place."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from config.bot.replies import answer
from movies.parsing import MAX_MOVIE_ID
from ratings.chat.carousel import (
    SOURCES,
    Pick,
    Source,
    begin,
    forget_old,
    move_after,
    prefix,
    rating_rows,
    register,
    search,
    show,
)
from ratings.models import Carousel, Rating
from ratings.recommendations.cold_start import has_few_movies
from ratings.recommendations.recommender import movies_to_rate_first

if TYPE_CHECKING:
    from telebot.types import CallbackQuery

    from config.bot.replies import KeyboardButton
    from movies.models import Movie
    from users.models import User

FIRST_RATINGS_COUNT = 5  # after which the recommendations come
THEN = "rec"  # key of the source that follows


class FirstRatings(Source):
    """Films stay in the list when they are rated or skipped, so that a game that is taken up does not ask again."""

    key = "first"
    has_filters = False

    def send(self, user: User) -> Carousel:
        """Begin, or take up a game that was left, in a new message."""
        forget_old(user)
        left = user.carousels.filter(source=self.key).order_by("-used_at", "-pk").first()
        carousel = begin(self, user, user.pk, 0)
        if left and left.films:
            carousel.films, carousel.shown = left.films, left.shown
            if Rating.objects.filter(user=user, movie_id=left.shown).exists():  # since, on its card
                move_after(carousel, left.shown)
        if carousel.films or not rated_by(user.pk):
            show(carousel)
        else:
            finish(carousel)
        return carousel

    def find(self, carousel: Carousel, kept: Sequence[int]) -> list[Pick]:
        return [Pick(movie_id) for movie_id in movies_to_rate_first(carousel.user_id, kept)]

    def reason(self, carousel: Carousel, movie: Movie, because: int) -> str:
        number = min(rated_by(carousel.user_id) + 1, FIRST_RATINGS_COUNT)
        values = {"number": number, "total": FIRST_RATINGS_COUNT}
        return _("Seen it? Rate it.") + " " + _("%(number)d of %(total)d") % values

    def rows(self, carousel: Carousel, movie: Movie) -> list[list[KeyboardButton]]:
        own = prefix(carousel)
        rows: list[list[KeyboardButton]] = [*rating_rows(movie), [(_("Not seen"), f"{own}:skip:{movie.pk}")]]
        if rated_by(carousel.user_id):
            rows.append([(_("Show recommendations"), f"{own}:done")])
        return rows

    def nothing(self, carousel: Carousel) -> tuple[str, list[list[KeyboardButton]]]:
        again: list[KeyboardButton] = [(_("Look again"), f"{prefix(carousel)}:again")]
        text = _("I know too few films to recommend any yet. Send me the title of one you have seen, and rate it.")
        if has_few_movies():
            text += "\n\n" + _("I am asking TMDb which films everybody knows: they will appear here.")
        return escape(text), [again]

    def rated(self, carousel: Carousel, movie_id: int, undo: str = "") -> None:
        if rated_by(carousel.user_id) >= FIRST_RATINGS_COUNT:
            finish(carousel)
        else:
            self.advance(carousel, movie_id)

    def press(self, query: CallbackQuery, carousel: Carousel, action: str, argument: str) -> bool:
        if action == "skip" and argument.isdigit() and int(argument) <= MAX_MOVIE_ID:
            self.advance(carousel, int(argument))
        elif action == "done":
            finish(carousel)
        elif action == "again":
            search(carousel, self)
            show(carousel)
        else:
            return False
        answer(query)
        return True

    def advance(self, carousel: Carousel, movie_id: int) -> None:
        """The film after this one; the recommendations where there is no other to rate."""
        if move_after(carousel, movie_id):
            show(carousel)
        else:
            finish(carousel)


FIRST_RATINGS = register(FirstRatings())


def finish(carousel: Carousel) -> None:
    """The recommendations, in the same message."""
    carousel.source, carousel.argument = THEN, ""
    search(carousel, SOURCES[THEN])
    show(carousel)


def rated_by(user_id: int) -> int:
    """How many films the user has rated, counted up to the number of the game."""
    return Rating.objects.filter(user_id=user_id)[:FIRST_RATINGS_COUNT].count()


def has_to_rate_first(user: User) -> bool:
    """Whether nothing is known of the user's taste, or a game has been left before its end."""
    count = rated_by(user.pk)
    is_left = 0 < count < FIRST_RATINGS_COUNT and user.carousels.filter(source=FIRST_RATINGS.key).exists()
    return not count or is_left
