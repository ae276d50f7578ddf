from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.progress import Progress, stop_on_signals
from users import key_rotation


class Command(BaseCommand):
    help = (
        "Encrypt all stored TMDb sessions with the first of SESSION_ENCRYPTION_KEYS, while everything runs; says "
        "whether the older keys may go. What cannot be decrypted stays as it is."
    )

    def handle(self, **options: Any) -> None:
        progress = Progress(self.stdout, key_rotation.count())
        run = key_rotation.Run(stop_on_signals(), report=lambda run: progress.show(run.checked))
        key_rotation.rotate(run)
        if run.checked:
            progress.show(run.checked, last=True)
        self.stdout.write(
            f"Stored sessions: {run.rotated} re-encrypted, {run.current} of {run.checked} under the first key."
        )
        if queued := key_rotation.requeue_failed_imports():
            self.stdout.write(f"{queued} imports that had failed for want of a key are queued again.")
        if run.unreadable:
            raise CommandError(
                f"{run.unreadable} of {run.checked} stored sessions cannot be decrypted and were left as they are: "
                "put the key they were encrypted with (or the SECRET_KEY of then) back into SESSION_ENCRYPTION_KEYS, "
                "after the first, and run this again."
            )
        if run.stop.is_set():
            raise CommandError("Stopped before the end: run this again.")
        if not run.finished:
            raise CommandError(
                "Sessions are still being written under another key: start every process again with the same "
                "SESSION_ENCRYPTION_KEYS, then run this again."
            )
        self.stdout.write("The keys after the first are needed no more.")
