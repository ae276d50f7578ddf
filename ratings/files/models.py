"""Tables of files that users sent: their progress, the rows that need the user's eye, and what can be undone."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from movies.models import Movie
from users.models import User


class FileImport(models.Model):
    """A file that a user sent: its progress, and the result of its rows so far.

    The file stays with Telegram and is downloaded by each run; what a run has done is in this row, written in the same
    transaction as the ratings.
    """

    class Stage(models.IntegerChoices):
        IMPORT = 0, _("import")
        OVERWRITE = 1, _("taking the file's ratings")
        UNDO = 2, _("undo")

    user = models.ForeignKey(User, models.CASCADE, related_name="file_imports", db_column="telegram_user_id")
    telegram_file_id = models.TextField(db_comment="of the document")
    message_id = models.BigIntegerField(null=True, blank=True, db_comment="the message in the chat that shows it")
    thread_id = models.BigIntegerField(null=True, blank=True, db_comment="the topic of that message; NULL: none")
    sent_at = models.BigIntegerField(db_comment="UNIX seconds")
    stage = models.SmallIntegerField(
        choices=Stage, default=Stage.IMPORT, db_default=Stage.IMPORT, db_comment="what is being done, or was done last"
    )
    scale = models.PositiveSmallIntegerField(
        default=0, db_default=0, db_comment="what the user says its ratings are out of; 0: they were not asked"
    )
    question = models.JSONField(
        default=list, db_comment="rows shown with a question about the file; not empty: it waits for the answer"
    )
    found = models.JSONField(
        default=dict,
        db_comment="titles: the layouts; members: taken from an archive; undated: rows; page: of saved pages;"
        " written: ratings queued for TMDb; name: of the file; asked: scale or list; list: what it is of, as the user"
        " says",
    )
    rows_total = models.PositiveIntegerField(null=True, blank=True, db_comment="NULL until the file has been read")
    rows_done = models.PositiveIntegerField(default=0, db_default=0)
    outcome = models.JSONField(default=dict, db_comment="the number of rows by result: added, changed, kept, …")
    attempts = models.PositiveIntegerField(default=0, db_default=0, db_comment="failed ones since the last progress")
    next_try_at = models.BigIntegerField(default=0, db_default=0, db_comment="UNIX seconds")
    finished_at = models.BigIntegerField(null=True, blank=True, db_comment="UNIX seconds; NULL while there is work")
    reported_at = models.BigIntegerField(
        null=True, blank=True, db_comment="UNIX seconds when the user was sent the outcome"
    )
    error = models.TextField(default="", db_default="", blank=True, db_comment="why it was given up; empty: it was not")

    class Meta:
        db_table = "file_imports"
        db_table_comment = "Files of ratings that users sent, running and past"
        verbose_name = _("file import")
        verbose_name_plural = _("file imports")
        indexes = [models.Index(fields=["finished_at", "next_try_at"], name="file_imports_by_next_try")]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.sent_at}"

    def count(self, outcome: str, number: int = 1) -> None:
        self.outcome[outcome] = self.outcome.get(outcome, 0) + number


class FileRow(models.Model):
    """A row of a file that needs the user's eye: which film it is, or which rating counts."""

    class State(models.TextChoices):
        UNSURE = "unsure", _("to be chosen")
        NOT_FOUND = "not_found", _("not found")
        UNANSWERED = "unanswered", _("TMDb did not answer")
        ODD_RATING = "odd_rating", _("not a rating from 0.5 to 10")
        KEPT = "kept", _("rated differently here")
        DONE = "done", _("done")

    file = models.ForeignKey(FileImport, models.CASCADE, related_name="file_rows")
    position = models.PositiveIntegerField(db_comment="the row's place in the order of viewings")
    state = models.CharField(max_length=10, choices=State)
    data = models.JSONField(db_comment="title, original_title, year, ids, rating, date and the rest of a Row")
    candidates = models.JSONField(default=list, db_comment="ids of movies, the likeliest first")

    class Meta:
        db_table = "file_rows"
        db_table_comment = "Rows of files that users are asked about"
        constraints = [models.UniqueConstraint(fields=["file", "position"], name="one_file_row_per_position")]
        indexes = [models.Index(fields=["file", "state", "position"], name="file_rows_by_state")]

    def __str__(self) -> str:
        return f"{self.file_id} · {self.position}"


class FileChange(models.Model):
    """What a file changed about one movie, its rating or its place on the watchlist, so that it can be taken back."""

    class Watchlist(models.IntegerChoices):
        UNCHANGED = 0, _("unchanged")
        ADDED = 1, _("put on the list")
        TAKEN_OFF = -1, _("taken off the list")

    file = models.ForeignKey(FileImport, models.CASCADE, related_name="changes")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="+")
    before = models.JSONField(null=True, db_comment="the rating as it was, by column; NULL: there was none")
    after = models.DecimalField(
        max_digits=3, decimal_places=1, null=True, db_comment="0.5-10.0: the rating that the file set; NULL: none"
    )
    watchlist = models.SmallIntegerField(
        choices=Watchlist, default=Watchlist.UNCHANGED, db_default=Watchlist.UNCHANGED, db_comment="what it did there"
    )
    wanted_since = models.BigIntegerField(
        default=0, db_default=0, db_comment="UNIX seconds: added_at of the entry that it took off the watchlist"
    )

    class Meta:
        db_table = "file_changes"
        db_table_comment = "Ratings and watchlist entries that files changed, for undoing it"
        constraints = [models.UniqueConstraint(fields=["file", "movie"], name="one_file_change_per_rating")]

    def __str__(self) -> str:
        return f"{self.file_id} · {self.movie_id}"
