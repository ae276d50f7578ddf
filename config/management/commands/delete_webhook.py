from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import TelegramUnavailable
from config.bot.router import bot


class Command(BaseCommand):
    help = "Have Telegram keep updates for `runbot` instead of sending them to a webhook."

    def handle(self, **options: Any) -> None:
        try:
            url = bot.get_webhook_info().url
            bot.delete_webhook()
        except ApiTelegramException as error:
            raise CommandError(f"Telegram refuses to delete the webhook: {error.description}.") from None
        except (ApiException, TelegramUnavailable) as error:
            raise CommandError(f"Telegram cannot be reached, so the webhook stays as it is: {error}.") from None
        if url:
            self.stdout.write(
                f"The webhook {url} is deleted: `manage.py runbot` gets the updates, those that wait too."
            )
        else:
            self.stdout.write("No webhook was set: `manage.py runbot` gets the updates.")
