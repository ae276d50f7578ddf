"""What must never be done, done on purpose: errors whose words and variables hold every secret there is."""

import logging
import sys
import traceback
from contextlib import suppress

from django.conf import settings
from django.db import connection
from django.views.debug import ExceptionReporter


class Spill(Exception):
    pass


def everything():
    """All secrets of this process in one text."""
    from users.models import User

    sessions = [user.session_id for user in User.objects.connected()]
    known = [settings.SECRET_KEY, settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET, settings.METRICS_TOKEN]
    return " | ".join([*known, settings.TMDB_API_KEY, *settings.SESSION_ENCRYPTION_KEYS, settings.REDIS_URL, *sessions])


def job():
    """A job that fails with secrets in its words."""
    raise Spill(f"this job fails: {everything()}")


def view(request):
    """A page that fails with secrets in its words and its variables."""
    spilled = {"all": everything()}
    raise Spill(spilled["all"])


# --- What a service that collects errors would be sent


def report(what, error):
    """Print an error as such services do: the variables of every frame, as their reprs are and as Django shows them."""
    print(f"REPORT {what}: {type(error).__name__}")
    reporter = ExceptionReporter(None, type(error), error, error.__traceback__)
    print(reporter.get_traceback_text(), reporter.get_traceback_html())
    while error:  # and what was raised before it, told or not
        print("".join(traceback.format_exception_only(error)))
        for frame, line in traceback.walk_tb(error.__traceback__):
            print(f"  {frame.f_code.co_qualname}:{line}")
            for name, value in frame.f_locals.items():
                with suppress(Exception):  # a query, for one, asks the database that is away
                    print(f"    {name} = {value!r}")
        error = error.__cause__ or error.__context__


class Collector(logging.Handler):
    """Reports what is logged with an error."""

    def emit(self, record):
        if record.name == "django.template":  # tells of the reports' own pages
            return
        print("LOGGED", self.format(record))
        if record.exc_info:
            report(f"log of {record.name}", record.exc_info[1])


def try_and_report(**attempts):
    for what, attempt in attempts.items():
        try:
            attempt()
        except Exception as error:
            report(what, error)


def report_services(session, token):
    """Call TMDb and Telegram in every way that carries a secret, and report what comes of it."""
    from config.bot import client
    from config.bot.dispatch import handle_update
    from config.bot.replies import keyboard
    from config.bot.router import bot
    from config.monitoring.secret import Secret
    from movies.tmdb import TMDb
    from users.bot import store_request_token
    from users.models import User

    collector = Collector(logging.DEBUG)
    for name in ("", "urllib3", "TeleBot", "django", "django-q"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        if not name or not logger.propagate:
            logger.addHandler(collector)
    session, token, tmdb = Secret(session), Secret(token), TMDb(background=False)
    tmdb.attempts, client.RETRY_DELAYS_SECONDS = 1, ()  # type: ignore[assignment]
    try_and_report(
        movie=lambda: tmdb.movie(603),
        request_token=tmdb.request_token,
        new_session=lambda: tmdb.new_session(token),
        account=lambda: tmdb.account(session),
        rated=lambda: tmdb.rated_movies(1, session),
        rate=lambda: tmdb.rate(603, 8, session),
        end=lambda: tmdb.end_session(session),
        image=lambda: tmdb.image("/x.jpg"),
        get_me=bot.get_me,
        keyboard=lambda: bot.send_message(1, "x", reply_markup=keyboard([("Done", f"approved:{token}")])),
        photo=lambda: bot.send_photo(1, b"x" * 2000),
        file=lambda: client.download("a-file", 100),
        webhook=lambda: bot.set_webhook("https://x", secret_token=settings.TELEGRAM_WEBHOOK_SECRET),
    )
    person = {"id": 7, "is_bot": False, "first_name": "Anna", "language_code": "en"}
    chat = {"id": 7, "type": "private", "first_name": "Anna"}
    message = {"message_id": 1, "date": 1, "chat": chat, "from": person}
    press = {"id": "1", "from": person, "chat_instance": "1", "data": f"approved:{token}", "message": message}
    for text in ("/connect again", "/start tmdb", "/help", "603"):
        handle_update({"update_id": 1, "message": message | {"text": text}})
    store_request_token(User.objects.get_or_create(pk=7)[0], token)
    handle_update({"update_id": 2, "callback_query": press})
    handle_update({"update_id": 3, "message": message | {"text": "/start tmdb"}})
    connection.close()


def report_stores():
    """Ask the database and Redis, and report what comes of it."""
    from django.core.cache import caches
    from django.core.cache.backends.redis import RedisCache
    from django_q.brokers import get_broker

    from config.database import redis_client

    try_and_report(
        database=connection.ensure_connection,
        cache=lambda: RedisCache.get(caches["default"], "x"),  # without what hides its failures
        redis=lambda: redis_client().ping(),
        queue=lambda: get_broker().queue_size(),
    )


def report_commands(*commands):
    """Run these commands of manage.py, and report how each ends."""
    from django.core.management import call_command

    for command in commands:
        with suppress(SystemExit):
            try_and_report(**{command[0]: lambda command=command: call_command(*command)})
    sys.stdout.flush()
