"""One message that shows one film of a list at a time: its poster by file_id, its facts, why it is there.

Every button edits that message. What it shows is a row of `carousels`, so any process may handle the next press, also
after a restart; a button says the end state it leads to ("the film after 603"), so that pressing it twice is harmless.

To show a list of your own, subclass Source, `register()` one instance, and call `send()`:

    class Watchlist(Source):
        key = "watchlist"

        def find(self, carousel: Carousel, kept: Sequence[int]) -> list[Pick]:
            filters, order = filters_of(carousel), carousel.argument
            movies = filters.movies().filter(watchlist__user_id=carousel.user_id).exclude(pk__in=kept)
            return [Pick(pk) for pk in movies.order_by(*ORDERS[order]).values_list("pk", flat=True)]

    WATCHLIST = register(Watchlist())
    send(WATCHLIST, user, message.chat.id, argument="new")

`find` returns what follows the films already in the list. `decisions` are the buttons above the arrows: data
`carousel:<key>:no|seen:<movie id>` and `rate:<movie id>:<value>` are handled here and in ratings.chat.rating; any other
`carousel:<key>:<action>:<argument>` goes to `press()`. A handler of other callback data, as that of `watch:603:1`, asks
`carousel_of(query)` whether it was pressed on a carousel, writes what it writes, and calls `go_on()`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeVar

from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from telebot.apihelper import ApiTelegramException
from telebot.types import Message

from config.bot.replies import answer, wait_asked
from config.bot.router import UserError, button, parse_callback_data
from config.monitoring import metrics
from movies.cards import LastCard, caption, display_title, remember_card
from movies.catalogue import get_local_movie
from movies.merging import successors
from movies.models import Movie
from movies.parsing import MAX_MOVIE_ID
from ratings.chat import filters as filter_menus
from ratings.chat.carousel_message import Contents, bring_ready, place, want_posters
from ratings.models import Carousel, WatchlistEntry
from ratings.rate import take_back
from ratings.recommendations.dismissals import dismiss, mark_seen, undismiss
from ratings.recommendations.recommender import NO_FILTERS, Filters
from ratings.watchlist.entries import put_back, set_wanted
from users.models import User

if TYPE_CHECKING:
    from collections.abc import Callable

    from telebot.types import CallbackQuery, InaccessibleMessage

    from config.bot.replies import KeyboardButton

SESSION_SECONDS = 4 * 3600  # for which a new list begins with the filters of the one before
MAX_CAROUSELS = 20  # of a user; the older ones' messages begin a new list
FEW_FILMS = 5  # with fewer, the filters are offered to be widened
MAX_BUTTON_TITLE_LENGTH, MAX_NOTICE_TITLE_LENGTH = 30, 60
FILM, SEEN, MENU = "film", "seen", "filters"  # pages of the message; MENU's choices are pages, too
CHOICES = ("genres", "years", "minutes")


class Pick(NamedTuple):
    """A film of a list, and the id of the rated film that is the reason for it, 0 where there is none."""

    movie_id: int
    because: int = 0


class Source:
    """Where the films of a carousel come from and what may be done with them; one instance for each kind of list."""

    key: ClassVar[str]  # of callback data: up to 12 letters
    has_filters: ClassVar[bool] = True
    has_list_filter: ClassVar[bool] = False  # "from my list" is among the filters
    learns: ClassVar[bool] = False  # what follows is found anew after each decision

    def find(self, carousel: Carousel, kept: Sequence[int]) -> list[Pick]:
        """The films that follow `kept`, best first, that meet filters_of(carousel); none where there are no more.

        As many as are to count in "3 of 10"; a longer list may be continued when its end is reached.
        """
        raise NotImplementedError

    def decisions(self, carousel: Carousel, movie: Movie) -> list[list[KeyboardButton]]:
        """The rows above the arrows."""
        return []

    def reason(self, carousel: Carousel, movie: Movie, because: int) -> str:
        """A line of plain text below the film's facts; empty: none."""
        return ""

    def nothing(self, carousel: Carousel) -> tuple[str, list[list[KeyboardButton]]]:
        """HTML and rows for a list without any film and without filters."""
        return escape(_("There is nothing here yet.")), []

    def rows(self, carousel: Carousel, movie: Movie) -> list[list[KeyboardButton]]:
        """The buttons below a film."""
        return [*self.decisions(carousel, movie), arrows(carousel), filter_row(carousel, self)]

    def menu(self, carousel: Carousel) -> list[list[KeyboardButton]]:
        """Further rows below the filters."""
        return []

    def lists_wanted(self, carousel: Carousel) -> bool:
        """Whether its films are those of the user's watchlist."""
        return filters_of(carousel).listed

    def rated(self, carousel: Carousel, movie_id: int, undo: str = "rate") -> None:
        """The user has rated a film by this message; `undo` empty: anew, which cannot be taken back in one press."""
        go_on(carousel, movie_id, undo)

    def press(self, query: CallbackQuery, carousel: Carousel, action: str, argument: str) -> bool:
        """Handle a button of this source's own; False: there is no such button."""
        return False


