"""The nightly build, in a process of its own: a worker that loaded numpy would keep its memory for good."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from config.jobs.locks import is_locked
from ratings.models import Build, Rating

LEASE = "ratings.recommendations"  # held by the process that builds
NIGHT = 3  # o'clock in TIME_ZONE
TRIES = 3  # builds that were begun and did not end, after which the next night is waited for
COMMAND_LINE, CLOCK = "command line", "clock"  # who asks for builds, beside people of the back office
SECONDS = 3600  # for one build; 10,000,000 ratings take some three minutes


def is_due():
    """Whether nobody has built, or looked whether it is worth while, since the night began."""
    night = timezone.localtime().replace(hour=NIGHT, minute=0, second=0, microsecond=0)
    if timezone.localtime() < night:
        night -= timedelta(days=1)
    since = int(night.timestamp())
    current = Build.objects.current()
    if current is None:
        return Rating.objects.exists() and unfinished(since) < TRIES
    return max(current.started_at, current.checked_at) < since and unfinished(since) < TRIES


def unfinished(since: float) -> int:
    return Build.objects.filter(finished_at=None, started_at__gte=since).count()


def at_work() -> Build | None:
    """The build that a process is at; None where nobody builds: one that has not ended then was killed."""
    return Build.objects.running().order_by("-pk").first() if is_locked(LEASE) else None


def build_apart(stop: threading.Event, asked_by: str = ""):
    """Run build_recommendations as a process; returns its last line. When told to stop, it stops that process too.

    `asked_by`: a name of the back office; it then builds however little has changed. Raises CalledProcessError where
    the build fails: the jobs' page then shows it.
    """
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "build_recommendations"]
    command += [f"--asked-by={asked_by}", "--force"] if asked_by else [f"--asked-by={CLOCK}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603
    said = ""
    try:
        while True:
            try:
                said, _none = process.communicate(timeout=1)
                break
            except subprocess.TimeoutExpired:
                if stop.is_set():
                    process.terminate()
    finally:
        process.kill()
    if process.returncode and not stop.is_set():
        raise subprocess.CalledProcessError(process.returncode, "build_recommendations", said)
    return said.strip().rpartition("\n")[2]
