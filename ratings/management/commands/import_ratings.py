from __future__ import annotations

import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Sum

from config.progress import Progress
from ratings.models import Import
from ratings.tmdb_sync.engine import KEY_REFUSED, begin, import_queued
from users.models import SyncStatus, User

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

SLICE = 60  # seconds of work between two looks at who is done


class Command(BaseCommand):
    help = "Import ratings from TMDb, in the foreground: of one person, of all, or of those who are queued."

    def add_arguments(self, parser: CommandParser) -> None:
        who = parser.add_mutually_exclusive_group()
        who.add_argument("--user", type=int, metavar="ID", help="the person with this Telegram id")
        who.add_argument("--all", action="store_true", help="everybody with a linked TMDb account")

    def handle(self, user: User | None = None, all: bool = False, **options: Any) -> None:
        self.stop = threading.Event()
        before = [(sign, signal.signal(sign, self.interrupt)) for sign in (signal.SIGINT, signal.SIGTERM)]
        self.progress = Progress(self.stdout)
        try:
            waited_for = self.queue(user, all)
            self.since = time.time()
            self.work(waited_for)
        finally:
            for sign, handler in before:
                signal.signal(sign, handler)
        self.report(waited_for)

    def interrupt(self, sign: int, frame) -> None:
        if self.stop.is_set():
            sys.exit(130)
        self.stop.set()

    def queue(self, user_id: int, everybody):
        """Queue who is asked for. Returns the ids of those to wait for."""
        people = User.objects.connected()
        if user_id is not None:
            people = people.filter(pk=user_id)
            if not people.exists():
                raise CommandError(f"Nobody with the Telegram id {user_id} has linked a TMDb account.")
        if user_id is not None or everybody:
            for user in people.exclude(sync_status=SyncStatus.QUEUED):
                if User.objects.filter(pk=user.pk).queue_import():
                    begin(user, scheduled=True)  # the person did not ask: they hear only of what concerns them
        waited_for = list(people.awaiting_import().values_list("pk", flat=True))
        Import.objects.running().filter(user__in=waited_for).update(next_try_at=0, trouble="")
        return waited_for

    def work(self, waited_for) -> None:
        while not self.stop.is_set():
            left = User.objects.awaiting_import().filter(pk__in=waited_for)
            if not left.exists():
                return
            import_queued(SLICE, self.stop, watch=lambda people: self.show(waited_for))
            if Import.objects.running().filter(user__in=left, trouble=KEY_REFUSED).exists():
                raise CommandError(f"{KEY_REFUSED}: take the key or token from themoviedb.org/settings/api.")
            self.show(waited_for)
            self.stop.wait(0.2)

    def show(self, waited_for) -> None:
        """The present state: a bar on a terminal, now and then a line in a log."""
        runs = Import.objects.running().filter(user__in=waited_for)
        sums = runs.aggregate(*map(Sum, ("total_results", "ratings_done", "films_total", "films_done")))
        total, done, films, asked = (value or 0 for value in sums.values())
        left = runs.count()
        line = f"{len(waited_for) - left}/{len(waited_for)} people · {done}/{total} ratings · {asked}/{films} films"
        if runs.exclude(trouble_since=None).exists():
            line += " · TMDb does not answer, waiting"
        self.progress.write(line, (done + asked) / max(total + films, 1))

    def report(self, waited_for) -> None:
        """A line for each person; an error if somebody's import failed or was left."""
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
                    f"{run.removed} removed, {run.left_out} left out, {run.failed} films without details"
                )
        if left:
            self.stderr.write(f"Stopped with {left} to go on with: run it again, or let the worker do it.")
            sys.exit(130)
        if failed:
            raise CommandError(f"{failed} of {len(waited_for)} imports failed.")
        self.stdout.write(f"{len(waited_for)} imported in {time.time() - self.since:.0f} s.")