SOURCES: dict[str, Source] = {}
AnySource = TypeVar("AnySource", bound=Source)


def register(source: AnySource) -> AnySource:
    """Have the buttons of this source's messages answered; ratings.bot has to import the module."""
    SOURCES[source.key] = source
    return source


# --- Beginning and finding


def send(source: Source, user: User, chat_id: int, argument: str = "", filters: Filters | None = None) -> Carousel:
    """Send a new message with the source's first film; `filters` None: those of the user's session."""
    forget_old(user)
    carousel = begin(source, user, chat_id, 0, argument, filters)
    show(carousel)
    return carousel


def forget_old(user: User) -> None:
    keep = user.carousels.order_by("-used_at", "-pk").values_list("pk", flat=True)[:MAX_CAROUSELS]
    user.carousels.exclude(pk__in=list(keep)).delete()


def begin(
    source: Source, user: User, chat_id: int, message_id: int, argument: str = "", filters: Filters | None = None
) -> Carousel:
    """A carousel that is not yet saved, with its first films."""
    values = filters.as_json() if filters is not None else session_filters(source, user)
    carousel = Carousel(
        user=user, chat_id=chat_id, message_id=message_id, source=source.key, argument=argument, filters=values
    )
    search(carousel, source)
    return carousel


def session_filters(source: Source, user: User) -> dict[str, object]:
    since = int(time.time()) - SESSION_SECONDS
    latest = user.carousels.filter(source=source.key, used_at__gt=since).order_by("-used_at", "-pk").first()
    return latest.filters if latest else {}


def filters_of(carousel: Carousel) -> Filters:
    return Filters.from_json(carousel.filters)


def search(carousel: Carousel, source: Source) -> None:
    """Fill the list anew."""
    carousel.films = []
    extend(carousel, source)
    come_to(carousel, 0)


def come_to(carousel: Carousel, place: int) -> None:
    """Have a film shown that the user has not come to yet: one whose poster is in Telegram, if any of the next is."""
    if carousel.films:
        place = min(place, len(carousel.films) - 1)
        bring_ready(carousel, place)
        carousel.shown = carousel.movie_ids[place]
    else:
        carousel.shown = 0


def extend(carousel: Carousel, source: Source) -> None:
    """Append what follows, and have its posters fetched."""
    found = source.find(carousel, carousel.movie_ids)
    carousel.films = [*carousel.films, *map(list, found)]
    want_posters([pick.movie_id for pick in found])


def carousel_of(query: CallbackQuery) -> Carousel | None:
    """The carousel whose button was pressed, whatever the button's data; None for any other message.

    Raises UserError where it is somebody else's.
    """
    source = source_of(query.message)
    return driven(query, source, "") if source else None


