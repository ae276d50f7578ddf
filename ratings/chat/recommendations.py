"""/recommend: one film at a time with its reason, in a group a list of five; and what is no longer offered."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from html import escape
from typing import TYPE_CHECKING

from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot.apihelper import ApiTelegramException

from config.bot.client import TelegramUnavailable
from config.bot.replies import answer, deep_link, edit, keyboard, reply_to
from config.bot.router import UserError, bot, button, command, deep_link_handler, parse_callback_data
from config.jobs.enqueue import async_task, worker_stop_event
from movies.cards import display_title, facts, format_rating
from movies.models import Movie
from movies.movie_list import movie_list_message, movies_on_page
from ratings.chat import Page
from ratings.chat.carousel import Pick, Source, filters_of, prefix, register, search, send, show
from ratings.chat.first_ratings import FIRST_RATINGS, has_to_rate_first
from ratings.models import Carousel, DismissedMovie, Rating
from ratings.recommendations.cold_start import can_fetch_more, fetch_most_voted, fetch_recommendations, has_few_movies
from ratings.recommendations.dismissals import dismissed_movies, undismiss
from ratings.recommendations.recommender import PAGE, recommend
from users.models import User

if TYPE_CHECKING:
    from telebot.types import CallbackQuery, Message

    from config.bot.replies import KeyboardButton

MAX_FETCH_SECONDS = 20  # of TMDb, before the message shows what has come
GROUP_PAGE = 5  # films in a group's list
MAX_GROUP_PAGES = 5
MAX_TITLE_LENGTH = 70
MAX_BUTTON_TITLE_LENGTH = 40


class Recommendations(Source):
    key = "rec"
    has_list_filter = True
    learns = True

    def find(self, carousel: Carousel, kept: Sequence[int]) -> list[Pick]:
        count = PAGE - len(kept) % PAGE
        told = [because for _movie_id, because in carousel.films[len(kept) // PAGE * PAGE :]]
        found = recommend(carousel.user_id, count, filters_of(carousel), kept, told)
        return [Pick(one.movie_id, one.because or 0) for one in found]

    def decisions(self, carousel: Carousel, movie: Movie) -> list[list[KeyboardButton]]:
        own = prefix(carousel)
        wanted: KeyboardButton = (_("🔖 Want"), f"watch:{movie.pk}:1")
        if movie.on_watchlist:
            wanted = ("🔖 ✕", f"watch:{movie.pk}:0")
        return [[("👎", f"{own}:no:{movie.pk}"), (_("👀 Seen it"), f"{own}:seen:{movie.pk}"), wanted]]

    def reason(self, carousel: Carousel, movie: Movie, because: int) -> str:
        rating = Rating.objects.filter(user_id=carousel.user_id, movie_id=because).select_related("movie").first()
        if rating:
            return _("because you rated “%(title)s” %(rating)s") % {
                "title": display_title(rating.movie, MAX_TITLE_LENGTH),
                "rating": format_rating(rating.value),
            }
        if Rating.objects.filter(user_id=carousel.user_id).exists():
            return ""
        return _("many people like it")

    def nothing(self, carousel: Carousel) -> tuple[str, list[list[KeyboardButton]]]:
        again: list[KeyboardButton] = [(_("Look again"), f"{prefix(carousel)}:clear")]
        if can_fetch_more(carousel.user_id) or has_few_movies():
            return escape(_("I am asking TMDb for films that may suit you. They will appear here.")), [again]
        return escape(_("I have nothing more to recommend. Rate more films, and there will be something.")), [again]

    def menu(self, carousel: Carousel) -> list[list[KeyboardButton]]:
        count = DismissedMovie.objects.filter(user_id=carousel.user_id).count()
        return [[(_("Hidden films: %(count)d") % {"count": count}, "dismissed:0")]] if count else []


RECOMMENDATIONS = register(Recommendations())


@command("recommend", gettext_lazy("what to watch next"))
def send_recommendations(message: Message) -> None:
    user = User.objects.get_or_create_from_telegram(message.from_user)
    if message.chat.type != "private":
        contents = group_list(user.pk, message.from_user.first_name if message.from_user else "", 0)
        bot.send_message(message.chat.id, **contents, reply_parameters=reply_to(message))
        return
    offer(user)


def offer(user: User) -> None:
    """The first ratings for who has none, else a film to see; TMDb is asked for more meanwhile."""
    game = has_to_rate_first(user)
    carousel = FIRST_RATINGS.send(user) if game else send(RECOMMENDATIONS, user, user.pk)
    if can_fetch_more(user.pk) or has_few_movies():
        async_task("ratings.chat.recommendations.complete", user.pk, carousel.pk, save=False)


@button("recommend")
def send_again(query: CallbackQuery) -> None:
    """A button of a message that shows no film."""
    if query.message is None or query.message.chat.type != "private":
        raise UserError(_("This button is out of date."))
    answer(query)
    offer(User.objects.get_or_create_from_telegram(query.from_user))


@deep_link_handler("recommend")
def open_recommendations(message: Message, _rest: str) -> None:
    offer(User.objects.get_or_create_from_telegram(message.from_user))


def complete(user_id: int, carousel_id: int) -> str:
    """Job: ask TMDb for more, and show what came where the user still looks at what was there before."""
    before = Carousel.objects.filter(pk=carousel_id).first()
    fetch_most_voted(worker_stop_event())
    fetch_recommendations(MAX_FETCH_SECONDS, worker_stop_event(), user_id)
    carousel = Carousel.objects.filter(pk=carousel_id, user_id=user_id).select_related("user").first()
    if carousel is None or before is None:
        return "no such message"
    first = before.movie_ids[0] if before.films else 0
    if carousel.shown and (carousel.source != RECOMMENDATIONS.key or carousel.shown != first):
        return "the user has gone on"
    with translation.override(carousel.user.language), suppress(ApiTelegramException, TelegramUnavailable):
        search(carousel, FIRST_RATINGS if carousel.source == FIRST_RATINGS.key else RECOMMENDATIONS)
        show(carousel)
        return "shown"
    return "not shown"


# --- In a group


def group_list(user_id: int, name: str, page: int) -> Page:
    """Five films for whoever asked; no reasons, which would tell others their ratings."""
    found = recommend(user_id, GROUP_PAGE * (page + 1) + 1)
    ids = [one.movie_id for one in found]
    movies = movies_by_id(ids[GROUP_PAGE * page : GROUP_PAGE * (page + 1)])
    private: list[KeyboardButton] = [(_("Choose in a private chat"), deep_link("recommend_group"))]
    if not movies:
        return {"text": escape(_("I know too few films to recommend any yet.")), "reply_markup": keyboard(private)}
    lines = [
        {"number": number, "title": display_title(movie, MAX_TITLE_LENGTH), "movie": movie, "facts": facts(movie)}
        for number, movie in enumerate(movies, GROUP_PAGE * page + 1)
    ]
    text = render_to_string("ratings/group_recommendations.html", {"name": name, "lines": lines})
    numbers: list[KeyboardButton] = [
        (str(number), f"card:{movie.pk}:{user_id}") for number, movie in enumerate(movies, GROUP_PAGE * page + 1)
    ]
    more: list[KeyboardButton] = []
    if len(ids) > GROUP_PAGE * (page + 1) and page + 1 < MAX_GROUP_PAGES:
        more = [(_("Five others"), f"groupfilms:{page + 1}:{user_id}")]
    return {"text": text.strip(), "reply_markup": keyboard(*(row for row in (numbers, more, private) if row))}


def movies_by_id(movie_ids: Sequence[int]) -> list[Movie]:
    movies = Movie.objects.in_bulk(movie_ids)
    return [movies[movie_id] for movie_id in movie_ids if movie_id in movies]


@button("groupfilms")
def show_group_page(query: CallbackQuery) -> None:
    page, asker = parse_callback_data(query, r"groupfilms:(\d):(\d{1,20})")
    if int(asker) != query.from_user.id:
        raise UserError(_("This is somebody else's list. Please ask for your own."))
    edit(query.message, **group_list(query.from_user.id, query.from_user.first_name, int(page)))
    answer(query)


# --- Films that are no longer offered


@button("dismissed")
def show_dismissed(query: CallbackQuery) -> None:
    """The films that are not offered, each with a button to undo that; with a movie id, undo it first."""
    page, movie_id = parse_callback_data(query, r"dismissed:(\d{1,3})(?::(\d{1,10}))?")
    message = query.message
    if message is None or message.chat.type != "private":
        raise UserError(_("This button is out of date."))
    if movie_id:
        undismiss(query.from_user.id, int(movie_id))
    contents = dismissed_message(query.from_user.id, int(page))
    if (not movie_id and page == "0") or not edit(message, **contents):
        bot.send_message(message.chat.id, **contents)
    answer(query)


def dismissed_message(user_id: int, page: int) -> Page:
    """A page of the films that are not offered, the first where there are fewer."""
    movies = dismissed_movies(user_id)
    if not movies:
        return {"text": escape(_("All films may be recommended again.")), "reply_markup": None}
    shown = movies_on_page(movies, page)
    if not shown:
        page, shown = 0, movies_on_page(movies, 0)
    count = len(movies)
    title = ngettext("%(count)d hidden film", "%(count)d hidden films", count)
    undo: list[list[KeyboardButton]] = [
        [("↩ " + display_title(movie, MAX_BUTTON_TITLE_LENGTH), f"dismissed:{page}:{movie.pk}")] for movie in shown
    ]
    heading = title % {"count": count} + ". " + _("Press a film to bring it back:")
    return {**movie_list_message(heading, (), page, count, lambda page: f"dismissed:{page}", rows=undo)}
