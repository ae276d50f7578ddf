"""/recommend: films to see next as a list with reasons, its filters and pages, and films to rate first."""

from datetime import date

from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext
from django_q.tasks import async_task

from config.bot.replies import answer, edit, edit_buttons, keyboard, require_private_chat
from config.bot.router import UserError, bot, button, command, parse_callback_data
from movies.cards import buttons, excuse, name, points, running_time, send_card
from movies.catalogue import get_movie, with_details
from movies.movie_list import film_list, page_of
from movies.tmdb import TMDbError
from ratings.models import NotInteresting, Rating
from ratings.recommendations.cold_start import knows_hardly_any, may_help
from ratings.recommendations.dismissals import allow, refuse, refused
from ratings.recommendations.recommender import FIRST, PAGE, Wishes, first_films, recommend
from users.models import User

STATE = r"(\d):(any|old|\d{4}):(any|short|middle|long)"  # page, decade and length, in every button of a list
LAST_PAGE = 9
MORE_FIRST = 7  # pages of films to rate first
OLD = 1960  # the decades before are one
SHORT, LONG = 100, 140  # minutes: up to here a film is short, from here on long
LENGTHS = {"any": None, "short": (1, SHORT), "middle": (SHORT + 1, LONG), "long": (LONG + 1, 100_000)}
LONGEST = 70  # of a title, so that ten of them with their reasons stay within a message


@command("recommend", gettext_lazy("films to see next"))
def send_recommendations(message):
    if not require_private_chat(message):
        return
    bot.send_message(message.chat.id, **recommendations(message.from_user.id))
    if may_help(message.from_user.id):
        async_task("ratings.tasks.ask_tmdb")  # for the next time: nobody waits for TMDb
    if knows_hardly_any():
        async_task("ratings.tasks.fetch_best_known")


def recommendations(user_id, page=0, decade="any", length="any", undo=None):
    """Text and keyboard of one page; `undo` is the film that was just called not interesting."""
    filtered = (decade, length) != ("any", "any")
    if not filtered and not undo and not Rating.objects.filter(user_id=user_id).exists():
        return films_to_rate_first(user_id)
    page, suggestions, more = last_page(user_id, page, wishes(decade, length))
    state = f"{page}:{decade}:{length}"
    lines = [line(number, suggestion) for number, suggestion in enumerate(suggestions, page * PAGE + 1)]
    text = render_to_string(
        "ratings/recommendations.html", {"heading": heading(user_id, decade, length, lines), "lines": lines}
    )
    rows = [
        [
            (str(line["number"]), f"pick:{line['movie'].pk}"),
            (_("Seen it"), f"seen:{line['movie'].pk}"),
            (_("Not interesting"), f"dull:{line['movie'].pk}:{state}"),
        ]
        for line in lines
    ]
    if undo:
        rows.append([(_("Undo: “%(title)s”") % {"title": name(undo, 40)}, f"undull:{undo.pk}:{state}")])
    turns = [("‹", f"recommend:{page - 1}:{decade}:{length}")] if page else []
    if more and page < LAST_PAGE:
        turns.append(("›", f"recommend:{page + 1}:{decade}:{length}"))
    rows += [turns, [(decade_title(decade), f"wish:decade:{state}"), (length_title(length), f"wish:length:{state}")]]
    tonight = "any" if length == "short" else "short"
    mark = "● " if length == "short" else ""
    rows.append([(mark + _("Short tonight"), f"recommend:0:{decade}:{tonight}")])
    if count := NotInteresting.objects.filter(user_id=user_id).count():
        rows.append([(_("Not interesting: %(count)d") % {"count": count}, "dulls:0")])
    return {"text": text.strip(), "reply_markup": keyboard(*filter(None, rows))}


def last_page(user_id, page, wished):
    """(its number, its films, whether there are more) of a page, of the last one where the list does not go so far."""
    suggestions, more = recommend(user_id, page, wished)
    while page and not suggestions:
        page -= 1
        suggestions, more = recommend(user_id, page, wished)
    return page, suggestions, more


def heading(user_id, decade, length, lines):
    if not lines:
        if (decade, length) == ("any", "any") and may_help(user_id):
            return _("I am asking TMDb what goes with the films you love. Please send /recommend again in a minute.")
        return _("No film fits that I could recommend. Try another decade or length, or rate more films.")
    if (decade, length) == ("any", "any"):
        return _("Films for you:")
    chosen = [
        title for title, code in ((decade_title(decade), decade), (length_title(length), length)) if code != "any"
    ]
    return _("Films for you (%(wishes)s):") % {"wishes": ", ".join(chosen)}


