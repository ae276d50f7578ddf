from __future__ import annotations

import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Sum

from config.progress import Progress
from movies.details import KEY_REFUSED
from ratings.models import Import
from ratings.tmdb_sync.engine import import_queued
from ratings.tmdb_sync.user_import import begin
from users.models import SyncStatus, User

if TYPE_CHECKING:
    from types import FrameType

    from django.core.management.base import CommandParser

RUN_SECONDS = 60  # of import between two checks of who is done


class Command(BaseCommand):
    help = "Import ratings from TMDb, in the foreground: of one user, of all, or of those who are queued."

    def add_arguments(self, parser: CommandParser) -> None:
        who = parser.add_mutually_exclusive_group()
        who.add_argument("--user", type=int, metavar="ID", help="the user with this Telegram id")
        who.add_argument("--all", action="store_true", help="all users with a linked TMDb account")

    def handle(self, user: int | None = None, all: bool = False, **options: Any) -> None:
        self.stop = threading.Event()
        before = [(number, signal.signal(number, self.interrupt)) for number in (signal.SIGINT, signal.SIGTERM)]
        self.progress = Progress(self.stdout)
        try:
            waited_for = self.queue(user, all)
            self.since = time.monotonic()
            self.work(waited_for)
        finally:
            for number, handler in before:
                signal.signal(number, handler)
        self.report(waited_for)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.stop.is_set():
            sys.exit(130)
        self.stop.set()

    def queue(self, user_id: int | None, all_users: bool) -> list[int]:
        """Queue the users that are asked for. Returns the ids of those to wait for."""
        users = User.objects.connected()
        if user_id is not None:
            users = users.filter(pk=user_id)
            if not users.exists():
                raise CommandError(f"No user with the Telegram id {user_id} has linked a TMDb account.")
        if user_id is not None or all_users:
            for user in users.exclude(sync_status=SyncStatus.QUEUED):
                if User.objects.filter(pk=user.pk).queue_import():
                    begin(user, scheduled=True)  # the user did not ask: only what concerns them is reported
        else:
            users = User.objects.all()  # one without a session fails, with the reason
        waited_for = list(users.awaiting_import().values_list("pk", flat=True))
        Import.objects.running().filter(user__in=waited_for).update(next_try_at=0, last_error="")
        return waited_for

    def work(self, waited_for: list[int]) -> None:
        while not self.stop.is_set():
            left = User.objects.awaiting_import().filter(pk__in=waited_for)
            if not left.exists():
                return
            import_queued(RUN_SECONDS, self.stop, watch=lambda _imports: self.show(waited_for))
            if Import.objects.running().filter(user__in=left, last_error=KEY_REFUSED).exists():
                raise CommandError(f"{KEY_REFUSED}: take the key or token from themoviedb.org/settings/api.")
            self.show(waited_for)
            self.stop.wait(0.2)

    def show(self, waited_for: list[int]) -> None:
        """The present state: a bar on a terminal, now and then a line in a log."""
        runs = Import.objects.running().filter(user__in=waited_for)
        sums = runs.aggregate(*map(Sum, ("total_results", "ratings_done", "movies_total", "movies_done")))
        total, done, movies, asked = (value or 0 for value in sums.values())
        left = runs.count()
        line = f"{len(waited_for) - left}/{len(waited_for)} users · {done}/{total} ratings · {asked}/{movies} movies"
        if runs.exclude(failing_since=None).exists():
            line += " · TMDb does not answer, waiting"
        self.progress.write(line, (done + asked) / max(total + movies, 1))

    def report(self, waited_for: list[int]) -> None:
        """A line for each user; exits with an error if an import failed or is unfinished."""
        if self.stdout.isatty():
            self.stdout.write("")
        failed = left = 0
        for user in User.objects.filter(pk__in=waited_for).order_by("pk"):
            run = user.imports.order_by("-pk").first()
            if user.sync_status == SyncStatus.QUEUED:
                left += 1
            elif user.sync_status == SyncStatus.FAILED:
                failed += 1
                self.stderr.write(self.style.ERROR(f"{user.pk}: failed: {user.sync_error}"))
            elif run:
                self.stdout.write(
                    f"{user.pk}: {user.ratings_count} ratings; {run.added} new, {run.changed} changed, "
                    f"{run.removed} removed, {run.left_out} left out, {run.failed} movies without details"
                )
        if left:
            self.stderr.write(f"Stopped with {left} to go on with: run it again, or let the worker do it.")
            sys.exit(130)
        if failed:
            raise CommandError(f"{failed} of {len(waited_for)} imports failed.")
        self.stdout.write(f"{len(waited_for)} imported in {time.monotonic() - self.since:.0f} s.")
