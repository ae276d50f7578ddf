"""/match: how far two people's tastes agree, for two who both want to know."""

from html import escape

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot.apihelper import ApiException

from config.bot import (
    Refusal,
    answer,
    bot,
    button,
    command,
    deep_link,
    edit,
    keyboard,
    link,
    only_in_private,
    read_button,
)
from config.telegram import TelegramUnavailable
from movies.cards import name
from movies.models import Movie
from ratings.agreement import LIFE, TooFew, agreement, end_link, link_of, owner_of
from users.models import User


@command("match", gettext_lazy("compare tastes with a friend"))
def send_link(message):
    """The person's link: to send it to somebody is their consent."""
    if not only_in_private(message):
        return
    token = link_of(User.objects.met(message.from_user))
    text = _(
        "Send this link to somebody whose taste you want to compare with yours:\n%(link)s\n\n"
        "Whoever opens it and agrees sees, as you will, how far you agree and two films as examples; no other ratings. "
        "It works for %(days)d days; /match makes a new one in its place."
    ) % {"link": deep_link(f"match_{token}"), "days": LIFE // 86_400}
    bot.send_message(message.chat.id, text, reply_markup=keyboard([(_("Stop the link"), "matchend")]))


@button("matchend")
def stop_link(query):
    end_link(query.from_user.id)
    edit(query.message, _("The link no longer works. /match makes a new one."))
    answer(query)


@link("match")
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
    (token,) = read_button(query, r"match:([\w-]{10,40})")
    owner = owner_of(token)
    if owner is None or owner == query.from_user.id:
        raise Refusal(_("This link no longer works. Ask your friend for a new one: they send me /match."))
    visitor = User.objects.met(query.from_user)
    edit(query.message, in_words(visitor.pk, owner))
    answer(query)
    with translation.override(User.objects.get(pk=owner).language):
        text = escape(query.from_user.full_name) + ": " + in_words(owner, visitor.pk)
        try:
            bot.send_message(owner, text)
        except (ApiException, TelegramUnavailable):
            return  # they have left, or read it another time


def in_words(reader, other):
    try:
        found = agreement(reader, other)
    except TooFew as few:
        return ngettext(
            "You two have rated %(count)d film in common: too few for a figure.",
            "You two have rated %(count)d films in common: too few for a figure.",
            few.common,
        ) % {"count": few.common}
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
