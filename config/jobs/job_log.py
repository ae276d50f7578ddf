"""A line of the log for each finished job, written by the worker that did it, with the id of what it began with."""

import logging
import time
from typing import Any

from config.monitoring.logs import redact

log = logging.getLogger(__name__)

_began_at = 0.0  # time.monotonic() of this worker's job: it does one after another


def job_begins() -> None:
    global _began_at
    _began_at = time.monotonic()


def job_ended(task: dict[str, Any]) -> None:
    """Log what became of a job; `task` is django-q2's dictionary, its result a traceback where it failed."""
    if task.get("sync") or "success" not in task:
        return
    func = task["func"]
    name = func if isinstance(func, str) else f"{func.__module__}.{func.__qualname__}"
    seconds = round(time.monotonic() - _began_at, 3)
    result = redact(str(task["result"])).strip()
    fields = {"job": name, "duration": seconds, "outcome": "done" if task["success"] else "failed"}
    if task["success"]:
        log.info("job %s: %s in %.1f s", name, result or "done", seconds, extra={"fields": fields | {"result": result}})
    else:
        log.error("job %s failed after %.1f s: %s", name, seconds, result, extra={"fields": fields})


class NoRepetition(logging.Filter):
    """Leaves out what django-q2's monitor, which knows no id, says of a failed job: the worker has said it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.funcName != "monitor" or record.levelno < logging.ERROR
