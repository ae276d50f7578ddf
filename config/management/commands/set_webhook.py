from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse
from telebot.apihelper import ApiException, ApiTelegramException

from config.arguments import require_within
from config.bot.client import TelegramUnavailable
from config.bot.polling import KINDS
from config.bot.router import bot, publish_profile


class Command(BaseCommand):
    help = "Have Telegram send updates to TELEGRAM_WEBHOOK_URL from now on, and publish the menu."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--max-connections",
            type=int,
            default=min(100, settings.BOT_THREADS),
            help="deliveries side by side, 1-100: threads times web processes (default: BOT_THREADS)",
        )

    def handle(self, max_connections: int, **options: Any) -> None:
        require_within("--max-connections", max_connections, 1, 100)
        url, secret = settings.TELEGRAM_WEBHOOK_URL, settings.TELEGRAM_WEBHOOK_SECRET
        if not url:
            raise CommandError("TELEGRAM_WEBHOOK_URL is missing: set it to the https address of the web server.")
        if not secret:
            raise CommandError("TELEGRAM_WEBHOOK_SECRET is missing: set it to 1-256 letters, digits, _ and -.")
        url = webhook_address(url)
        try:
            bot.set_webhook(url, max_connections=max_connections, allowed_updates=KINDS, secret_token=secret)
            publish_profile()
        except ApiTelegramException as error:
            raise CommandError(f"Telegram refuses the webhook {url}: {error.description}.") from None
        except (ApiException, TelegramUnavailable) as error:
            raise CommandError(f"Telegram cannot be reached, so no webhook is set: {error}.") from None
        self.stdout.write(f"Telegram now sends updates to {url}, at most {max_connections} side by side.")


def webhook_address(url: str) -> str:
    """The address with the webhook's path, before which a proxy may have a prefix. Raises CommandError."""
    path = reverse("webhook")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise CommandError(f"TELEGRAM_WEBHOOK_URL is no address: it must be https://HOST{path}.") from None
    if parts.path in ("", "/"):
        parts = parts._replace(path=path)
    elif parts.path.endswith(path.rstrip("/")):
        parts = parts._replace(path=parts.path + "/")
    if not parts.path.endswith(path):
        raise CommandError(
            f"TELEGRAM_WEBHOOK_URL leads to {parts.path}, where no webhook is: its path must end in {path}."
        )
    return parts.geturl()