def source_of(message: Message | InaccessibleMessage | None) -> Source | None:
    """The source of the message's carousel, by its buttons, or by the table where the message is too old to be read."""
    if isinstance(message, Message):
        rows = message.reply_markup.keyboard if message.reply_markup else []
        data = (button.callback_data or "" for row in rows for button in row)
        key = next((one.split(":")[1] for one in data if one.startswith("carousel:")), "")
    elif message:
        row = Carousel.objects.filter(chat_id=message.chat.id, message_id=message.message_id).first()
        key = row.source if row else ""
    return SOURCES.get(key) if message else None


# --- What the message shows


def show(carousel: Carousel, page: str = FILM, undo: KeyboardButton | None = None) -> None:
    """Have the message show the carousel's film, and save the row; `undo` takes the last decision back."""
    source = SOURCES[carousel.source]
    movie = shown_movie(carousel)
    if movie is None:
        text, rows = nothing(carousel, source)
        contents = Contents(text, rows, None)
    else:
        rows = rows_of_page(carousel, source, movie, page)
        contents = Contents(caption(movie, notes(carousel, source, movie)), rows, movie)
        if page == FILM:
            metrics.increment(f"carousel.{source.key}.shown")
    if undo:
        contents.rows.append([undo])
    try:
        place(carousel, contents)
    except ApiTelegramException as error:
        if not (carousel.query and wait_asked(error)):
            raise  # else they know, and any button shows what is saved
    save(carousel)
    if movie and carousel.chat_id == carousel.user_id:
        remember_card(carousel.chat_id, LastCard(movie.pk, carousel.message_id, bool(movie.telegram_file_id)))


def save(carousel: Carousel) -> None:
    carousel.used_at = int(time.time())
    if carousel.pk is None:
        Carousel.objects.filter(chat_id=carousel.chat_id, message_id=carousel.message_id).delete()
        carousel.save()
    else:  # an update: a row that was deleted meanwhile, as the user was, does not come back
        names = ("message_id", "source", "argument", "filters", "films", "shown", "used_at")
        Carousel.objects.filter(pk=carousel.pk).update(**{name: getattr(carousel, name) for name in names})


def shown_movie(carousel: Carousel) -> Movie | None:
    """The film to show; None where the list is empty."""
    place = max(carousel.place, 0)
    while carousel.films:
        place = min(place, len(carousel.films) - 1)
        carousel.shown = carousel.movie_ids[place]
        if movie := get_local_movie(carousel.shown, carousel.user_id):
            if movie.pk != carousel.shown:  # TMDb has merged the two
                carousel.films[place][0] = carousel.shown = movie.pk
            if carousel.chat_id < 0:
                movie.user_rating = None  # others read it
            return movie
        del carousel.films[place]
    carousel.shown = 0
    return None


def notes(carousel: Carousel, source: Source, movie: Movie) -> list[str]:
    """HTML lines of the caption: why it is there, and the filters."""
    lines = []
    because: int = carousel.films[carousel.place][1]
    if reason := source.reason(carousel, movie, because):
        lines.append(f"<i>{escape(reason)}</i>")
    if filters := filter_menus.describe(filters_of(carousel)):
        lines.append(f"🔎 {escape(filters)}")
    if is_narrow(carousel):
        count = len(carousel.films)
        text = ngettext("Only %(count)d film fits these filters.", "Only %(count)d films fit these filters.", count)
        lines.append(escape(text % {"count": count}))
    return lines


def is_narrow(carousel: Carousel) -> bool:
    """Whether the filters leave few films."""
    return bool(carousel.filters) and len(carousel.films) < FEW_FILMS


def nothing(carousel: Carousel, source: Source) -> tuple[str, list[list[KeyboardButton]]]:
    filters = filters_of(carousel)
    if filters == NO_FILTERS:
        return source.nothing(carousel)
    text = _("No film fits: %(filters)s.") % {"filters": filter_menus.describe(filters)}
    widening = filter_menus.widening_row(filters, prefix(carousel))
    return escape(text), [widening, filter_row(carousel, source)]


def prefix(carousel: Carousel) -> str:
    """What the callback data of this carousel's buttons begins with."""
    return f"carousel:{carousel.source}"


