"""The job that goes on with evenings: what is due, what a dead worker has left, and the question of the next day."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.db.models import QuerySet
from django.utils import translation
from telebot.apihelper import ApiException

from config.bot.client import TelegramUnavailable, max_retry_wait
from config.bot.replies import is_transient, is_unreachable
from config.jobs.enqueue import StopEvent
from ratings.evenings import messages, steps
from ratings.evenings.models import Evening, EveningGuest

log = logging.getLogger(__name__)

State = Evening.State
MAX_RETRY_WAIT_SECONDS = 5.0  # of a call to Telegram within a job; what takes longer is done by the next


def send_poll(evening: Evening) -> None:
    """Send the poll that was claimed when the evening was started. Raises ApiException, TelegramUnavailable."""
    messages.send_poll(evening)
    show(evening)


def close(evening: Evening) -> None:
    """Stop the poll and show the winner; harmless where that has been done."""
    if evening.poll_message_id is None:
        return
    messages.stop_poll(evening)
    closed(evening)


def closed(evening: Evening) -> None:
    """The poll has ended: show the winner, unless another has seen that first."""
    if steps.close(evening) and (claimed := steps.claim(evening, State.CLOSED)):
        announce(claimed)


def announce(evening: Evening) -> None:
    """Show the winner of a claimed evening."""
    try:
        messages.announce(evening)
    except TelegramUnavailable as error:
        if not error.sent:
            raise
        log.info("evening %s: it is not known whether the winner was shown", evening.pk)  # never twice
    steps.advance(evening, State.SHOWN)


def ask(evening: Evening) -> None:
    """Ask those who were in for a rating, each once; in the group those to whom the bot may not write."""
    unreached = []
    for guest in EveningGuest.objects.filter(evening=evening, asked_at=None).select_related("user").order_by("pk"):
        guests = EveningGuest.objects.filter(pk=guest.pk)
        if not guests.filter(asked_at=None).update(asked_at=int(time.time())):
            continue
        try:
            if not messages.ask(evening, guest):
                guests.update(asked_at=None)  # until the group has been asked
                unreached.append(guest)
        except (ApiException, TelegramUnavailable) as error:
            if not (isinstance(error, TelegramUnavailable) and error.sent):
                guests.update(asked_at=None)
            log.info("evening %s: a guest could not be asked: %s", evening.pk, type(error).__name__)
            raise
    if unreached:
        messages.ask_in_group(evening, [guest.user for guest in unreached])
        EveningGuest.objects.filter(pk__in=[guest.pk for guest in unreached]).update(asked_at=int(time.time()))
    steps.advance(evening, State.DONE)


def show(evening: Evening) -> None:
    """Have the invitation show how it stands."""
    found = Evening.objects.select_related("asker").filter(pk=evening.pk).first()
    if found:
        with translation.override(found.language):
            messages.show_invitation(found)


def cancel(evening: Evening) -> None:
    if steps.cancel(evening):
        show(evening)


def run(stop: StopEvent, seconds: float) -> int:
    """Go on with all that is due; returns how many steps were taken."""
    deadline, done = time.monotonic() + seconds, 0
    steps.delete_old()

    def claimed(state: State, action: Callable[[Evening], None]) -> Callable[[Evening], None]:
        def act(evening: Evening) -> None:
            if found := steps.claim(evening, state):
                action(found)

        return act

    work: list[tuple[QuerySet[Evening], Callable[[Evening], None]]] = [
        (steps.expired(), cancel),
        (Evening.objects.filter(is_stale=True), show),
        (steps.unsent_polls(), claimed(State.VOTING, send_poll)),
        (steps.over(), close),
        (steps.due(State.CLOSED), claimed(State.CLOSED, announce)),
        (steps.to_ask(), claimed(State.SHOWN, ask)),
    ]
    for rows, action in work:
        for evening in rows[:100]:
            if stop.is_set() or time.monotonic() > deadline:
                return done
            done += _step(evening, action)
    return done


def _step(evening: Evening, action: Callable[[Evening], None]) -> int:
    """One bad row stops no other; what cannot succeed any more is cancelled."""
    try:
        with max_retry_wait(MAX_RETRY_WAIT_SECONDS):
            action(evening)
    except (ApiException, TelegramUnavailable) as error:
        log.warning("evening %s: %s", evening.pk, error)
        if is_transient(error):
            Evening.objects.filter(pk=evening.pk).update(attempts=evening.attempts)  # as before the claim
        elif is_unreachable(error) or evening.attempts + 1 >= steps.MAX_ATTEMPTS:
            Evening.objects.filter(pk=evening.pk).update(state=State.CANCELLED, is_stale=False)
        return 0
    return 1
