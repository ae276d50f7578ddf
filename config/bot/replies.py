"""Answers: messages, edits and keyboards, and what Telegram's errors mean for them."""

from collections.abc import Callable
from contextlib import suppress

from django.conf import settings
from django.utils.translation import gettext as _
from telebot import types
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot import client
from config.bot.client import TelegramUnavailable
from config.bot.router import bot
from config.monitoring.secret import Secret

UNREACHABLE_ERRORS = (
    "chat not found",
    "query is too old",
    "query_id_invalid",
    "message to edit not found",
    "message can't be edited",
    "message_id_invalid",
    "message identifier is not specified",
    "message to be replied not found",
    "user is deactivated",
    "peer_id_invalid",
    "have no rights to send",
    "not enough rights to send",
    "chat_write_forbidden",
    "topic_closed",
)

KeyboardButton = types.InlineKeyboardButton | tuple[str, str]  # or (text, callback data or address)
Editable = types.Message | types.InaccessibleMessage | None  # None: sent by inline mode; inaccessible: too old


def is_unreachable(error: BaseException) -> bool:
    """Whether a call failed because the user, chat or message no longer exists: there is no one to notify."""
    if not isinstance(error, ApiTelegramException):
        return False
    text = error.description.lower()
    return error.error_code == 403 or any(part in text for part in UNREACHABLE_ERRORS)


def is_not_modified(error: BaseException) -> bool:
    """Whether an edit failed only because the message already reads so, which is success."""
    return isinstance(error, ApiTelegramException) and "message is not modified" in error.description


def wait_asked(error: BaseException) -> int:
    """The seconds that Telegram asks to wait; 0 where that is not what the call failed for."""
    if not isinstance(error, ApiTelegramException) or error.error_code != 429:
        return 0
    return client.seconds_asked(error.result_json)


def is_transient(error: BaseException) -> bool:
    """Whether Telegram will take the same call later, and certainly has not taken it now."""
    if isinstance(error, client.TelegramUnavailable):
        return not error.sent
    return isinstance(error, ApiTelegramException) and (error.error_code == 429 or error.error_code >= 500)


def wait_text(seconds: int) -> str:
    """What the user of a button reads who has to wait for Telegram; up to a minute the bot waits for them."""
    if seconds <= client.MAX_RETRY_WAIT_SECONDS:
        return _("Telegram asks me to wait: this message will change in %(seconds)d s.") % {"seconds": seconds}
    return again_text(seconds)


def again_text(seconds: int) -> str:
    text = _("Telegram asks me to wait. Please press again in %(minutes)d min.")
    return text % {"minutes": -(-seconds // 60)}


class Keyboard(types.InlineKeyboardMarkup):
    """An inline keyboard that error reports do not show: a button may hold a request token."""

    def to_json(self) -> Secret:
        return Secret(super().to_json())


def keyboard(*rows: list[KeyboardButton]) -> Keyboard:
    """An inline keyboard of rows; a button is one of telebot's, or (text, callback data or address)."""

    def build(text: str, data: str) -> types.InlineKeyboardButton:
        if data.startswith("http"):
            return types.InlineKeyboardButton(text, url=data)
        return types.InlineKeyboardButton(text, callback_data=data)

    markup = Keyboard()
    for row in rows:
        markup.row(*(build(*one) if isinstance(one, tuple) else one for one in row))
    return markup


def command_button(text: str, command: str) -> KeyboardButton:
    """A button that does what the command does."""
    return text, f"do:{command}"


def answer(query: types.CallbackQuery, text: str | None = None, alert: bool = False) -> None:
    """Answer a button; one that is too old to be answered is no error."""
    try:
        bot.answer_callback_query(query.id, text, show_alert=alert)
    except ApiTelegramException as error:
        if not is_unreachable(error):
            raise


def edit(message: Editable, text: str, reply_markup: types.InlineKeyboardMarkup | None = None) -> bool:
    """Change the bot's message in place, be it a text or a photo's caption; False where it can no longer be changed."""
    if not isinstance(message, types.Message):
        return False
    chat_id, message_id = message.chat.id, message.message_id
    if message.photo:
        return try_edit(
            lambda: bot.edit_message_caption(text, chat_id=chat_id, message_id=message_id, reply_markup=reply_markup)
        )
    return try_edit(
        lambda: bot.edit_message_text(text, chat_id=chat_id, message_id=message_id, reply_markup=reply_markup)
    )


def edit_buttons(message: Editable, markup: types.InlineKeyboardMarkup | None = None) -> bool:
    """Change only the buttons of the bot's message; False where it can no longer be changed."""
    if not isinstance(message, types.Message):
        return False
    return try_edit(lambda: bot.edit_message_reply_markup(message.chat.id, message.message_id, reply_markup=markup))


def try_edit(call: Callable[[], object]) -> bool:
    """Whether the message reads as the call wants it; False where it can no longer be edited."""
    try:
        call()
    except ApiTelegramException as error:
        if not is_not_modified(error) and not is_unreachable(error):
            raise
        return is_not_modified(error)
    return True


def delete_message(chat_id: int, message_id: int) -> None:
    """Delete the bot's message; where that fails it stays, harmlessly."""
    with suppress(ApiException, TelegramUnavailable):
        bot.delete_message(chat_id, message_id)


def topic_of(message: types.Message | types.InaccessibleMessage) -> int | None:
    """The message_thread_id of the topic that a message stands in; None outside topics and in General.

    A reply in a group without topics has a message_thread_id, too (Bot API: Message, is_topic_message).
    """
    if not isinstance(message, types.Message) or not message.is_topic_message:
        return None
    thread_id: int | None = message.message_thread_id
    return thread_id if thread_id != client.GENERAL_TOPIC else None


def reply_to(message: types.Message) -> types.ReplyParameters:
    """Where an answer in a group belongs: under the question, if that still exists."""
    return types.ReplyParameters(message.message_id, allow_sending_without_reply=True)


def require_private_chat(message: types.Message) -> bool:
    """Whether this is a private chat; elsewhere the user is asked to open one."""
    if message.chat.type == "private":
        return True
    bot.send_message(
        message.chat.id,
        _("That is between you and me: write to me privately."),
        reply_parameters=reply_to(message),
        reply_markup=keyboard([(_("Open a private chat"), deep_link())]),
    )
    return False


def deep_link(start: str = "") -> str:
    """The address that opens a private chat with the bot, with the payload of /start."""
    return f"{settings.TELEGRAM_WEB_URL}/{bot.user.username}" + (f"?start={start}" if start else "")
