"""Settings of gunicorn, which reads them by itself; options on its command line take precedence."""

import logging
import os
from typing import IO

from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from config import settings
from config.monitoring.logs import formatter

wsgi_app = "config.wsgi:application"
bind = "127.0.0.1:8000"
worker_class = "gthread"
threads = 16  # of requests; updates are handled by BOT_THREADS of config.bot.engine
keepalive = 75  # seconds; Telegram and proxies reuse a connection
graceful_timeout = 30  # seconds that SIGTERM leaves to requests and, within them, to updates in progress
FINISH_SECONDS = 15  # for the latter
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 the heartbeat's file, never on a disk
control_socket_disable = True
logconfig_dict = settings.LOGGING
logging.captureWarnings(settings.LOG_FORMAT == "json")  # or they would be lines that are no JSON


class logger_class(Logger):
    """Gunicorn's logger with our format, and without the access log, which it would format and then discard."""

    def _set_handler(
        self, log: logging.Logger, output: str | None, fmt: logging.Formatter, stream: IO[str] | None = None
    ) -> None:
        super()._set_handler(log, output, formatter(settings.LOG_FORMAT), stream)

    access_log_enabled = property(lambda self: False)


def post_worker_init(worker: Worker) -> None:
    """Have each worker handle what waits as soon as it is there, not only from its first delivery on."""
    if settings.TELEGRAM_WEBHOOK_URL:
        from config.bot.engine import engine

        engine()


def worker_exit(server: Arbiter, worker: Worker) -> None:
    """Finish the updates that this worker handles."""
    from config.bot.engine import stop_engine

    stop_engine(FINISH_SECONDS)
