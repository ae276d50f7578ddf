"""/evening in a group: who is in, the poll, and its end; in a private chat it says what it is."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from telebot import types
from telebot.apihelper import ApiTelegramException

from config.bot.client import TelegramUnavailable, max_retry_wait
from config.bot.replies import answer, edit_buttons, is_transient, keyboard, reply_to, topic_of
from config.bot.router import UserError, bot, button, command, parse_callback_data
from ratings.chat import filters as filter_menus
from ratings.evenings import messages, run, steps
from ratings.evenings.models import Evening
from ratings.recommendations.recommender import Filters
from users.models import User

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

PAGES = ("film", "filters", "genres", "years", "minutes")  # of the invitation's buttons; "film" is the first
GONE = ("left", "kicked")  # statuses of who is no member any more


@command("evening", gettext_lazy("choose a film with friends, in a group"))
def gather(message: types.Message) -> None:
    if message.chat.type == "private":
        explain(message)
        return
    asker = User.objects.get_or_create_from_telegram(message.from_user)
    evening, is_new = steps.begin(message.chat.id, topic_of(message), asker)
    is_unsent = evening.state == Evening.State.GATHERING and evening.message_id is None
    if is_new or is_unsent:
        messages.send_invitation(evening, reply_to(message))
        return
    standing = evening.poll_message_id or evening.message_id
    reply = types.ReplyParameters(standing, allow_sending_without_reply=True) if standing else None
    text = _("A film evening is being planned here already. Whoever started it can cancel it.")
    cancel = keyboard([(_("Cancel it"), f"{messages.prefix(evening)}:cancel")])
    sent = bot.send_message(message.chat.id, text, reply_parameters=reply, reply_markup=cancel)
    if sent.reply_to_message is None and evening.state == Evening.State.GATHERING:  # the invitation was deleted
        messages.send_invitation(evening, reply_to(message))


def explain(message: types.Message) -> None:
    link = f"{settings.TELEGRAM_WEB_URL}/{bot.user.username}?startgroup=evening"
    bot.send_message(
        message.chat.id,
        _(
            "A film evening is for a group. Add me to one and send /evening there. Everybody who presses “I’m in” "
            "is in, I pick films that none of you has seen, and you vote."
        ),
        reply_markup=keyboard([(_("Add me to a group"), link)]),
    )


@button("evening")
def press(query: types.CallbackQuery) -> None:
    number, action = parse_callback_data(query, r"evening:(\d{1,18}):([\w:]{1,40})")
    if action == "skip":
        edit_buttons(query.message)
        answer(query)
        return
    evening = Evening.objects.select_related("asker").filter(pk=number).first()
    if evening is None or query.message is None or evening.chat_id != query.message.chat.id:
        raise UserError(_("This button is out of date."))
    if action in ACTIONS:
        ACTIONS[action](query, evening)
    elif re.fullmatch(filter_menus.CHANGES, action):
        change_filters(query, evening, action)
    elif action.startswith("menu:") and action[5:] in PAGES:
        require_gathering(evening)
        require_host(query, evening)
        show(query, evening, "" if action == "menu:film" else action[5:])
    else:
        raise UserError(_("This button is out of date."))


def show(query: types.CallbackQuery, evening: Evening, page: str) -> None:
    """A page of the invitation, in the asker's language: it is one message for all."""
    with translation.override(evening.language):
        shown = messages.show_invitation(evening, page, messages.Presses.MENU)
    answer(query, None if shown else _("Telegram asks me to wait: the message will change within a minute."))


def show_guests(evening: Evening) -> None:
    with translation.override(evening.language):
        messages.show_invitation(evening, presses=messages.Presses.GUESTS)


def require_gathering(evening: Evening) -> None:
    if evening.state != Evening.State.GATHERING:
        raise UserError(_("This evening has begun or is over. Start another with /evening."))


def require_host(query: types.CallbackQuery, evening: Evening) -> None:
    """Only the asker decides, or, once they have left the group, whoever is in. Raises UserError."""
    if evening.asker_id == query.from_user.id:
        return
    is_in = evening.guests.filter(user_id=query.from_user.id).exists()
    if is_in and (evening.asker_id is None or has_left(evening.chat_id, evening.asker_id)):
        return
    raise UserError(_("Only the person planning the evening can do that."))


def has_left(chat_id: int, user_id: int) -> bool:
    try:
        member: types.ChatMember = bot.get_chat_member(chat_id, user_id)
        return member.status in GONE
    except ApiTelegramException as error:
        return bool(error.error_code == 400)  # Telegram knows no such member


