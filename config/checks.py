"""What is missing or wrong in the settings, reported at start-up; and, by check_services, in the services."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning, register
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from telebot import apihelper
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import TelegramUnavailable, max_retry_wait
from config.bot.router import bot
from config.monitoring import webhook
from config.monitoring.logs import format_error

NOT_CHECKED = "config.I001"  # of a message that says why nothing was checked; check_services never calls that ok
MIN_KEY_LENGTH, MIN_KEY_LETTERS = 50, 5  # of SECRET_KEY (django.core.checks.security.base)


@register()
def settings_are_whole(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The settings fit together."""
    problems: list[CheckMessage] = []
    if not settings.TELEGRAM_BOT_TOKEN:
        problems.append(
            Warning(
                "TELEGRAM_BOT_TOKEN is missing: the bot cannot run.",
                hint="Make a bot with @BotFather and put its token into .env, or set SANDBOX=1.",
                id="config.W001",
            )
        )
    if settings.DEBUG and not settings.SANDBOX and settings.TELEGRAM_API_URL.startswith("https://"):
        problems.append(
            Warning(
                "DEBUG is on with a real bot: error pages show more than strangers should see.",
                hint="Set DEBUG=0, SECRET_KEY and ALLOWED_HOSTS before others can reach the web server.",
                id="config.W002",
            )
        )
    if not settings.DEBUG and is_weak(settings.SECRET_KEY):
        problems.append(
            Warning(
                "SECRET_KEY is weak: who guesses it reads TMDb sessions and logs in as anybody.",
                hint="Put the output of `openssl rand -base64 48` there; SESSION_ENCRYPTION_KEYS keeps the old one.",
                id="config.W005",
            )
        )
    if not settings.DEBUG and not settings.ALLOWED_HOSTS:
        problems.append(
            Warning(
                "ALLOWED_HOSTS is empty with DEBUG=0: the web server refuses every page.",
                hint="Set it to the host names of the web server, separated by commas.",
                id="config.W006",
            )
        )
    if settings.TELEGRAM_WEBHOOK_URL and not settings.TELEGRAM_WEBHOOK_SECRET:
        problems.append(
            Error(
                "TELEGRAM_WEBHOOK_URL is set without TELEGRAM_WEBHOOK_SECRET: anybody could send updates.",
                hint="Set TELEGRAM_WEBHOOK_SECRET to 1-256 letters, digits, _ and -.",
                id="config.E001",
            )
        )
    return problems


def is_weak(key: str) -> bool:
    """Whether a SECRET_KEY is short or has few different letters, as Django's own check judges it."""
    return len(key) < MIN_KEY_LENGTH or len(set(key)) < MIN_KEY_LETTERS or key.startswith("django-insecure-")