def rows_of_page(carousel: Carousel, source: Source, movie: Movie, page: str) -> list[list[KeyboardButton]]:
    own, filters = prefix(carousel), filters_of(carousel)
    if page == SEEN:
        return [*rating_rows(movie), [(_("No rating"), f"{own}:unrated:{movie.pk}")]]
    if page in (MENU, *CHOICES):
        rows = (
            filter_menus.menu_rows(filters, own, source.has_list_filter)
            if page == MENU
            else filter_menus.choice_rows(page, filters, own)
        )
        done: list[KeyboardButton] = [(_("Done"), f"{own}:show:{movie.pk}")]
        return [*rows, *(source.menu(carousel) if page == MENU else ()), [*clear_button(carousel), *done]]
    rows = [row for row in source.rows(carousel, movie) if row]
    if is_narrow(carousel):
        rows.append(filter_menus.widening_row(filters, own))
    return rows


def rating_rows(movie: Movie) -> list[list[KeyboardButton]]:
    """1-10, nothing marked."""
    return [[(str(value), f"rate:{movie.pk}:{value}") for value in values] for values in (range(1, 6), range(6, 11))]


def arrows(carousel: Carousel) -> list[KeyboardButton]:
    """[‹] [3 of 10] [›]; a list that learns goes on at its end."""
    own, shown, number, total = prefix(carousel), carousel.shown, carousel.place + 1, len(carousel.films)
    counter = _("%(number)d of %(total)d") % {"number": number, "total": total}
    row: list[KeyboardButton] = [(counter, f"{own}:show:{shown}")]
    if number > 1:
        row.insert(0, ("‹", f"{own}:before:{shown}"))
    if number < total or (SOURCES[carousel.source].learns and not is_narrow(carousel)):
        row.append(("›", f"{own}:after:{shown}"))
    return row


def filter_row(carousel: Carousel, source: Source) -> list[KeyboardButton]:
    """[Filters] and, where any is set, one that clears them all."""
    if not source.has_filters:
        return []
    return [(_("Filters"), f"{prefix(carousel)}:menu:{MENU}"), *clear_button(carousel)]


def clear_button(carousel: Carousel) -> list[KeyboardButton]:
    return [("✕ " + _("Clear filters"), f"{prefix(carousel)}:clear")] if carousel.filters else []


# --- Buttons


@button("carousel")
def press(query: CallbackQuery) -> None:
    key, action, argument = parse_callback_data(query, r"carousel:(\w{1,12}):(\w{1,12}):?([\w:-]{0,40})")
    if key not in SOURCES:
        raise UserError(_("This button is out of date."))
    carousel = driven(query, SOURCES[key], argument)
    source = SOURCES[carousel.source]  # a button of the source before is as good
    change = f"{action}:{argument}" if argument else action
    if source.has_filters and re.fullmatch(filter_menus.CHANGES, change):
        set_filters(carousel, source, change)
        answer(query)
    elif action == "menu" and argument in (FILM, MENU, *CHOICES):
        show(carousel, argument)
        answer(query)
    elif action == "undo":
        undo(query, carousel, argument)
    elif action in STEPS and argument.isdigit() and int(argument) <= MAX_MOVIE_ID:
        take_step(query, carousel, action, int(argument))
    elif not source.press(query, carousel, action, argument):
        if source.key == key:
            raise UserError(_("This button is out of date."))
        show(carousel)  # the press before has had another source follow
        answer(query)


def take_step(query: CallbackQuery, carousel: Carousel, action: str, movie_id: int) -> None:
    """What the button says of its film, or of the one that TMDb has instead; without one that is gone, the next."""
    if movie_id not in carousel.movie_ids:
        movie_id = successors([movie_id]).get(movie_id, movie_id)
    try:
        STEPS[action](query, carousel, movie_id)
    except UserError:
        if movie_id not in carousel.movie_ids:
            raise
        show(carousel)
        answer(query)


