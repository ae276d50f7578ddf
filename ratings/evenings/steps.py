"""The steps of a group's evening, each a conditional update of its row; what Telegram is told is in `messages`.

    GATHERING   people press "I'm in"; the asker starts (`start`) or cancels
    VOTING      the poll is being sent (no `poll_message_id` yet) or stands in the group until it is stopped
    CLOSED      the votes are counted; the winner is still to be shown
    SHOWN       the next day those who were in are asked for a rating
    DONE, CANCELLED   deleted after a month

A step that speaks to Telegram claims the row first: it counts the attempt and moves the next try into the future, so
that a dead worker's claim expires by itself and the job goes on (`run`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from datetime import time as time_of_day
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet

from config.moments import ahead
from movies.catalogue import get_local_movie
from movies.models import Movie
from ratings.evenings.models import Evening, EveningGuest
from ratings.recommendations.group import recommend_together
from ratings.recommendations.recommender import Filters
from users import countries
from users.models import User

OPTIONS = 6  # films of the poll
MIN_OPTIONS = 2
MIN_GUESTS = 2
MAX_GUESTS = 30  # whose tastes count; more press as well, and are asked for a rating
VOTING_SECONDS = 3 * 3600
GATHERING_SECONDS = 12 * 3600  # after which what nobody has started is cancelled
CLAIM_TTL_SECONDS = 60  # longer than any call to Telegram
MAX_ATTEMPTS = 5  # at a step, before it is given up
ASK_TIME = time_of_day(12)  # of the next day
DAY_SECONDS = 86_400
KEEP_SECONDS = 30 * DAY_SECONDS

State = Evening.State


class TooFewGuests(Exception):
    """Fewer than MIN_GUESTS are in."""


class TooFewFilms(Exception):
    """No choice is left of what nobody has seen and the filters allow."""


def close_soon(evening: Evening) -> None:
    """The asker ends the poll: where Telegram does not answer, the job does."""
    standing = Evening.objects.filter(pk=evening.pk, state=State.VOTING, poll_message_id__isnull=False)
    standing.update(closes_at=int(time.time()))


def begin(chat_id: int, thread_id: int | None, asker: User) -> tuple[Evening, bool]:
    """(The open evening of the group or topic, whether it is a new one)."""
    row = Evening(
        chat_id=chat_id, thread_id=thread_id, asker=asker, language=asker.language, created_at=int(time.time())
    )
    try:
        with transaction.atomic():
            row.save()
        return row, True
    except IntegrityError:
        found = Evening.objects.filter(chat_id=chat_id, thread_id=thread_id, state__in=Evening.OPEN).first()
        if found is None:  # it has been closed at this moment
            return begin(chat_id, thread_id, asker)
        return found, False


def join(evening: Evening, user: User) -> bool:
    """The person is in; whether they were not before."""
    _guest, created = EveningGuest.objects.get_or_create(evening=evening, user=user)
    return created


def leave(evening: Evening, user_id: int) -> bool:
    return bool(EveningGuest.objects.filter(evening=evening, user_id=user_id).delete()[0])


def guests_of(evening: Evening) -> QuerySet[User]:
    """Who is in, in the order of their presses."""
    return User.objects.filter(evenings__evening=evening).order_by("evenings__pk")


def choose_films(evening: Evening) -> list[int]:
    """The films of the poll, of the best those whose posters can be shown. Raises TooFewGuests, TooFewFilms."""
    guests = list(guests_of(evening).values_list("pk", flat=True)[:MAX_GUESTS])
    if len(guests) < MIN_GUESTS:
        raise TooFewGuests
    films = recommend_together(guests, 2 * OPTIONS, Filters.from_json(evening.filters))
    if len(films) < MIN_OPTIONS:
        raise TooFewFilms
    with_poster = set(Movie.objects.filter(pk__in=films, telegram_file_id__gt="").values_list("pk", flat=True))
    return sorted(films, key=lambda movie_id: movie_id not in with_poster)[:OPTIONS]


def start(evening: Evening, films: Sequence[int]) -> bool:
    """Close the list of guests and claim the sending of the poll; False: another press was first."""
    now = int(time.time())
    gathering = Evening.objects.filter(pk=evening.pk, state=State.GATHERING)
    values = {"state": State.VOTING, "films": list(films), "closes_at": now + VOTING_SECONDS}
    return bool(gathering.update(**values, attempts=1, next_try_at=now + CLAIM_TTL_SECONDS))


def gather_again(evening: Evening) -> None:
    """Telegram refuses the poll for good: the asker may start once more."""
    sending = Evening.objects.filter(pk=evening.pk, state=State.VOTING, poll_message_id=None)
    sending.update(state=State.GATHERING, attempts=0, next_try_at=0)


def poll_sent(evening: Evening, poll_id: str, message_id: int) -> None:
    sent = {"poll_id": poll_id[:64], "poll_message_id": message_id, "closes_at": int(time.time()) + VOTING_SECONDS}
    Evening.objects.filter(pk=evening.pk, state=State.VOTING).update(**sent, attempts=0, next_try_at=0)


def cancel(evening: Evening) -> bool:
    """False where it is over already."""
    return bool(Evening.objects.filter(pk=evening.pk, state__in=Evening.OPEN).update(state=State.CANCELLED))


def count_votes(evening: Evening, options: Sequence[Mapping[str, Any]]) -> None:
    """How the poll stands, by its options as Telegram tells them."""
    counts = [int(option.get("voter_count") or 0) for option in options[: len(evening.films)]]
    if Evening.objects.filter(pk=evening.pk, state=State.VOTING).update(counts=counts):
        evening.counts = counts


def close(evening: Evening) -> bool:
    """The poll has ended as it was last seen; False where that is known already.

    Of films with equally many votes the one that suits the group better wins, which stands first.
    """
    most = max(evening.counts, default=0)
    winner = evening.films[evening.counts.index(most) if evening.counts else 0]
    values = {"winner_id": winner, "votes": most, "ask_at": next_noon(evening)}
    voting = Evening.objects.filter(pk=evening.pk, state=State.VOTING)
    return bool(voting.update(**values, state=State.CLOSED, attempts=0, next_try_at=0))


def next_noon(evening: Evening) -> int:
    """UNIX seconds of the next day's noon where the asker probably lives."""
    home = evening.asker.home if evening.asker else countries.BY_LANGUAGE.get(evening.language, countries.DEFAULT)
    here = countries.local_time(home, time.time())
    return int(datetime.combine(here.date() + timedelta(days=1), ASK_TIME, here.tzinfo).timestamp())