@register("services", deploy=True)
def settings_are_safe(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """SECRET_KEY and ALLOWED_HOSTS are fit for strangers."""
    if settings.DEBUG:
        return [Info("DEBUG is on: SECRET_KEY and ALLOWED_HOSTS do not matter yet.", id=NOT_CHECKED)]
    wrong = [problem for problem in settings_are_whole(app_configs) if problem.id in ("config.W005", "config.W006")]
    return [Error(problem.msg, hint=problem.hint, id=problem.id) for problem in wrong]


@register("services", deploy=True)
def database_answers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The database answers, and has all its tables."""
    try:
        executor = MigrationExecutor(connection)
        behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        hint = "Start it, correct DATABASE_URL, or unset it: then SQLite serves in its place."
        why = f"The database does not answer at DATABASE_URL: {format_error(error)}."
        return [Error(why, hint=hint, id="config.E005")]
    if behind:
        hint = "Run manage.py migrate, while nothing else runs."
        return [Error("The tables of the database are not those of this version.", hint=hint, id="config.E006")]
    return []


@register("services", deploy=True)
def telegram_knows_the_bot(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Telegram knows the bot."""
    if not settings.TELEGRAM_BOT_TOKEN:
        return [
            Error(
                "TELEGRAM_BOT_TOKEN is missing.",
                hint="Make a bot with @BotFather and put its token into .env.",
                id="config.E002",
            )
        ]
    try:
        with max_retry_wait(0):
            bot.get_me()
    except ApiTelegramException as error:
        if error.error_code in (401, 404):
            hint = "Take the token that @BotFather shows, all of it."
            return [Error("Telegram does not know TELEGRAM_BOT_TOKEN.", hint=hint, id="config.E003")]
        return [Warning(f"Telegram answers getMe with: {error.description}.", id="config.W003")]
    except (ApiException, TelegramUnavailable) as error:
        return [
            Warning(
                f"Telegram cannot be reached at TELEGRAM_API_URL ({type(error).__name__}).",
                hint="Check the network and HTTPS_PROXY; the bot keeps trying.",
                id="config.W004",
            )
        ]
    return []


@register("services", deploy=True)
def webhook_is_set(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Telegram delivers updates to the webhook: https, with the secret, set, and without errors."""
    own = webhook.problems_in_english(None)
    if own or not settings.TELEGRAM_BOT_TOKEN:
        return [Error(f"{one.text}.", id="config.E007") for one in own] or [
            Info("Without TELEGRAM_BOT_TOKEN.", id=NOT_CHECKED)
        ]
    try:
        state = webhook.ask()
    except (ApiException, TelegramUnavailable, TypeError, ValueError) as error:
        return [Warning(f"Telegram does not say how the webhook is ({type(error).__name__}).", id="config.W007")]
    problems: list[CheckMessage] = [
        Error(f"{one.text}.", id="config.E008") for one in webhook.problems_in_english(state)
    ]
    if not (problems or settings.TELEGRAM_WEBHOOK_URL):
        return [Info("TELEGRAM_WEBHOOK_URL is unset: the bot polls, and no webhook is in its way.", id=NOT_CHECKED)]
    return problems


@register("services", deploy=True)
def operator_can_be_told(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Alerts can be sent to OPERATOR_CHAT_ID."""
    if not settings.OPERATOR_CHAT_ID:
        return [Info("OPERATOR_CHAT_ID is unset: no alerts are sent.", id=NOT_CHECKED)]
    if not settings.TELEGRAM_BOT_TOKEN:
        return [Info("Without TELEGRAM_BOT_TOKEN.", id=NOT_CHECKED)]
    try:
        with max_retry_wait(0):
            bot.send_chat_action(settings.OPERATOR_CHAT_ID, "typing")  # all that can be sent without a message
    except ApiTelegramException as error:
        if error.error_code in (400, 403):
            hint = "Set it to a chat that the bot is in; in a private chat, unblock the bot and send it /start."
            return [Error(f"No alerts reach OPERATOR_CHAT_ID: {error.description}.", hint=hint, id="config.E010")]
        return [Warning(f"Telegram answers sendChatAction with: {error.description}.", id="config.W009")]
    except (ApiException, TelegramUnavailable) as error:
        why = f"Telegram does not say whether alerts reach OPERATOR_CHAT_ID ({type(error).__name__})."
        return [Warning(why, id="config.W009")]
    return []


@register("services", deploy=True)
def inline_mode_is_on(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Inline mode is on: films can be sent in any chat."""
    if not settings.TELEGRAM_BOT_TOKEN:
        return [Info("Without TELEGRAM_BOT_TOKEN.", id=NOT_CHECKED)]
    try:
        with max_retry_wait(0):
            me = apihelper.get_me(settings.TELEGRAM_BOT_TOKEN)
    except (ApiException, TelegramUnavailable) as error:
        return [Warning(f"Telegram does not say whether inline mode is on ({type(error).__name__}).", id="config.W008")]
    if me.get("supports_inline_queries"):
        return []
    hint = "Send @BotFather /setinline, choose the bot and type what the field shows, e.g. a film."
    return [Error("Inline mode is off: nobody can send a film in another chat.", hint=hint, id="config.E009")]


@register("services", deploy=True)
def redis_answers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Redis answers."""
    if not settings.REDIS_URL:
        return [Info("REDIS_URL is unset: the database serves in its place.", id=NOT_CHECKED)]
    try:
        from config.database import redis_client

        redis_client().ping()
    except Exception as error:
        hint = "Start Redis, correct REDIS_URL, or unset it: then the database serves in its place."
        return [Error(f"Redis does not answer at REDIS_URL: {format_error(error)}.", hint=hint, id="config.E004")]
    return []