# --- Buttons


def join(query: types.CallbackQuery, evening: Evening) -> None:
    require_gathering(evening)
    if steps.join(evening, User.objects.get_or_create_from_telegram(query.from_user)):
        show_guests(evening)
    answer(query, _("You are in."))


def leave(query: types.CallbackQuery, evening: Evening) -> None:
    require_gathering(evening)
    if steps.leave(evening, query.from_user.id):
        show_guests(evening)
    answer(query, _("You are not in."))


def change_filters(query: types.CallbackQuery, evening: Evening, change: str) -> None:
    require_gathering(evening)
    require_host(query, evening)
    evening.filters = filter_menus.changed(Filters.from_json(evening.filters), change).as_json()
    Evening.objects.filter(pk=evening.pk, state=Evening.State.GATHERING).update(filters=evening.filters)
    show(query, evening, "genres" if re.match(r"genre:\d", change) else "filters")


def start(query: types.CallbackQuery, evening: Evening) -> None:
    """Choose the films and send the poll."""
    require_gathering(evening)
    require_host(query, evening)
    try:
        films = steps.choose_films(evening)
    except steps.TooFewGuests:
        raise UserError(_("It takes at least two: ask the others to press “I’m in”.")) from None
    except steps.TooFewFilms:
        if filter_menus.describe(Filters.from_json(evening.filters)):
            raise UserError(_("I found too few films that none of you has seen. Try fewer filters.")) from None
        raise UserError(_("I found too few films that none of you has seen.")) from None
    if not steps.start(evening, films):
        raise UserError(_("This evening has begun or is over. Start another with /evening."))
    evening.refresh_from_db(fields=["state", "films", "closes_at", "attempts"])
    try:
        now_or_soon(query, lambda: run.send_poll(evening))
    except ApiTelegramException as error:
        if error.error_code == 403:
            raise
        steps.gather_again(evening)
        log.warning("evening %s: the poll is refused: %s", evening.pk, error.description)
        raise UserError(_("I may not send polls here. Ask an administrator of the group to allow it.")) from error


def now_or_soon(query: types.CallbackQuery, step: Callable[[], None]) -> None:
    """Take the step, and answer."""
    taken = is_taken_now(step)
    answer(query, None if taken else _("Telegram is busy right now: it will come within a minute or two."))


def is_taken_now(step: Callable[[], None]) -> bool:
    """Take the step; False where Telegram does not take it just now: the job does, later."""
    try:
        with max_retry_wait(run.MAX_RETRY_WAIT_SECONDS):  # shorter than the claim holds
            step()
    except (ApiTelegramException, TelegramUnavailable) as error:
        if not is_transient(error):
            raise
        log.warning("evening: left to the job: %s", error)
        return False
    return True


def close(query: types.CallbackQuery, evening: Evening) -> None:
    require_host(query, evening)
    if evening.state != Evening.State.VOTING:
        answer(query)
        return
    steps.close_soon(evening)
    now_or_soon(query, lambda: run.close(evening))


def cancel(query: types.CallbackQuery, evening: Evening) -> None:
    require_host(query, evening)
    run.cancel(evening)
    if evening.state == Evening.State.VOTING and evening.poll_message_id:
        is_taken_now(lambda: messages.stop_poll(evening))
    answer(query, _("The evening is cancelled."))


ACTIONS: dict[str, Callable[[types.CallbackQuery, Evening], None]] = {
    "in": join,
    "out": leave,
    "start": start,
    "close": close,
    "cancel": cancel,
}


# --- What Telegram tells of polls and groups


@bot.message_handler(content_types=["migrate_to_chat_id"])
def group_upgraded(message: types.Message) -> None:
    """The group has become a supergroup, with another id."""
    Evening.objects.filter(chat_id=message.chat.id).update(chat_id=message.migrate_to_chat_id)


@bot.poll_handler(lambda poll: True)
def poll_changed(poll: types.Poll) -> None:
    """A vote, or the end: by our call, by Telegram, or by whoever else may stop it."""
    evening = Evening.objects.select_related("asker").filter(poll_id=poll.id).first()
    if evening is None or evening.state != Evening.State.VOTING:
        return
    steps.count_votes(evening, [{"voter_count": option.voter_count} for option in poll.options])
    if poll.is_closed:
        is_taken_now(lambda: run.closed(evening))