def driven(query: CallbackQuery, source: Source, argument: str) -> Carousel:
    """The carousel of a button, for the user whose it is. Raises UserError for others.

    A private message whose row is gone begins a new list, at the film of the button if that is in it.
    """
    message = query.message
    if message is None:
        raise UserError(_("This button is out of date."))
    carousel = Carousel.objects.filter(chat_id=message.chat.id, message_id=message.message_id).first()
    if carousel and carousel.user_id != query.from_user.id:
        raise UserError(_("This is somebody else's list. Please ask for your own."))
    if carousel:
        carousel.query = query
        follow_merged(carousel)
        return carousel
    if message.chat.type != "private":
        raise UserError(_("This button is out of date."))
    user = User.objects.get_or_create_from_telegram(query.from_user)
    begun = begin(source, user, message.chat.id, message.message_id)
    begun.query = query
    if argument.isdigit() and int(argument) in begun.movie_ids:
        begun.shown = int(argument)
    return begun


def follow_merged(carousel: Carousel) -> None:
    """Where TMDb has merged the shown film with another since, that one stands in its place."""
    successor_id = successors([carousel.shown]).get(carousel.shown)
    if successor_id and carousel.place >= 0:
        others = [film for film in carousel.films if film[0] != successor_id]
        carousel.films = [[successor_id, film[1]] if film[0] == carousel.shown else film for film in others]
        carousel.shown = successor_id


def set_filters(carousel: Carousel, source: Source, change: str) -> None:
    carousel.filters = filter_menus.changed(filters_of(carousel), change).as_json()
    search(carousel, source)
    show(carousel, "genres" if re.match(r"genre:\d", change) else FILM)


def step_to(query: CallbackQuery, carousel: Carousel, movie_id: int) -> None:
    if movie_id in carousel.movie_ids:
        carousel.shown = movie_id
    show(carousel)
    answer(query)


def step_after(query: CallbackQuery, carousel: Carousel, movie_id: int) -> None:
    if not move_after(carousel, movie_id):
        answer(query, _("That was the last one."))
        return
    show(carousel)
    answer(query)


def move_after(carousel: Carousel, movie_id: int) -> bool:
    """Have the film after this one shown, whatever is shown now; False: there is none, also not by looking further."""
    if movie_id in carousel.movie_ids:
        following = carousel.movie_ids.index(movie_id) + 1
        if following == len(carousel.films):
            extend(carousel, SOURCES[carousel.source])
        if following == len(carousel.films):
            return False
        come_to(carousel, following)
    return True


def step_before(query: CallbackQuery, carousel: Carousel, movie_id: int) -> None:
    if movie_id in carousel.movie_ids:
        carousel.shown = carousel.movie_ids[max(carousel.movie_ids.index(movie_id) - 1, 0)]
    show(carousel)
    answer(query)


# --- Decisions


def go_on(carousel: Carousel, movie_id: int, undo: str = "") -> None:
    """Take a film off the list and show the one in its place; `undo`: a key of UNDO, the decision to be taken back,
    with where the film stood on the watchlist, if it did: see standing().

    A second press finds the film gone and changes nothing.
    """
    movie_ids, source = carousel.movie_ids, SOURCES[carousel.source]
    because = 0
    if movie_id in movie_ids:
        place = movie_ids.index(movie_id)
        because = carousel.films[place][1]
        following = carousel.films[place + 1 :]
        carousel.films = carousel.films[:place]
        if source.learns or not following:
            extend(carousel, source)
        else:
            carousel.films += following
        come_to(carousel, place)
    show(carousel, undo=undo_button(carousel, movie_id, because, undo) if undo else None)


def rated_elsewhere(message: LastCard | Message | None, user_id: int, movie_id: int, undo: str) -> bool:
    """Go on where a film was rated by a number and not by a button of its carousel; False: the message is none.

    `undo`: as for Source.rated().
    """
    carousel = (
        message
        and Carousel.objects.filter(
            chat_id=user_id, message_id=message.message_id, user_id=user_id, shown=movie_id
        ).first()
    )
    if not carousel:
        return False
    SOURCES[carousel.source].rated(carousel, movie_id, undo)
    return True