def line(number, suggestion):
    because = suggestion.because
    if because and because.mine:
        reason = _("because you rated “%(title)s” %(rating)s") % {
            "title": name(because, LONGEST),
            "rating": points(because.mine),
        }
    else:
        reason = _("many people like it")
    return facts(number, suggestion.movie) | {"reason": reason}


def facts(number, movie):
    return {
        "number": number,
        "movie": movie,
        "title": name(movie, LONGEST),
        "vote": f"{movie.vote_average:.1f}" if movie.vote_count else "",
        "length": running_time(movie),
    }


@button("recommend")
def turn_recommendations(query):
    page, decade, length = parse_callback_data(query, rf"recommend:{STATE}")
    show(query, int(page), decade, length)
    rated = Rating.objects.filter(user_id=query.from_user.id).exists()
    answer(query, None if rated else _("Rate a film first: press its number."))


def show(query, page, decade, length, undo=None):
    """Put a page in the place of the list, the last one where it no longer goes so far."""
    replace(private_message(query), recommendations(query.from_user.id, page, decade, length, undo))


def replace(message, contents):
    """Put a list in the place of another, into a new message where the old one can no longer be changed."""
    if not edit(message, **contents):
        bot.send_message(message.chat.id, **contents)


def private_message(query):
    if query.message is None or query.message.chat.type != "private":
        raise UserError(_("This button is out of date."))
    return query.message


# --- Wishes


def wishes(decade, length):
    years = {"any": None, "old": (1800, OLD - 1)}.get(decade)
    if decade.isdigit():
        years = (int(decade), int(decade) + 9)
    return Wishes(years, LENGTHS[length])


def decade_title(decade):
    if decade == "any":
        return _("Any decade")
    if decade == "old":
        return _("before %(year)d") % {"year": OLD}
    return _("%(decade)ss") % {"decade": decade}


def length_title(length):
    return {
        "any": _("Any length"),
        "short": _("up to %(minutes)d min") % {"minutes": SHORT},
        "middle": _("%(from)d to %(to)d min") % {"from": SHORT + 1, "to": LONG},
        "long": _("over %(minutes)d min") % {"minutes": LONG},
    }[length]


@button("wish")
def choose(query):
    """The decades or lengths to choose from, in the place of the list's buttons."""
    what, page, decade, length = parse_callback_data(query, rf"wish:(decade|length):{STATE}")
    message = private_message(query)
    if what == "decade":
        newest = date.today().year // 10 * 10
        codes = ["any", *map(str, range(newest, OLD - 1, -10)), "old"]
        choices = [(decade_title(code), code, f"recommend:0:{code}:{length}") for code in codes]
    else:
        choices = [(length_title(code), code, f"recommend:0:{decade}:{code}") for code in LENGTHS]
    chosen = decade if what == "decade" else length
    row = [(f"● {title}" if code == chosen else title, data) for title, code, data in choices]
    markup = keyboard(*(row[at : at + 3] for at in range(0, len(row), 3)))
    if not edit_buttons(message, markup):  # then below the same list anew
        text = recommendations(query.from_user.id, int(page), decade, length)["text"]
        bot.send_message(message.chat.id, text, reply_markup=markup)
    answer(query)


# --- What they say of a film


@button("pick")
def open_card(query):
    """The card of a film on the list, where it can be called not interesting too."""
    (movie_id,) = parse_callback_data(query, r"pick:(\d{1,10})")
    movie = opened(query, movie_id)
    send_card(query.message.chat.id, movie, rows=[opinion(movie, dull=False)])
    answer(query)


def opened(query, movie_id):
    """A film with all that its card shows."""
    private_message(query)
    try:
        return with_details(get_movie(int(movie_id), query.from_user.id), query.from_user.id)
    except TMDbError as error:
        raise UserError(excuse(error)) from error


def opinion(movie, dull):
    """The row below a card's own buttons."""
    if dull:
        return [(_("Undo: not interesting"), f"uncarddull:{movie.pk}")]
    return [(_("Not interesting"), f"carddull:{movie.pk}")]


@button("carddull")
def call_not_interesting_on_card(query):
    (movie_id,) = parse_callback_data(query, r"carddull:(\d{1,10})")
    movie = known_film(query, movie_id)
    refuse(User.objects.met(query.from_user), movie.pk)
    seen = edit_buttons(query.message, keyboard(*buttons(movie), opinion(movie, dull=True)))
    answer(query, _("I will not recommend “%(title)s” again.") % {"title": name(movie, 60)}, alert=not seen)


