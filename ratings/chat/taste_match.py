"""/match: the taste match of two users who both consent, one by sending a link and the other by a button."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from telebot.apihelper import ApiException

from config.bot.client import TelegramUnavailable
from config.bot.replies import answer, deep_link, edit, keyboard, require_private_chat
from config.bot.router import UserError, bot, button, command, deep_link_handler, parse_callback_data
from movies.cards import display_title
from movies.models import Movie
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
        text = no_link()
    elif message.from_user and owner_id == message.from_user.id:
        text = _("This is your own link. Send it to somebody else.")
    else:
        text = _(
            "Somebody wants to know how far your tastes agree. If you agree, you both see the figure and two films as "
            "examples, and they see your name; nothing else is told."
        )
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
    if not edit(query.message, describe(match)):
        bot.send_message(query.from_user.id, describe(match))
    answer(query)
    notify_owner(owner_id, query.from_user, match)


def notify_owner(owner_id: int, visitor: types.User, match: TasteMatch) -> None:
    """Send a result to the link's owner, once, however often the visitor asks for it."""
    if not claim_notification(visitor.id, owner_id):
        return
    with translation.override(User.objects.get(pk=owner_id).language):
        try:
            bot.send_message(owner_id, escape(visitor.full_name) + ": " + describe(match))
        except (ApiException, TelegramUnavailable):
            claim_notification(visitor.id, owner_id, claimed=False)  # they have left, or are told the next time


def describe(match: TasteMatch) -> str:
    """A result in words that change as seldom as its numbers: see ratings.insights.taste_match."""
    if match.percent is None:
        return _("You two have too few films in common yet: it takes at least five. Rate more and try again tomorrow.")
    lines = [_("You two are a %(percent)d%% match.") % {"percent": match.percent}]
    if match.more_than:
        lines.append(_("You have both rated more than %(count)d films.") % {"count": match.more_than})
    for movie_id, text in (
        (match.both_love, _("You both love “%(title)s”.")),
        (match.differ, _("You differ most about “%(title)s”.")),
    ):
        if movie_id and (movie := Movie.objects.filter(pk=movie_id).first()):
            lines.append(text % {"title": escape(display_title(movie, MAX_TITLE_LENGTH))})
    return "\n".join(lines)