def standing(user_id: int, movie_id: int) -> str:
    """When the film was put on the user's list and its place there, as callback data hold them."""
    entry = WatchlistEntry.objects.filter(user_id=user_id, movie_id=movie_id).first()
    return f"_{max(entry.added_at, 0):x}_{entry.place:x}" if entry else ""


def undo_button(carousel: Carousel, movie_id: int, because: int, what: str) -> KeyboardButton | None:
    movie = get_local_movie(movie_id)
    if movie is None:
        return None
    title = _("Undo: “%(title)s”") % {"title": display_title(movie, MAX_BUTTON_TITLE_LENGTH)}
    return f"↩ {title}", f"{prefix(carousel)}:undo:{what}:{movie_id}:{because}"


def undo(query: CallbackQuery, carousel: Carousel, argument: str) -> None:
    """Take a decision back: the film stands where it stood, on the user's watchlist too if it was shown from there."""
    found = re.fullmatch(r"([a-z]+)((?:_[0-9a-f]{1,8}){2})?:(\d{1,10}):(\d{1,10})", argument)
    if not found or found[1] not in UNDO:
        raise UserError(_("This button is out of date."))
    movie_id, user = existing(int(found[3])).pk, User.objects.get_or_create_from_telegram(query.from_user)
    if found[1] == "unwatch" and found[2]:
        put_back(user, movie_id, *(int(number, 16) for number in found[2].split("_")[1:]))
    else:
        UNDO[found[1]](user, movie_id)
    if found[1] != "watch" and SOURCES[carousel.source].lists_wanted(carousel):
        set_wanted(user, movie_id, True)
    if movie_id not in carousel.movie_ids:
        carousel.films.insert(max(carousel.place, 0), [movie_id, int(found[4])])
    carousel.shown = movie_id
    show(carousel)
    answer(query)


def dismiss_film(query: CallbackQuery, carousel: Carousel, movie_id: int) -> None:
    movie = existing(movie_id)
    dismiss(User.objects.get_or_create_from_telegram(query.from_user), movie_id)
    go_on(carousel, movie_id, "no")
    text = _("I will not recommend “%(title)s” again.")
    answer(query, text % {"title": display_title(movie, MAX_NOTICE_TITLE_LENGTH)})


def mark_film_seen(query: CallbackQuery, carousel: Carousel, movie_id: int) -> None:
    """Take the film off for good, and ask how it was."""
    existing(movie_id)
    user = User.objects.get_or_create_from_telegram(query.from_user)
    mark_seen(user, movie_id)
    set_wanted(user, movie_id, False)
    metrics.increment(f"carousel.{carousel.source}.seen")
    if movie_id in carousel.movie_ids:
        carousel.shown = movie_id
        show(carousel, SEEN)
    else:
        show(carousel)
    answer(query, _("How did you like it?"))


def leave_unrated(query: CallbackQuery, carousel: Carousel, movie_id: int) -> None:
    existing(movie_id)
    go_on(carousel, movie_id, "no")
    answer(query)


def existing(movie_id: int) -> Movie:
    """The film of a button. Raises UserError."""
    movie = get_local_movie(movie_id) if 0 < movie_id <= MAX_MOVIE_ID else None
    if movie is None:
        raise UserError(_("This button is out of date."))
    return movie


STEPS: dict[str, Callable[[CallbackQuery, Carousel, int], None]] = {
    "show": step_to,
    "after": step_after,
    "before": step_before,
    "no": dismiss_film,
    "seen": mark_film_seen,
    "unrated": leave_unrated,
}
# What takes a decision back, by its name in callback data
UNDO: dict[str, Callable[[User, int], object]] = {
    "no": lambda user, movie_id: undismiss(user.pk, movie_id),
    "rate": take_back,
    "watch": lambda user, movie_id: set_wanted(user, movie_id, False),
    "unwatch": lambda user, movie_id: set_wanted(user, movie_id, True),
}
