"""What ratings answer in the chat, a module for each subject; ratings.bot imports them in their handlers' order."""

from typing import TypedDict

from config.bot.replies import Keyboard


class Page(TypedDict):
    """A page of a list, as send_message() and edit() take it."""

    text: str
    reply_markup: Keyboard | None
