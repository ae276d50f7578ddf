"""When training runs, and the process it runs in: a worker that loaded numpy would retain its memory for good."""

import subprocess
import sys
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from config.jobs.enqueue import StopEvent
from config.jobs.locks import is_locked
from ratings.models import Rating, TrainingRun

LOCK_NAME = "ratings.recommendations"  # held by the process that trains
NIGHT_HOUR = 3  # in TIME_ZONE
MAX_UNFINISHED_RUNS = 3  # since the night began, after which training waits for the next night
TRIGGERED_BY_COMMAND, TRIGGERED_BY_SCHEDULE = "command line", "clock"  # TrainingRun.triggered_by, other than staff
TIMEOUT_SECONDS = 3600  # for one run; 10,000,000 ratings take some three minutes


def is_due() -> bool:
    """Whether no run was finished, or skipped as not worth while, since the night began."""
    clock = timezone.localtime()
    night = clock.replace(hour=NIGHT_HOUR, minute=0, second=0, microsecond=0)
    if clock < night:
        night -= timedelta(days=1)
    since, now = int(night.timestamp()), int(clock.timestamp())
    if TrainingRun.objects.filter(finished_at=None, started_at__range=(since, now)).count() >= MAX_UNFINISHED_RUNS:
        return False
    current = TrainingRun.objects.current()
    if current is None:
        return Rating.objects.exists()
    return not since <= max(current.started_at, current.checked_at) <= now


def active_run() -> TrainingRun | None:
    """The run that is in progress; None where no process holds the lock: an unfinished run was killed then."""
    return TrainingRun.objects.running().order_by("-pk").first() if is_locked(LOCK_NAME) else None


def train_in_subprocess(stop: StopEvent, triggered_by: str = "") -> str:
    """Run build_recommendations as a process and return its last line; once `stop` is set, terminate it.

    `triggered_by`: name of a member of staff; it then trains however little has changed. Raises CalledProcessError
    where the process fails, so that the queue records the job as failed.
    """
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "build_recommendations"]
    command += [f"--asked-by={triggered_by}", "--force"] if triggered_by else [f"--asked-by={TRIGGERED_BY_SCHEDULE}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603
    output = ""
    try:
        while True:
            try:
                output, _no_stderr = process.communicate(timeout=1)
                break
            except subprocess.TimeoutExpired:
                if stop.is_set():
                    process.terminate()
    finally:
        process.kill()
    if process.returncode and not stop.is_set():
        raise subprocess.CalledProcessError(process.returncode, "build_recommendations", output)
    return output.strip().rpartition("\n")[2]
