"""Updates that failed, kept for the admin: by handler and error, with the traceback and without whose they were."""

import logging
import time
import traceback
from pathlib import Path
from types import FrameType

from django.conf import settings
from django.db import DatabaseError

from config.models import UpdateFailure
from config.monitoring.logs import current_correlation_id, format_error, redact

log = logging.getLogger(__name__)

DISPATCH = ("config.bot.dispatch", "telebot")  # modules before the handler
MAX_TRACEBACK_LENGTH = 20_000


def record(error: BaseException) -> None:
    """Keep an error, under the code that its log line has too; a database that is away loses it."""
    lines = traceback.format_exception(error)
    try:
        UpdateFailure.objects.create(
            code=current_correlation_id()[:40],
            handler=handler_of(error)[:150],
            error=redact(format_error(error))[:300],
            traceback=redact("".join(lines))[-MAX_TRACEBACK_LENGTH:],
            failed_at=int(time.time()),
        )
    except DatabaseError as problem:
        log.warning("a failed update could not be kept: %s", problem)


def handler_of(error: BaseException) -> str:
    """The first function of ours that the dispatcher called, as module.function; '' where there is none."""
    trace = error.__traceback__
    while trace is not None:
        frame: FrameType = trace.tb_frame
        module = str(frame.f_globals.get("__name__", ""))
        is_ours = Path(frame.f_code.co_filename).is_relative_to(settings.BASE_DIR)
        if is_ours and not module.startswith(DISPATCH) and ".venv" not in frame.f_code.co_filename:
            return f"{module}.{frame.f_code.co_name}"
        trace = trace.tb_next
    return ""
