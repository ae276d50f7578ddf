"""What to watch together: the films of a taste match that neither of the two has seen, as a carousel."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from config.bot.replies import answer, command_button
from config.bot.router import UserError, button, parse_callback_data
from ratings.chat.carousel import Pick, Source, register, send
from ratings.chat.recommendations import RECOMMENDATIONS
from ratings.insights.taste_match import result_of
from ratings.models import Carousel, Rating
from ratings.recommendations.recommender import NO_FILTERS
from users.models import User

if TYPE_CHECKING:
    from telebot.types import CallbackQuery

    from config.bot.replies import KeyboardButton
    from movies.models import Movie


class Together(Source):
    """The list stands with the result of the two: one that changed with each rating would tell what the other rates."""

    key = "pair"
    has_filters = False

    def find(self, carousel: Carousel, kept: Sequence[int]) -> list[Pick]:
        result = result_of(carousel.user_id, carousel.argument)
        movie_ids = (result.together or []) if result else []
        rated = Rating.objects.filter(user_id=carousel.user_id, movie_id__in=movie_ids)
        gone = {*kept, *rated.values_list("movie_id", flat=True)}
        return [Pick(movie_id) for movie_id in movie_ids if movie_id not in gone]

    def decisions(self, carousel: Carousel, movie: Movie) -> list[list[KeyboardButton]]:
        return RECOMMENDATIONS.decisions(carousel, movie)

    def reason(self, carousel: Carousel, movie: Movie, because: int) -> str:
        result = result_of(carousel.user_id, carousel.argument)
        other = result and (result.other if result.one_id == carousel.user_id else result.one)
        return _("for you and %(name)s") % {"name": other.first_name} if other and other.first_name else ""

    def nothing(self, carousel: Carousel) -> tuple[str, list[list[KeyboardButton]]]:
        text = _("There is nothing left to watch together. Compare again with /match.")
        return escape(text), [[command_button(_("Films for me"), "recommend")]]


TOGETHER = register(Together())


@button("together")
def show_together(query: CallbackQuery) -> None:
    (pair,) = parse_callback_data(query, r"together:([0-9a-f]{40})")
    if query.message is None or query.message.chat.type != "private":
        raise UserError(_("This button is out of date."))
    if result_of(query.from_user.id, pair) is None:
        raise UserError(_("This comparison is out of date. Compare again with /match."))
    answer(query)
    user = User.objects.get_or_create_from_telegram(query.from_user)
    send(TOGETHER, user, query.message.chat.id, argument=pair, filters=NO_FILTERS)
