"""/match: how far two people's tastes agree, for two who both want to know."""

from html import escape

from django.core.cache import cache
from django.utils import translation
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot.apihelper import ApiException

from config.bot.client import TelegramUnavailable
from config.bot.replies import answer, deep_link, edit, keyboard, require_private_chat
from config.bot.router import UserError, bot, button, command, deep_link_handler, parse_callback_data
from movies.cards import name
from movies.models import Movie
from ratings.insights.taste_match import LIFE, TooFew, agreement, end_link, link_of, owner_of
from users.models import User

DAY = 86_400  # seconds


@command("match", gettext_lazy("compare tastes with a friend"))
def send_link(message):
    """The person's link: to send it to somebody is their consent."""
    if not require_private_chat(message):
        return
    token = link_of(User.objects.met(message.from_user))
    text = _(
        "Send this link to somebody whose taste you want to compare with yours:\n%(link)s\n\n"
        "Whoever opens it and agrees sees, as you will, how far you agree and two films as examples; no other ratings. "
        "It works for %(days)d days; /match makes a new one in its place."
    ) % {"link": deep_link(f"match_{token}"), "days": LIFE // 86_400}
    bot.send_message(message.chat.id, text, reply_markup=keyboard([(_("Stop the link"), f"matchend:{token}")]))


@button("matchend")
def stop_link(query):
    (token,) = parse_callback_data(query, r"matchend:([\w-]{10,40})")
    if end_link(query.from_user.id, token):
        text = _("This link has ended already; the newer one works.")
    else:
        text = _("The link no longer works. /match makes a new one.")
    if edit(query.message, text):
        answer(query)
    else:
        answer(query, text, alert=True)


@deep_link_handler("match")
def open_link(message, token):
    """Somebody has opened a link: they are asked whether they want it too."""
    owner = owner_of(token)
    if owner is None:
        text = _("This link no longer works. Ask your friend for a new one: they send me /match.")
    elif owner == message.from_user.id:
        text = _("This is your own link. Send it to somebody else.")
    else:
        text = _(
            "Somebody wants to know how far your tastes agree. If you agree, you both see the figure and two films as "
            "examples, and they see your name; nothing else is told."
        )
        choice = [(_("Compare"), f"match:{token}"), (_("No"), "nomatch")]
        return bot.send_message(message.chat.id, text, reply_markup=keyboard(choice))
    return bot.send_message(message.chat.id, text)


@button("nomatch")
def refuse_match(query):
    edit(query.message, _("Nothing has been compared."))
    answer(query)


@button("match")
def compare(query):
    """Both have consented: the figure for both."""
    (token,) = parse_callback_data(query, r"match:([\w-]{10,40})")
    owner = owner_of(token)
    if owner is None or owner == query.from_user.id:
        raise UserError(_("This link no longer works. Ask your friend for a new one: they send me /match."))
    visitor = User.objects.met(query.from_user)
    found = found_out(visitor.pk, owner)
    if not edit(query.message, in_words(found)):
        bot.send_message(query.from_user.id, in_words(found))
    answer(query)
    tell_owner(owner, query.from_user, found)


def found_out(visitor, owner):
    """An Agreement, or the TooFew in its place."""
    try:
        return agreement(visitor, owner)
    except TooFew as few:
        return few


def tell_owner(owner, visitor, found):
    """The figure for the owner of the link: once a day for each visitor, however often they press, unless it changes.

    What has been told is kept under a name that nobody's id can be read from, since /forget does not find it.
    """
    figure = getattr(found, "percent", None), found.common
    told = "match:" + salted_hmac("ratings.match", f"{owner}:{visitor.id}:{figure}").hexdigest()
    if not cache.add(told, True, DAY):
        return
    with translation.override(User.objects.get(pk=owner).language):
        try:
            bot.send_message(owner, escape(visitor.full_name) + ": " + in_words(found))
        except (ApiException, TelegramUnavailable):
            cache.delete(told)  # they have left, or hear it another time


def in_words(found):
    if isinstance(found, TooFew):
        return ngettext(
            "You two have rated %(count)d film in common: too few for a figure.",
            "You two have rated %(count)d films in common: too few for a figure.",
            found.common,
        ) % {"count": found.common}
    movies = Movie.objects.in_bulk([film for film in (found.both_love, found.differ) if film])
    lines = [_("Your tastes agree by %(percent)d%%.") % {"percent": found.percent}]
    lines.append(
        ngettext("You have both rated %(count)d film.", "You have both rated %(count)d films.", found.common)
        % {"count": found.common}
    )
    if found.both_love:
        lines.append(_("You both love “%(title)s”.") % {"title": escape(name(movies[found.both_love], 60))})
    if found.differ:
        lines.append(_("You differ most about “%(title)s”.") % {"title": escape(name(movies[found.differ], 60))})
    return "\n".join(lines)
