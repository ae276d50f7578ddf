"""Reading the watchlist of one account, page by page, as a part of its import.

The pages are read as those of the ratings are (ratings.tmdb_sync.reader), and with the same care: only what two
complete readings have not found is taken off. An import goes on without a watchlist that TMDb will not give.
"""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING

from movies.tmdb import TMDbError
from ratings.models import Import, Rating, WatchlistEntry, WatchlistWrite
from ratings.tmdb_sync.pages import Page
from ratings.tmdb_sync.reader import NEWEST, PAGE_SIZE, AccountReader
from ratings.tmdb_sync.removal import Past, judge, past_of
from ratings.watchlist.entries import queue_additions
from ratings.watchlist.merge import merge_page, not_at_tmdb, remove_gone

if TYPE_CHECKING:
    from django.db.models.query import QuerySet

    from users.models import User


class WatchlistReading:
    """How far the watchlist has been read: plain data in Import.watchlist, with what came of it."""

    def __init__(self, run: Import) -> None:
        self.run = run
        self.reader = AccountReader(run.watchlist.setdefault("reader", {}))

    @property
    def is_read(self) -> bool:
        return bool(self.run.watchlist.get("read"))

    @property
    def pass_id(self) -> int:
        return self.run.pk * 10 + int(self.reader.state["pass"])

    def begin_again(self) -> None:
        """Read the whole list, though the newest page may have been enough."""
        self.run.watchlist.update(read=False, whole=True)

    def pages_to_read(self) -> list[tuple[int | str, int]]:
        """(the request's key, the page) of what may be asked for now; see AccountReader on negative pages."""
        if self.is_read:
            return []
        if self.run.incremental and not self.run.watchlist.get("whole"):
            return [(NEWEST, -1)]
        return [(number, number) for number in self.reader.pages_to_read()]

    def take(self, user: User, key: int | str, answer: object) -> None:
        """Save a page, or a TMDbError in its place. The caller holds the lock of the user's row."""
        if isinstance(answer, Page):
            if isinstance(key, int):
                self._take_page(key, answer)
            elif self._is_as_before(answer):
                self._end(user, answer.total)
            else:
                self.begin_again()
        elif isinstance(key, int) and self.reader.state["total_pages"] is not None:
            self.reader.give_up_page(key)
        else:  # not even the first page came
            self.run.watchlist["error"] = str(answer)[:200] if isinstance(answer, TMDbError) else "no page"
            self._end(user, None)
        if not self.is_read and isinstance(key, int):
            self._finish_pass(user)

    def _take_page(self, number: int, page: Page) -> None:
        # on a page of created_at.desc the newest movie comes first
        places = count((number - 1) * PAGE_SIZE) if number > 0 else count(page.total + (number + 1) * PAGE_SIZE - 1, -1)
        for movie_id in merge_page(self.run, page, places, self.pass_id):
            if movie_id not in self.reader.state["skipped"]:
                self.reader.state["skipped"].append(movie_id)
        self.reader.record_page(number, page)

    def _finish_pass(self, user: User) -> None:
        reader = self.reader
        if not reader.is_finished():
            return
        at_tmdb = self._known_at_tmdb()
        found = at_tmdb.filter(seen_in_pass=self.pass_id).count()
        missing = set(at_tmdb.exclude(seen_in_pass=self.pass_id).values_list("movie_id", flat=True))
        verdict = judge(reader, found, missing, self._past() if missing else Past(0, None, False), int(time.time()))
        remove_gone(self.run, verdict.gone)
        if verdict.read_again:
            reader.start()
        else:
            self._end(user, reader.state["total_results"])

    def _end(self, user: User, total: int | None) -> None:
        self.run.watchlist.update(read=True, total=total)
        queue_additions(user, not_at_tmdb(self.run))

    def _known_at_tmdb(self) -> QuerySet[WatchlistEntry]:
        return WatchlistEntry.objects.filter(user_id=self.run.user_id, tmdb_account_id=self.run.account_id)

    def _past(self) -> Past:
        same = Import.objects.filter(user_id=self.run.user_id, account_id=self.run.account_id).exclude(pk=self.run.pk)
        results = same.order_by("-pk").values_list("watchlist", flat=True)
        return past_of([result.get("reader", {}) for result in results if result.get("read")])

    def _is_as_before(self, page: Page) -> bool:
        """Whether the newest page and the total show that nothing was put on the list or taken off it.

        Likely enough for a day: /sync reads everything, and so does the weekly import.
        """
        past = Import.objects.filter(user_id=self.run.user_id, account_id=self.run.account_id, error="")
        last = past.exclude(pk=self.run.pk).exclude(finished_at=None).order_by("-pk").first()
        if last is None or last.watchlist.get("total") != page.total or "unconfirmed" in last.watchlist["reader"]:
            return False
        shown = {row.movie.id for row in page.rows}
        mine = {"user_id": self.run.user_id, "movie_id__in": shown}
        known = set(self._known_at_tmdb().filter(movie_id__in=shown).values_list("movie_id", flat=True))
        known.update(WatchlistWrite.objects.filter(**mine, wanted=False).values_list("movie_id", flat=True))
        known.update(Rating.objects.filter(**mine).values_list("movie_id", flat=True))
        return known >= shown
