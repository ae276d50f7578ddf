"""Settings of gunicorn, which reads them by itself; options on its command line take precedence."""

import logging
import os
from typing import IO

from gunicorn.glogging import Logger

from config import settings
from config.monitoring.logs import formatter

wsgi_app = "config.wsgi:application"
bind = "127.0.0.1:8000"
worker_class = "gthread"
threads = settings.BOT_THREADS + 8  # an admin or a health check gets a thread even while updates have all theirs
keepalive = 75  # seconds; Telegram and proxies reuse a connection
graceful_timeout = 30  # seconds that SIGTERM leaves to updates in progress
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
