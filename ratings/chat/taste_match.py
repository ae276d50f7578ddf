"""/match: the taste match of two users who both consent, one by sending a link and the other by a button."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from telebot.apihelper import ApiException

from config.bot.client import TelegramUnavailable
from config.bot.replies import answer, deep_link, edit, keyboard, require_private_chat
from config.bot.router import UserError, bot, button, command, deep_link_handler, parse_callback_data
from movies.cards import display_title
from movies.models import Movie
from ratings.chat.pictures import Picture, key_of, send
from ratings.insights.drawing import Busy, drawing_slot
from ratings.insights.match_card import draw_match_card
from ratings.insights.posters import poster_images
from ratings.insights.stats_card import owner_name
from ratings.insights.taste_match import (
    LINK_TTL_SECONDS,
    ComparedToday,
    TasteMatch,
    TooFewRated,
    claim_notification,
    create_link,
    delete_link,
    link_owner,
    match_tastes,
    pair_key,
)
from users.models import User

if TYPE_CHECKING:
    from telebot import types

    from config.bot.replies import KeyboardButton

PAIR_LENGTH = 40  # of the pair's digest in a button, which takes 64 bytes
DAY_SECONDS = 86_400
MAX_TITLE_LENGTH = 60
TOKEN_PATTERN = r"([\w-]{10,40})"  # noqa: S105


@command("match", gettext_lazy("compare tastes with a friend"))
def send_link(message: types.Message) -> None:
    """The user's link, and a button that sends it: sending it to another user is their consent."""
    if not require_private_chat(message):
        return
    token = create_link(User.objects.get_or_create_from_telegram(message.from_user))
    link = deep_link(f"match_{token}")
    text = _(
        "Send this link to a friend:\n%(link)s\n\n"
        "If they open it and agree, you both see how well you match, up to three films as examples and what to "
        "watch together. Nobody sees any other ratings. The link works for %(days)d days."
    ) % {"link": link, "days": LINK_TTL_SECONDS // DAY_SECONDS}
    invitation = urlencode({"url": link, "text": _("How well do our film tastes match? Let us find out:")})
    rows: list[list[KeyboardButton]] = [
        [(_("Send to a friend"), f"{settings.TELEGRAM_WEB_URL}/share/url?{invitation}")],
        [(_("Turn off the link"), f"matchend:{token}")],
    ]
    bot.send_message(message.chat.id, text, reply_markup=keyboard(*rows))


@button("matchend")
def stop_link(query: types.CallbackQuery) -> None:
    (token,) = parse_callback_data(query, rf"matchend:{TOKEN_PATTERN}")
    if delete_link(query.from_user.id, token):
        text = _("This link no longer works. Use the newer one.")
    else:
        text = _("The link no longer works. /match makes a new one.")
    if edit(query.message, text):
        answer(query)
    else:
        answer(query, text, alert=True)


@deep_link_handler("match")
def open_link(message: types.Message, token: str) -> None:
    """Ask the user who opened a link whether they want the comparison too."""
    owner_id = link_owner(token)
    markup = None
    if owner_id is None:
        text = no_link()
    elif message.from_user and owner_id == message.from_user.id:
        text = _("This is your own link. Send it to somebody else.")
    else:
        text = _(
            "%(name)s wants to compare film tastes with you. If you agree, you both see how well you match, up to "
            "three films as examples and what to watch together. Nobody sees any other ratings."
        ) % {"name": escape(name_of(owner_id))}
        markup = keyboard([(_("Compare"), f"match:{token}"), (_("No"), "nomatch")])
    bot.send_message(message.chat.id, text, reply_markup=markup)


def no_link() -> str:
    return _("This link no longer works. Ask your friend for a new one: they send me /match.")


@button("nomatch")
def refuse_match(query: types.CallbackQuery) -> None:
    edit(query.message, _("Nothing has been compared."))
    answer(query)


@button("match")
def compare(query: types.CallbackQuery) -> None:
    """Both have consented: the result for both."""
    (token,) = parse_callback_data(query, rf"match:{TOKEN_PATTERN}")
    owner_id = link_owner(token)
    if owner_id is None or owner_id == query.from_user.id:
        raise UserError(no_link())
    visitor = User.objects.get_or_create_from_telegram(query.from_user)
    try:
        match = match_tastes(visitor.pk, owner_id)
    except TooFewRated:
        raise UserError(
            _("You have rated too few films: it takes at least five. Rate some more, then press the button again.")
        ) from None
    except ComparedToday:
        raise UserError(_("You two have been compared already. Try again tomorrow.")) from None
    except User.DoesNotExist:
        raise UserError(no_link()) from None
    answer(query)
    if match.percent is None:
        show_text(query, describe(match, owner_id))
    else:
        show_text(query, headline(match, owner_id))
        send_result(visitor.pk, owner_id, match)
    notify_owner(owner_id, visitor.pk, match)


def show_text(query: types.CallbackQuery, text: str) -> None:
    """In the place of the question, or as a new message where that can no longer be changed."""
    if not edit(query.message, text):
        bot.send_message(query.from_user.id, text)


def send_result(user_id: int, other_id: int, match: TasteMatch) -> None:
    """The picture, or the same in words while others' are being drawn."""
    text = describe(match, other_id)
    rows: list[list[KeyboardButton]] = []
    if match.together:
        rows.append([(_("What to watch together"), f"together:{pair_key(user_id, other_id)[:PAIR_LENGTH]}")])
    markup = keyboard(*rows)
    try:
        send(user_id, match_picture(user_id, other_id, match, text), markup)
    except Busy:
        bot.send_message(user_id, text, reply_markup=markup)


def match_picture(user_id: int, other_id: int, match: TasteMatch, text: str) -> Picture:
    """Both names, the per cent and the films, the reader's name first."""
    names = (drawable_name_of(user_id), drawable_name_of(other_id))
    found = Movie.objects.in_bulk(filter(None, (match.both_love, match.both_love_too, match.differ)))
    both_love = [found[id] for id in (match.both_love, match.both_love_too) if id in found]
    differ = found.get(match.differ) if match.differ else None
    percent, handle = match.percent or 0, bot.user.username or ""

    def draw() -> tuple[bytes, bool]:
        posters = poster_images(list(found.values()))
        with drawing_slot():
            content = draw_match_card(names, percent, both_love, differ, posters, handle)
        return content, all(movie.pk in posters or not movie.poster_path for movie in found.values())

    shown = [(movie.pk, movie.title, movie.telegram_file_id) for movie in found.values()]
    return Picture(key_of("match", names, percent, match.both_love, match.differ, shown), text, draw, "match.jpg")


def notify_owner(owner_id: int, visitor_id: int, match: TasteMatch) -> None:
    """Send a result to the link's owner, once, however often the visitor asks for it."""
    owner = User.objects.reachable().filter(pk=owner_id).first()
    if owner is None or not claim_notification(visitor_id, owner_id):
        return
    with translation.override(owner.language):
        try:
            if match.percent is None:
                bot.send_message(owner_id, describe(match, visitor_id))
            else:
                send_result(owner_id, visitor_id, match)
        except (ApiException, TelegramUnavailable):
            claim_notification(visitor_id, owner_id, claimed=False)  # they have left, or are told the next time


def name_of(user_id: int) -> str:
    """A person's first name, as Telegram last said."""
    return User.objects.filter(pk=user_id).values_list("first_name", flat=True).first() or _("Your friend")


def drawable_name_of(user_id: int) -> str:
    """A name in letters that a picture can show; empty where there is none."""
    user = User.objects.filter(pk=user_id).first()
    return owner_name(user.first_name, user.username) if user else ""


def headline(match: TasteMatch, other_id: int) -> str:
    values = {"name": escape(name_of(other_id)), "percent": match.percent}
    return _("You and %(name)s are a %(percent)d%% match.") % values


def describe(match: TasteMatch, other_id: int) -> str:
    """A result in words that change as seldom as its numbers: see ratings.insights.taste_match."""
    if match.percent is None:
        text = _("You and %(name)s have too few films in common. It takes at least five: rate more and try tomorrow.")
        return text % {"name": escape(name_of(other_id))}
    lines = [headline(match, other_id)]
    if match.more_than:
        lines.append(_("You have both rated more than %(count)d films.") % {"count": match.more_than})
    titles = [movie_title(movie_id) for movie_id in (match.both_love, match.both_love_too)]
    loved = [title for title in titles if title]
    if len(loved) > 1:
        lines.append(_("You both love “%(one)s” and “%(other)s”.") % {"one": loved[0], "other": loved[1]})
    elif loved:
        lines.append(_("You both love “%(title)s”.") % {"title": loved[0]})
    if differ := movie_title(match.differ):
        lines.append(_("You disagree most about “%(title)s”.") % {"title": differ})
    return "\n".join(lines)


def movie_title(movie_id: int | None) -> str:
    """A title as HTML; empty for no movie, and for one that is no longer there."""
    movie = Movie.objects.filter(pk=movie_id).first() if movie_id else None
    return escape(display_title(movie, MAX_TITLE_LENGTH)) if movie else ""
