"""/match: the taste match of two users who both consent, one by sending a link and the other by a button."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from django.core.cache import cache
from django.utils import translation
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot.apihelper import ApiException

from config.bot.client import TelegramUnavailable
from config.bot.replies import answer, deep_link, edit, keyboard, require_private_chat
from config.bot.router import UserError, bot, button, command, deep_link_handler, parse_callback_data
from movies.cards import display_title
from movies.models import Movie
from ratings.insights.taste_match import (
    LINK_TTL_SECONDS,
    TasteMatch,
    TooFewInCommon,
    create_link,
    delete_link,
    link_owner,
    match_tastes,
)
from users.models import User

if TYPE_CHECKING:
    from telebot import types

DAY_SECONDS = 86_400
MAX_TITLE_LENGTH = 60
TOKEN_PATTERN = r"([\w-]{10,40})"  # noqa: S105


@command("match", gettext_lazy("compare tastes with a friend"))
def send_link(message: types.Message) -> None:
    """The user's link: sending it to another user is their consent."""
    if not require_private_chat(message):
        return
    token = create_link(User.objects.get_or_create_from_telegram(message.from_user))
    text = _(
        "Send this link to somebody whose taste you want to compare with yours:\n%(link)s\n\n"
        "Whoever opens it and agrees sees, as you will, how far you agree and two films as examples; no other ratings. "
        "It works for %(days)d days; /match makes a new one in its place."
    ) % {"link": deep_link(f"match_{token}"), "days": LINK_TTL_SECONDS // DAY_SECONDS}
    bot.send_message(message.chat.id, text, reply_markup=keyboard([(_("Stop the link"), f"matchend:{token}")]))


@button("matchend")
def stop_link(query: types.CallbackQuery) -> None:
    (token,) = parse_callback_data(query, rf"matchend:{TOKEN_PATTERN}")
    if delete_link(query.from_user.id, token):
        text = _("This link has ended already; the newer one works.")
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
        text = _("This link no longer works. Ask your friend for a new one: they send me /match.")
    elif message.from_user and owner_id == message.from_user.id:
        text = _("This is your own link. Send it to somebody else.")
    else:
        text = _(
            "Somebody wants to know how far your tastes agree. If you agree, you both see the figure and two films as "
            "examples, and they see your name; nothing else is told."
        )
        markup = keyboard([(_("Compare"), f"match:{token}"), (_("No"), "nomatch")])
    bot.send_message(message.chat.id, text, reply_markup=markup)


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
        raise UserError(_("This link no longer works. Ask your friend for a new one: they send me /match."))
    visitor = User.objects.get_or_create_from_telegram(query.from_user)
    result = try_match(visitor.pk, owner_id)
    if not edit(query.message, describe(result)):
        bot.send_message(query.from_user.id, describe(result))
    answer(query)
    notify_owner(owner_id, query.from_user, result)


def try_match(visitor_id: int, owner_id: int) -> TasteMatch | TooFewInCommon:
    """The match, or why there is none."""
    try:
        return match_tastes(visitor_id, owner_id)
    except TooFewInCommon as too_few:
        return too_few


def notify_owner(owner_id: int, visitor: types.User, result: TasteMatch | TooFewInCommon) -> None:
    """Send the result to the link's owner: once a day for each visitor, however often they press, unless it changes.

    The cache key reveals no user's id, since /forget does not find it.
    """
    percent = result.percent if isinstance(result, TasteMatch) else None
    digest = salted_hmac("ratings.match", f"{owner_id}:{visitor.id}:{percent}:{result.common}").hexdigest()
    key = f"match:{digest}"
    if not cache.add(key, True, DAY_SECONDS):
        return
    with translation.override(User.objects.get(pk=owner_id).language):
        try:
            bot.send_message(owner_id, escape(visitor.full_name) + ": " + describe(result))
        except (ApiException, TelegramUnavailable):
            cache.delete(key)  # they have left, or the next result is sent


def describe(result: TasteMatch | TooFewInCommon) -> str:
    if isinstance(result, TooFewInCommon):
        return ngettext(
            "You two have rated %(count)d film in common: too few for a figure.",
            "You two have rated %(count)d films in common: too few for a figure.",
            result.common,
        ) % {"count": result.common}
    movies = Movie.objects.in_bulk([movie_id for movie_id in (result.both_love, result.differ) if movie_id])

    def title(movie_id: int) -> str:
        return escape(display_title(movies[movie_id], MAX_TITLE_LENGTH))

    lines = [
        _("Your tastes agree by %(percent)d%%.") % {"percent": result.percent},
        ngettext("You have both rated %(count)d film.", "You have both rated %(count)d films.", result.common)
        % {"count": result.common},
    ]
    if result.both_love:
        lines.append(_("You both love “%(title)s”.") % {"title": title(result.both_love)})
    if result.differ:
        lines.append(_("You differ most about “%(title)s”.") % {"title": title(result.differ)})
    return "\n".join(lines)