@button("uncarddull")
def take_it_back_on_card(query):
    (movie_id,) = parse_callback_data(query, r"uncarddull:(\d{1,10})")
    movie = known_film(query, movie_id)
    allow(query.from_user.id, movie.pk)
    seen = edit_buttons(query.message, keyboard(*buttons(movie), opinion(movie, dull=False)))
    answer(query, _("“%(title)s” may be recommended again.") % {"title": name(movie, 60)}, alert=not seen)


@button("seen")
def seen(query):
    """The film's card, where they rate it: the next list then knows."""
    (movie_id,) = parse_callback_data(query, r"seen:(\d{1,10})")
    send_card(query.message.chat.id, opened(query, movie_id))
    answer(query, _("How did you like it? Rate it on the card."))


@button("dull")
def call_not_interesting(query):
    movie_id, page, decade, length = parse_callback_data(query, rf"dull:(\d{{1,10}}):{STATE}")
    movie = known_film(query, movie_id)
    refuse(User.objects.met(query.from_user), movie.pk)
    show(query, int(page), decade, length, undo=movie)
    answer(query, _("I will not recommend “%(title)s” again.") % {"title": name(movie, 60)})


@button("undull")
def take_not_interesting_back(query):
    movie_id, page, decade, length = parse_callback_data(query, rf"undull:(\d{{1,10}}):{STATE}")
    movie = known_film(query, movie_id)
    allow(query.from_user.id, movie.pk)
    show(query, int(page), decade, length)
    answer(query, _("“%(title)s” may be recommended again.") % {"title": name(movie, 60)})


def known_film(query, movie_id):
    private_message(query)
    try:
        return get_movie(int(movie_id), query.from_user.id)
    except TMDbError as error:
        raise UserError(excuse(error)) from error


@button("dulls")
def show_not_interesting(query):
    """The films called not interesting, each with a button to take that back."""
    page, movie_id = parse_callback_data(query, r"dulls:(\d{1,3})(?::(\d{1,10}))?")
    message = private_message(query)
    if movie_id:
        allow(query.from_user.id, int(movie_id))
    movies = refused(query.from_user.id)
    shown = page_of(movies, int(page)) or movies[:8]
    if not shown:
        replace(message, recommendations(query.from_user.id))
    else:
        number = int(page) if page_of(movies, int(page)) else 0
        count = len(movies)
        title = ngettext(
            "%(count)d film you called not interesting", "%(count)d films you called not interesting", count
        )
        undo = [
            [(_("Recommend again: “%(title)s”") % {"title": name(movie, 40)}, f"dulls:{number}:{movie.pk}")]
            for movie in shown
        ]
        back = [(pgettext("to the list", "Back"), "recommend:0:any:any")]
        contents = film_list(
            title % {"count": count}, shown, number, count, turn=lambda page: f"dulls:{page}", rows=[*undo, back]
        )
        replace(message, contents)
    answer(query)


# --- Without ratings


def films_to_rate_first(user_id, page=0):
    """Well-known films that are unlike each other, for a person of whom we know nothing."""
    movies, more = first_films(user_id, page)
    while page and not movies:
        page -= 1
        movies, more = first_films(user_id, page)
    if not movies:
        text = _("I know too few films to recommend any yet. Send me the title of one you have seen, and rate it.")
        if knows_hardly_any():
            asking = _("I am asking TMDb which films everybody knows: please send /recommend again in a minute.")
            text = f"{text}\n\n{asking}"
        return {"text": text, "reply_markup": None}
    lines = [facts(number, movie) for number, movie in enumerate(movies, page * FIRST + 1)]
    show = _("Show recommendations")
    heading = _("I do not know your taste yet. Which of these have you seen? Rate a few, then press “%(button)s”:") % {
        "button": show
    }
    text = render_to_string("ratings/recommendations.html", {"heading": heading, "lines": lines})
    turns = [("‹", f"firsts:{page - 1}")] if page else []
    if more and page + 1 < MORE_FIRST:
        turns.append((_("Other films"), f"firsts:{page + 1}"))
    numbers = [(str(each["number"]), f"card:{each['movie'].pk}") for each in lines]
    rows = [numbers, turns, [(show, "recommend:0:any:any")]]
    return {"text": text.strip(), "reply_markup": keyboard(*filter(None, rows))}


@button("firsts")
def turn_first_films(query):
    (page,) = parse_callback_data(query, r"firsts:(\d)")
    replace(private_message(query), films_to_rate_first(query.from_user.id, int(page)))
    answer(query)
