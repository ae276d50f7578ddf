"""What is missing or wrong in the settings, told at start-up; and, by check_services, what the services say."""

from django.conf import settings
from django.core.checks import Error, Warning, register
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from telebot.apihelper import ApiException, ApiTelegramException

from config.bot.client import TelegramUnavailable, max_retry_wait
from config.bot.router import bot
from config.monitoring.logs import in_one_line


@register()
def settings_are_whole(app_configs, **kwargs):
    """The settings fit together."""
    problems = []
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
    if settings.TELEGRAM_WEBHOOK_URL and not settings.TELEGRAM_WEBHOOK_SECRET:
        problems.append(
            Error(
                "TELEGRAM_WEBHOOK_URL is set without TELEGRAM_WEBHOOK_SECRET: anybody could send updates.",
                hint="Set TELEGRAM_WEBHOOK_SECRET to 1-256 letters, digits, _ and -.",
                id="config.E001",
            )
        )
    return problems


@register("services", deploy=True)
def database_answers(app_configs, **kwargs):
    """The database answers, and has all its tables."""
    try:
        executor = MigrationExecutor(connection)
        behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        hint = "Start it, correct DATABASE_URL, or unset it: then SQLite serves in its place."
        why = f"The database does not answer at DATABASE_URL: {in_one_line(error)}."
        return [Error(why, hint=hint, id="config.E005")]
    if behind:
        hint = "Run manage.py migrate, while nothing else runs."
        return [Error("The tables of the database are not those of this version.", hint=hint, id="config.E006")]
    return []


@register("services", deploy=True)
def telegram_knows_the_bot(app_configs, **kwargs):
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
def redis_answers(app_configs, **kwargs):
    """Redis answers, or is not needed."""
    if not settings.REDIS_URL:
        return []
    try:
        from config.jobs.rate_limiter import redis_client

        redis_client().ping()
    except Exception as error:
        hint = "Start Redis, correct REDIS_URL, or unset it: then the database serves in its place."
        return [Error(f"Redis does not answer at REDIS_URL: {in_one_line(error)}.", hint=hint, id="config.E004")]
    return []
