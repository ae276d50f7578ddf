from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand
from django.db import OperationalError, connection

from config.monitoring.logs import format_error

PAUSE = 2  # seconds between two tries
SPEAK = 30  # seconds between two lines about it


class Command(BaseCommand):
    help = "End as soon as the database answers, however long that takes; `migrate` after it would give up at once."
    requires_system_checks = []

    def handle(self, **options: Any) -> None:
        spoken = None
        while True:
            try:
                connection.ensure_connection()
                return
            except OperationalError as error:
                if spoken is None or time.monotonic() > spoken + SPEAK:
                    spoken = time.monotonic()
                    self.stderr.write(f"The database at DATABASE_URL is waited for: {format_error(error)}.")
                time.sleep(PAUSE)