def due(state: State) -> QuerySet[Evening]:
    """Rows in this state that nobody is at."""
    return Evening.objects.filter(state=state).exclude(ahead("next_try_at", CLAIM_TTL_SECONDS)).order_by("pk")


def claim(evening: Evening, state: State) -> Evening | None:
    """The row as it is now, where it is in this state and nobody else is at it."""
    claimed = due(state).filter(pk=evening.pk).order_by()
    if not claimed.update(attempts=F("attempts") + 1, next_try_at=int(time.time()) + CLAIM_TTL_SECONDS):
        return None
    return Evening.objects.select_related("asker").get(pk=evening.pk)


def advance(evening: Evening, state: State) -> None:
    """A claimed step is done."""
    changed = Evening.objects.filter(pk=evening.pk, attempts=evening.attempts, state=evening.state)
    changed.update(state=state, attempts=0, next_try_at=0)


def winner_of(evening: Evening, user_id: int | None = None) -> Movie | None:
    return get_local_movie(evening.winner_id, user_id) if evening.winner_id else None


def expired() -> QuerySet[Evening]:
    """What nobody has started."""
    return Evening.objects.filter(state=State.GATHERING, created_at__lt=int(time.time()) - GATHERING_SECONDS)


def unsent_polls() -> QuerySet[Evening]:
    return due(State.VOTING).filter(poll_message_id=None)


def over() -> QuerySet[Evening]:
    """Polls whose time is over."""
    standing = due(State.VOTING).filter(poll_message_id__isnull=False)
    return standing.exclude(ahead("closes_at", VOTING_SECONDS))


def to_ask() -> QuerySet[Evening]:
    """Evenings of the day before."""
    return due(State.SHOWN).exclude(ahead("ask_at", 2 * DAY_SECONDS))


def delete_old() -> int:
    """Delete evenings of a month ago; returns how many."""
    return Evening.objects.filter(created_at__lt=int(time.time()) - KEEP_SECONDS).delete()[0]
