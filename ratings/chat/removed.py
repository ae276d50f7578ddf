"""The button under an import's outcome that puts back the ratings it removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from config.bot.replies import answer, edit_buttons
from config.bot.router import bot, button, parse_callback_data
from ratings.tmdb_sync.removal import put_back
from users.models import User

if TYPE_CHECKING:
    from telebot.types import CallbackQuery


@button("put_back")
def put_back_removed(query: CallbackQuery) -> None:
    (removed_at,) = parse_callback_data(query, r"put_back:(\d{1,18})")
    user = User.objects.get_or_create_from_telegram(query.from_user)
    count = put_back(user.pk, int(removed_at))
    edit_buttons(query.message)
    if not count:
        answer(query, _("There is nothing left to put back."), alert=True)
        return
    answer(query)
    text = ngettext("%(count)d rating is back.", "%(count)d ratings are back.", count) % {"count": count}
    if user.connected and user.writes_ratings:
        text += " " + _("I am writing them to TMDb, too.")
    bot.send_message(user.pk, text)
