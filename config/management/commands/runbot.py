from __future__ import annotations

import logging
import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils.module_loading import import_string
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import TelegramUnavailable
from config.bot.polling import CannotPoll, poll
from config.bot.router import bot, publish_profile
from config.database import require_migrations
from config.monitoring.logs import logging_streams

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Take updates from Telegram and answer them, until SIGTERM or Ctrl-C."

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**logging_streams(__name__), **options})

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.TELEGRAM_BOT_TOKEN:
            raise CommandError("TELEGRAM_BOT_TOKEN is missing: make a bot with @BotFather and put its token into .env.")
        if settings.TELEGRAM_WEBHOOK_URL:
            raise CommandError(
                "TELEGRAM_WEBHOOK_URL is set, so updates come to the web server and polling would get none: "
                "unset it and run `manage.py delete_webhook` to poll."
            )
        settings.DEBUG = False  # with it Django would store every query
        require_migrations()
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        threading.Thread(target=self.introduce, args=(stop,), daemon=True).start()
        self.stdout.write("The bot is polling. Ctrl-C stops it.")
        try:
            poll(stop)
        except CannotPoll as error:
            raise CommandError(str(error)) from None
        self.stdout.write("The bot has stopped; every update is handled or will come again.")

    def introduce(self, stop: threading.Event) -> None:
        """Publish the menu as soon as Telegram answers; the chat works without it."""
        while not stop.is_set():
            try:
                publish_profile()
                self.stdout.write(f"It is @{bot.user.username}.")
                import_string("posters.bot_change.handle_bot_change")(bot.user.id)
                connection.close()
                return
            except ApiTelegramException as error:
                if error.error_code in (401, 404):
                    return  # polling says what is wrong
                log.warning("the menu could not be published: %s", error)
            except (ApiException, TelegramUnavailable) as error:
                log.warning("the menu could not be published: %s", error)
            stop.wait(10)
