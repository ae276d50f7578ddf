"""/recommend: a list of movies with reasons, its filters and pages, dismissals, and movies to rate first.

A button of a list carries the list's View, so that any of its messages can be redrawn without stored state.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext
from telebot.apihelper import ApiTelegramException

from config.bot.client import TelegramUnavailable
from config.bot.replies import answer, edit, edit_buttons, keyboard, require_private_chat, try_edit
from config.bot.router import UserError, bot, button, command, parse_callback_data
from config.jobs.enqueue import async_task, worker_stop_event
from movies.cards import buttons, display_title, error_text, format_rating, format_runtime, send_card
from movies.catalogue import get_movie
from movies.movie_list import movie_list_message, movies_on_page
from movies.tmdb import TMDbError
from ratings.chat import Page
from ratings.models import DismissedMovie, Rating
from ratings.recommendations.cold_start import can_fetch_more, fetch_most_voted, fetch_recommendations, has_few_movies
from ratings.recommendations.dismissals import dismiss, dismissed_movies, undismiss
from ratings.recommendations.recommender import (
    COLD_START_PAGE,
    PAGE,
    Filters,
    Recommendation,
    movies_to_rate_first,
    recommend,
)
from users.models import User

if TYPE_CHECKING:
    from telebot.types import CallbackQuery, InaccessibleMessage, Message

    from config.bot.replies import KeyboardButton
    from movies.models import Movie

VIEW_PATTERN = r"(\d):(any|old|\d{4}):(any|short|middle|long)"  # of a View in callback data
MAX_FETCH_SECONDS = 20  # of TMDb, before the list is shown with what has come
MAX_PAGE = 9  # counted from 0, as in callback data
MAX_COLD_START_PAGES = 7
FIRST_DECADE = 1960  # the decades before are one
SHORT_MINUTES, LONG_MINUTES = 100, 140  # a movie is short up to the first, long from the second on
LENGTHS = {
    "any": None,
    "short": (1, SHORT_MINUTES),
    "middle": (SHORT_MINUTES + 1, LONG_MINUTES),
    "long": (LONG_MINUTES + 1, 100_000),
}
MAX_TITLE_LENGTH = 70  # so that ten titles with their reasons stay within a message
MAX_BUTTON_TITLE_LENGTH, MAX_NOTICE_TITLE_LENGTH = 40, 60


class View(NamedTuple):
    """A page of the list and its filters."""

    page: int = 0
    decade: str = "any"  # "any", "old" or the first year
    length: str = "any"  # a key of LENGTHS

    @property
    def is_filtered(self) -> bool:
        return (self.decade, self.length) != ("any", "any")

    @property
    def filters(self) -> Filters:
        years = {"any": None, "old": (1800, FIRST_DECADE - 1)}.get(self.decade)
        if self.decade.isdigit():
            years = (int(self.decade), int(self.decade) + 9)
        return Filters(years, LENGTHS[self.length])

    def __str__(self) -> str:
        """As VIEW_PATTERN reads it."""
        return f"{self.page}:{self.decade}:{self.length}"

    @classmethod
    def parse(cls, page: str, decade: str, length: str) -> View:
        return cls(int(page), decade, length)


class Line(NamedTuple):
    """A movie as the template shows it."""

    number: int
    movie: Movie
    title: str
    vote: str
    length: str
    reason: str = ""


@command("recommend", gettext_lazy("films to see next"))
def send_recommendations(message: Message) -> None:
    if not require_private_chat(message):
        return
    user_id = message.chat.id  # of a private chat: the user's
    sent = bot.send_message(message.chat.id, **list_message(user_id, View()))
    if can_fetch_more(user_id) or has_few_movies():
        async_task("ratings.chat.recommendations.complete", user_id, sent.message_id, save=False)


def complete(user_id: int, message_id: int) -> str:
    """Job: ask TMDb for more, and show in the message of /recommend what came."""
    fetch_most_voted(worker_stop_event())
    fetch_recommendations(MAX_FETCH_SECONDS, worker_stop_event(), user_id)
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        return "no user"
    with translation.override(user.language), suppress(ApiTelegramException, TelegramUnavailable):
        contents = list_message(user_id, View())
        edited = try_edit(lambda: bot.edit_message_text(chat_id=user_id, message_id=message_id, **contents))
        return "edited" if edited else "not edited"
    return "not edited"


def list_message(user_id: int, view: View, undo: Movie | None = None) -> Page:
    """Text and keyboard of one page, of the last one where the list is shorter; `undo` is a movie just dismissed."""
    if not view.is_filtered and not undo and not Rating.objects.filter(user_id=user_id).exists():
        return cold_start_message(user_id)
    view, recommendations, more = existing_page(user_id, view)
    lines = [recommendation_line(number, one) for number, one in enumerate(recommendations, view.page * PAGE + 1)]
    context = {"heading": heading(user_id, view, bool(lines)), "lines": lines}
    text = render_to_string("ratings/recommendations.html", context)
    return {"text": text.strip(), "reply_markup": keyboard(*list_buttons(user_id, view, lines, more, undo))}


def existing_page(user_id: int, view: View) -> tuple[View, list[Recommendation], bool]:
    """(the view's page or the last one, its recommendations, whether there are more)."""
    recommendations, more = recommend(user_id, view.page, view.filters)
    while view.page and not recommendations:
        view = view._replace(page=view.page - 1)
        recommendations, more = recommend(user_id, view.page, view.filters)
    return view, recommendations, more


def list_buttons(
    user_id: int, view: View, lines: Sequence[Line], more: bool, undo: Movie | None
) -> list[list[KeyboardButton]]:
    rows: list[list[KeyboardButton]] = [
        [
            (str(line.number), f"choose:{line.movie.pk}"),
            (_("Seen it"), f"watched:{line.movie.pk}"),
            (_("Not interesting"), f"dismiss:{line.movie.pk}:{view}"),
        ]
        for line in lines
    ]
    if undo:
        title = display_title(undo, MAX_BUTTON_TITLE_LENGTH)
        rows.append([(_("Undo: “%(title)s”") % {"title": title}, f"undismiss:{undo.pk}:{view}")])
    paging: list[KeyboardButton] = []
    if view.page:
        paging.append(("‹", f"recommend:{view._replace(page=view.page - 1)}"))
    if more and view.page < MAX_PAGE:
        paging.append(("›", f"recommend:{view._replace(page=view.page + 1)}"))
    rows.append(paging)
    rows.append(
        [(decade_title(view.decade), f"filter:decade:{view}"), (length_title(view.length), f"filter:length:{view}")]
    )
    is_short = view.length == "short"
    toggled = View(0, view.decade, "any" if is_short else "short")
    rows.append([(("● " if is_short else "") + _("Short tonight"), f"recommend:{toggled}")])
    if count := DismissedMovie.objects.filter(user_id=user_id).count():
        rows.append([(_("Not interesting: %(count)d") % {"count": count}, "dismissed:0")])
    return [row for row in rows if row]


def heading(user_id: int, view: View, any_found: bool) -> str:
    if not any_found:
        if not view.is_filtered and can_fetch_more(user_id):
            return _("I am asking TMDb what goes with the films you love. The list will appear here.")
        return _("No film fits that I could recommend. Try another decade or length, or rate more films.")
    if not view.is_filtered:
        return _("Films for you:")
    titles = ((decade_title(view.decade), view.decade), (length_title(view.length), view.length))
    return _("Films for you (%(wishes)s):") % {"wishes": ", ".join(title for title, code in titles if code != "any")}


def recommendation_line(number: int, recommendation: Recommendation) -> Line:
    because = recommendation.because
    reason = _("many people like it")
    if because and because.user_rating:
        reason = _("because you rated “%(title)s” %(rating)s") % {
            "title": display_title(because, MAX_TITLE_LENGTH),
            "rating": format_rating(because.user_rating),
        }
    return movie_line(number, recommendation.movie)._replace(reason=reason)


def movie_line(number: int, movie: Movie) -> Line:
    vote = f"{movie.vote_average:.1f}" if movie.vote_count else ""
    return Line(number, movie, display_title(movie, MAX_TITLE_LENGTH), vote, format_runtime(movie))


@button("recommend")
def show_page(query: CallbackQuery) -> None:
    view = View.parse(*parse_callback_data(query, rf"recommend:{VIEW_PATTERN}"))
    replace(private_message(query), list_message(query.from_user.id, view))
    rated = Rating.objects.filter(user_id=query.from_user.id).exists()
    answer(query, None if rated else _("Rate a film first: press its number."))


def replace(message: Message | InaccessibleMessage, contents: Page) -> None:
    """Edit a list's message, or send a new one where it can no longer be edited."""
    if not edit(message, **contents):
        bot.send_message(message.chat.id, **contents)


def private_message(query: CallbackQuery) -> Message | InaccessibleMessage:
    """The message of a button in a private chat. Raises UserError for any other."""
    if query.message is None or query.message.chat.type != "private":
        raise UserError(_("This button is out of date."))
    return query.message


# --- Filters


def decade_title(decade: str) -> str:
    if decade == "any":
        return _("Any decade")
    if decade == "old":
        return _("before %(year)d") % {"year": FIRST_DECADE}
    return _("%(decade)ss") % {"decade": decade}


def length_title(length: str) -> str:
    return {
        "any": _("Any length"),
        "short": _("up to %(minutes)d min") % {"minutes": SHORT_MINUTES},
        "middle": _("%(from)d to %(to)d min") % {"from": SHORT_MINUTES + 1, "to": LONG_MINUTES},
        "long": _("over %(minutes)d min") % {"minutes": LONG_MINUTES},
    }[length]


@button("filter")
def choose_filter(query: CallbackQuery) -> None:
    """The decades or lengths to choose from, in place of the list's buttons."""
    kind, *parts = parse_callback_data(query, rf"filter:(decade|length):{VIEW_PATTERN}")
    view = View.parse(*parts)
    message = private_message(query)
    if kind == "decade":
        newest = date.today().year // 10 * 10
        decades = ["any", *map(str, range(newest, FIRST_DECADE - 1, -10)), "old"]
        choices = [(decade_title(code), View(0, code, view.length)) for code in decades]
    else:
        choices = [(length_title(code), View(0, view.decade, code)) for code in LENGTHS]
    row: list[KeyboardButton] = [
        (f"● {title}" if choice == view._replace(page=0) else title, f"recommend:{choice}") for title, choice in choices
    ]
    markup = keyboard(*(row[start : start + 3] for start in range(0, len(row), 3)))
    if not edit_buttons(message, markup):  # then below a new message with the same list
        bot.send_message(message.chat.id, list_message(query.from_user.id, view)["text"], reply_markup=markup)
    answer(query)


# --- What the user says of a movie


@button("choose")
def open_card(query: CallbackQuery) -> None:
    """The card of a movie on the list, where it can be dismissed too."""
    (movie_id,) = parse_callback_data(query, r"choose:(\d{1,10})")
    movie = movie_of(query, movie_id)
    send_card(private_message(query).chat.id, movie, rows=[dismiss_row(movie, dismissed=False)])
    answer(query)


@button("watched")
def rate_watched(query: CallbackQuery) -> None:
    """The movie's card, where the user rates it: the next list then takes that into account."""
    (movie_id,) = parse_callback_data(query, r"watched:(\d{1,10})")
    send_card(private_message(query).chat.id, movie_of(query, movie_id))
    answer(query, _("How did you like it? Rate it on the card."))


def movie_of(query: CallbackQuery, movie_id: str) -> Movie:
    """The movie of a button in a private chat. Raises UserError."""
    private_message(query)
    try:
        return get_movie(int(movie_id), query.from_user.id)
    except TMDbError as error:
        raise UserError(error_text(error)) from error


def dismiss_row(movie: Movie, dismissed: bool) -> list[KeyboardButton]:
    """The row below a card's own buttons."""
    if dismissed:
        return [(_("Undo: not interesting"), f"cardundismiss:{movie.pk}")]
    return [(_("Not interesting"), f"carddismiss:{movie.pk}")]


def dismissed_notice(movie: Movie) -> str:
    return _("I will not recommend “%(title)s” again.") % {"title": display_title(movie, MAX_NOTICE_TITLE_LENGTH)}


def undismissed_notice(movie: Movie) -> str:
    return _("“%(title)s” may be recommended again.") % {"title": display_title(movie, MAX_NOTICE_TITLE_LENGTH)}


@button("carddismiss")
def dismiss_on_card(query: CallbackQuery) -> None:
    (movie_id,) = parse_callback_data(query, r"carddismiss:(\d{1,10})")
    movie = movie_of(query, movie_id)
    dismiss(User.objects.get_or_create_from_telegram(query.from_user), movie.pk)
    edited = edit_buttons(query.message, keyboard(*buttons(movie), dismiss_row(movie, dismissed=True)))
    answer(query, dismissed_notice(movie), alert=not edited)


@button("cardundismiss")
def undismiss_on_card(query: CallbackQuery) -> None:
    (movie_id,) = parse_callback_data(query, r"cardundismiss:(\d{1,10})")
    movie = movie_of(query, movie_id)
    undismiss(query.from_user.id, movie.pk)
    edited = edit_buttons(query.message, keyboard(*buttons(movie), dismiss_row(movie, dismissed=False)))
    answer(query, undismissed_notice(movie), alert=not edited)


@button("dismiss")
def dismiss_on_list(query: CallbackQuery) -> None:
    movie_id, *parts = parse_callback_data(query, rf"dismiss:(\d{{1,10}}):{VIEW_PATTERN}")
    movie = movie_of(query, movie_id)
    dismiss(User.objects.get_or_create_from_telegram(query.from_user), movie.pk)
    replace(private_message(query), list_message(query.from_user.id, View.parse(*parts), undo=movie))
    answer(query, dismissed_notice(movie))


@button("undismiss")
def undismiss_on_list(query: CallbackQuery) -> None:
    movie_id, *parts = parse_callback_data(query, rf"undismiss:(\d{{1,10}}):{VIEW_PATTERN}")
    movie = movie_of(query, movie_id)
    undismiss(query.from_user.id, movie.pk)
    replace(private_message(query), list_message(query.from_user.id, View.parse(*parts)))
    answer(query, undismissed_notice(movie))


@button("dismissed")
def show_dismissed(query: CallbackQuery) -> None:
    """The dismissed movies, each with a button to undo that; with a movie id, undo it first."""
    page, movie_id = parse_callback_data(query, r"dismissed:(\d{1,3})(?::(\d{1,10}))?")
    message = private_message(query)
    if movie_id:
        undismiss(query.from_user.id, int(movie_id))
    replace(message, dismissed_message(query.from_user.id, int(page)))
    answer(query)


def dismissed_message(user_id: int, page: int) -> Page:
    """A page of the dismissed movies, the first where there are fewer; the recommendations where there are none."""
    movies = dismissed_movies(user_id)
    if not movies:
        return list_message(user_id, View())
    shown = movies_on_page(movies, page)
    if not shown:
        page, shown = 0, movies_on_page(movies, 0)
    title = ngettext(
        "%(count)d film you called not interesting", "%(count)d films you called not interesting", len(movies)
    ) % {"count": len(movies)}
    undo: list[list[KeyboardButton]] = [
        [
            (
                _("Recommend again: “%(title)s”") % {"title": display_title(movie, MAX_BUTTON_TITLE_LENGTH)},
                f"dismissed:{page}:{movie.pk}",
            )
        ]
        for movie in shown
    ]
    back: list[KeyboardButton] = [(pgettext("to the list", "Back"), f"recommend:{View()}")]
    rows = [*undo, back]
    return {**movie_list_message(title, shown, page, len(movies), lambda page: f"dismissed:{page}", rows=rows)}


# --- Without ratings


def cold_start_message(user_id: int, page: int = 0) -> Page:
    """Well-known movies that are dissimilar, for a user who has rated nothing; the last page where there are fewer."""
    movies, more = movies_to_rate_first(user_id, page)
    while page and not movies:
        page -= 1
        movies, more = movies_to_rate_first(user_id, page)
    if not movies:
        text = _("I know too few films to recommend any yet. Send me the title of one you have seen, and rate it.")
        if has_few_movies():
            asking = _("I am asking TMDb which films everybody knows: they will appear here.")
            text = f"{text}\n\n{asking}"
        return {"text": text, "reply_markup": None}
    lines = [movie_line(number, movie) for number, movie in enumerate(movies, page * COLD_START_PAGE + 1)]
    show = _("Show recommendations")
    heading = _("I do not know your taste yet. Which of these have you seen? Rate a few, then press “%(button)s”:") % {
        "button": show
    }
    text = render_to_string("ratings/recommendations.html", {"heading": heading, "lines": lines})
    numbers: list[KeyboardButton] = [(str(line.number), f"card:{line.movie.pk}") for line in lines]
    paging: list[KeyboardButton] = [("‹", f"coldstart:{page - 1}")] if page else []
    if more and page + 1 < MAX_COLD_START_PAGES:
        paging.append((_("Other films"), f"coldstart:{page + 1}"))
    rows: list[list[KeyboardButton]] = [numbers, paging, [(show, f"recommend:{View()}")]]
    return {"text": text.strip(), "reply_markup": keyboard(*(row for row in rows if row))}


@button("coldstart")
def show_cold_start_page(query: CallbackQuery) -> None:
    (page,) = parse_callback_data(query, r"coldstart:(\d)")
    replace(private_message(query), cold_start_message(query.from_user.id, int(page)))
    answer(query)
