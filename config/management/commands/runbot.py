import logging
import signal
import threading

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils.module_loading import import_string
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import TelegramUnavailable
from config.bot.polling import CannotPoll, poll
from config.bot.router import bot, publish_commands
from config.database import require_tables
from config.monitoring.logs import streams

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Take updates from Telegram and answer them, until SIGTERM or Ctrl-C."

    def __init__(self, **options):
        super().__init__(**{**streams(__name__), **options})

    def handle(self, *args, **options):
        if not settings.TELEGRAM_BOT_TOKEN:
            raise CommandError("TELEGRAM_BOT_TOKEN is missing: make a bot with @BotFather and put its token into .env.")
        if settings.TELEGRAM_WEBHOOK_URL:
            raise CommandError(
                "TELEGRAM_WEBHOOK_URL is set, so updates come to the web server and polling would get none: "
                "unset it and run `manage.py delete_webhook` to poll."
            )
        require_tables()
        stop = threading.Event()
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, lambda *_: stop.set())
        threading.Thread(target=self.introduce, args=(stop,), daemon=True).start()
        self.stdout.write("The bot is polling. Ctrl-C stops it.")
        try:
            poll(stop)
        except CannotPoll as error:
            raise CommandError(str(error)) from None
        self.stdout.write("The bot has stopped; every update is handled or will come again.")

    def introduce(self, stop):
        """Publish the menu as soon as Telegram answers; the chat works without it."""
        while not stop.is_set():
            try:
                publish_commands()
                log.info("the bot is @%s", bot.user.username)
                import_string("posters.pipeline.notice_new_bot")(bot.user.id)
                connection.close()
                return
            except ApiTelegramException as error:
                if error.error_code in (401, 404):
                    return  # polling says what is wrong
                log.warning("the menu could not be published: %s", error)
            except (ApiException, TelegramUnavailable) as error:
                log.warning("the menu could not be published: %s", error)
            stop.wait(10)
