"""What people have rated: /rated as a list, /stats as a picture."""

from io import BytesIO

from django.db.models import F
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot import types

from config.bot.replies import answer, edit, require_private_chat
from config.bot.router import UserError, bot, button, command, parse_callback_data
from movies.models import Movie
from movies.movie_list import PAGE, film_list
from ratings.insights.stats import stats_of
from ratings.insights.stats_image import in_words, picture

# --- What they have rated

ORDERS = {
    "new": (gettext_lazy("newest"), ["-rated_at", "id"]),
    "high": (gettext_lazy("highest"), ["-mine", "-rated_at", "id"]),
    "year": (gettext_lazy("by year"), [F("year").desc(nulls_last=True), "title", "id"]),
}


@command("rated", gettext_lazy("films you have rated"))
def rated(message):
    if require_private_chat(message):
        bot.send_message(message.chat.id, **rated_page(message.from_user.id, "new", 0))


@button("rated")
def turn_rated(query):
    order, page = parse_callback_data(query, rf"rated:({'|'.join(ORDERS)}):(\d{{1,5}})")
    if query.message is None or query.message.chat.type != "private":
        raise UserError(_("This button is out of date."))
    edit(query.message, **rated_page(query.from_user.id, order, int(page)))
    answer(query)


def rated_page(user_id, order, page):
    """Text and keyboard of one page of the films a person has rated; the last one where there are no longer so many."""
    films = Movie.objects.rated_by(user_id)
    total = films.count()
    if not total:
        return {
            "text": _("You have not rated any film yet. Send me a title, and rate it on its card."),
            "reply_markup": None,
        }
    page = min(page, (total - 1) // PAGE)
    heading = ngettext("You have rated %(count)d film", "You have rated %(count)d films", total) % {"count": total}
    sorting = [(f"● {title}" if key == order else str(title), f"rated:{key}:0") for key, (title, _by) in ORDERS.items()]
    return film_list(
        heading,
        films.order_by(*ORDERS[order][1])[page * PAGE : (page + 1) * PAGE],
        page,
        total,
        turn=lambda page: f"rated:{order}:{page}",
        rows=[sorting],
    )


# --- Figures


@command("stats", gettext_lazy("my films in figures"))
def send_stats(message):
    if not require_private_chat(message):
        return
    stats = stats_of(message.from_user.id)
    if not stats.count:
        text = _("You have no ratings yet. Rate a film on its card, /connect TMDb, or send me a CSV with your ratings.")
        bot.send_message(message.chat.id, text)
        return
    photo = types.InputFile(BytesIO(picture(stats)), file_name="stats.png")
    bot.send_photo(message.chat.id, photo, in_words(stats))
