import time
from typing import Any

from django.core.management.base import BaseCommand
from django.db import OperationalError, connection

from config.monitoring.logs import format_error

RETRY_DELAY_SECONDS = 2
LOG_INTERVAL_SECONDS = 30


class Command(BaseCommand):
    help = "End as soon as the database answers, however long that takes; `migrate` after it would give up at once."
    requires_system_checks = []

    def handle(self, **options: Any) -> None:
        logged_at: float | None = None
        while True:
            try:
                connection.ensure_connection()
                return
            except OperationalError as error:
                if logged_at is None or time.monotonic() > logged_at + LOG_INTERVAL_SECONDS:
                    logged_at = time.monotonic()
                    self.stderr.write(f"The database at DATABASE_URL is waited for: {format_error(error)}.")
                time.sleep(RETRY_DELAY_SECONDS)
