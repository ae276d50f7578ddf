"""What must hold when the storm is over, each broken rule said precisely."""

import re
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

from django.conf import settings
from django.db.models import F, Q

from config.models import Update
from movies.models import NEVER, Movie, PosterStatus
from ratings.models import Import, PendingWrite, Rating
from users.models import SessionToRevoke, SyncStatus, User

AFTERMATH = 15  # seconds after an upload in which a kill, or a database that is away, may lose what came of it
SHOWN = 5  # cases of a broken rule that are named


def settled(telegram, token):
    """What is still on its way, by kind; empty when all has come to rest."""
    waiting = {
        "updates at Telegram": len(telegram.accounts[token].updates),
        "updates": Update.objects.filter(state__lt=Update.State.HANDLED).count(),
        "people whose import waits": User.objects.filter(sync_status=SyncStatus.QUEUED).count(),
        "imports under way": Import.objects.running().count(),
        "writes to TMDb": PendingWrite.objects.count(),
        "sessions to be ended": SessionToRevoke.objects.count(),
        "posters": Movie.objects.filter(
            Q(poster_status__in=[PosterStatus.WAITING, PosterStatus.LOCAL]), poster_next_try_at__lt=NEVER
        ).count(),
        "files in POSTER_DIR": len(files_left()),
        "outcomes to be told": Import.objects.unreported().count(),
    }
    return {what: number for what, number in waiting.items() if number}


def move_the_clock_on():
    """Let every pause that is being waited out be over: next tries are due now."""
    Movie.objects.filter(poster_next_try_at__gt=time.time() + 70, poster_next_try_at__lt=NEVER).update(
        poster_next_try_at=F("poster_attempts") * 0
    )
    PendingWrite.objects.update(next_try_at=0)
    Import.objects.running().update(next_try_at=0)
    SessionToRevoke.objects.update(next_try_at=0)


def files_left():
    folder = Path(settings.POSTER_DIR)
    return [entry.name for entry in folder.iterdir()] if folder.exists() else []


class Verdict:
    """The broken rules so far."""

    def __init__(self):
        self.broken = []

    def check(self, rule, cases):
        """The rule is broken by these cases, if there are any."""
        cases = list(cases)
        if cases:
            more = f" … and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
            self.broken.append(f"{rule}: {len(cases)}\n    " + "\n    ".join(map(str, cases[:SHOWN])) + more)


def ratings_follow_the_merge_rule(verdict, viewers):
    """Ours and TMDb's are the same; a film rated in the chat has the value that the person was last told."""
    differing, impossible = [], []
    for viewer in viewers:
        rows = {row.movie_id: row for row in Rating.objects.filter(user_id=viewer.person.id)}
        there = {film: Decimal(str(value)) for film, value in viewer.account.ratings.items()}
        linked = User.objects.connected().filter(pk=viewer.person.id).exists()
        if linked:
            for film in rows.keys() | there.keys():
                ours = rows[film].value if film in rows else None
                if ours != there.get(film):
                    differing.append(f"{viewer.person.id} film {film}: {ours} here, {there.get(film)} at TMDb")
        for film in viewer.in_chat:
            ours = rows[film].value if film in rows else None
            if ours not in viewer.possible(film):
                impossible.append(f"{viewer.person.id} film {film}: {ours} here, possible {viewer.possible(film)}")
    verdict.check("ratings here and at TMDb differ", differing)
    verdict.check("a rating is not what the person was told", impossible)


def posters_are_in_the_channel_once(verdict, sandbox, weather, moments):
    """Telegram knows every film's photo; a second one in the channel has a lost answer or a kill to explain it."""
    telegram = sandbox.telegram
    unknown = [
        film.pk for film in Movie.objects.exclude(telegram_file_id="") if film.telegram_file_id not in telegram.files
    ]
    verdict.check("Telegram does not know a film's file_id", unknown)
    times = defaultdict(list)
    for message in telegram.poster_channel.messages.values():
        times[int(message.words.rsplit("\n", 1)[-1])].append(message.date)
    lost = defaultdict(list)
    for mishap in weather.journal:
        if mishap.kind in ("lost", "hang", "5xx") and (found := re.fullmatch(r"film (\d+)", mishap.about)):
            lost[int(found[1])].append(mishap.at)

    ends = [at for at, who in moments if who == "posters" or who.startswith("PostgreSQL")]

    def explained(film, sent):
        """Each photo but one needs something that kept its answer from us."""
        near = sum(any(at - 2 <= end <= at + AFTERMATH for end in ends) for at in sent)
        return len(sent) - 1 <= len(lost[film]) + near

    verdict.check(
        "a poster is in the channel more than once for no reason",
        [f"film {film}: {len(sent)} times" for film, sent in times.items() if not explained(film, sent)],
    )
    aside = Movie.objects.filter(poster_next_try_at=NEVER)
    verdict.check(
        "a poster was set aside though no answer was lost",
        [f"film {film.pk}: {film.poster_error}" for film in aside if film.uploads_unconfirmed < 2],
    )
    return {
        "posters in the channel": sum(map(len, times.values())),
        "of them sent twice, provably": sum(len(sent) - 1 for sent in times.values()),
        "set aside": aside.count(),
        "films with a photo": Movie.objects.exclude(telegram_file_id="").count(),
    }


def every_press_is_answered(verdict, telegram, weather):
    """Or a call that was to answer it went wrong on the way. A process that dies is no excuse: another takes over."""
    spoiled = {mishap.about for mishap in weather.journal if mishap.what == "answerCallbackQuery"}
    silent = [query for query in telegram.callback_queries.values() if query.answer is None]
    verdict.check(
        "a press was not answered, though nothing went wrong with its answer",
        [f"{query.person.id} at {query.at:.0f}: {query.data}" for query in silent if query.id not in spoiled],
    )
    return {"presses": len(telegram.callback_queries), "of them unanswered, provably": len(silent)}
