"""Users of the bot, their link with TMDb, and the encryption of their TMDb sessions."""

import base64
import hashlib
import time
from contextlib import suppress

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import DatabaseError, models
from django.db.models import Q
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from telebot import types

from config.fields import PlainTextField
from config.lock_order import update_rows
from config.monitoring.secret import Secret
from users import countries
from users.mailing.models import Broadcast as Broadcast
from users.mailing.models import DirectMessage as DirectMessage
from users.mailing.models import MessageTemplate as MessageTemplate
from users.mailing.models import Recipient as Recipient

MAX_NAME_LENGTH = 64  # of a first name and of a username at Telegram
MAX_ID_DIGITS = 16  # of a person's id at Telegram: 52 bits
MIN_ID_DIGITS = 5  # of a number that is looked for as an id alone, and not in names
CHOICES_TTL_SECONDS = 60  # for which a process remembers the languages that users have chosen


class SyncStatus(models.IntegerChoices):
    FAILED = -1, _("failed")
    NOT_CONNECTED = 0, _("not connected")
    QUEUED = 1, _("queued or running")
    IMPORTED = 2, _("imported")


class SessionUnreadable(Exception):
    """A stored TMDb session was encrypted with a key that SESSION_ENCRYPTION_KEYS no longer holds."""

    REASON = (
        "The stored TMDb session cannot be decrypted: put the key it was encrypted with back into "
        "SESSION_ENCRYPTION_KEYS and run rotate_session_key, or ask the person to /connect again."
    )

    def __str__(self) -> str:
        return self.REASON


def session_keys() -> list[Fernet]:
    """The keys of stored TMDb sessions: the first encrypts, all decrypt.

    Each of SESSION_ENCRYPTION_KEYS is a Fernet key or any long text. The key derived from SECRET_KEY comes last,
    so that what was stored before the first explicit key stays readable.
    """

    def fernet(key: str) -> Fernet:
        try:
            return Fernet(key)
        except ValueError:
            digest = hashlib.sha256(b"kinoteka TMDb session\0" + key.encode()).digest()
            return Fernet(base64.urlsafe_b64encode(digest))

    return [fernet(key) for key in [*settings.SESSION_ENCRYPTION_KEYS, settings.SECRET_KEY]]


def session_cipher() -> MultiFernet:
    return MultiFernet(session_keys())


def encrypt(secret: str) -> str:
    """A session, or a request token, as it is stored."""
    return session_cipher().encrypt(secret.encode()).decode()


def decrypt(stored: str) -> Secret:
    """A stored session in clear. Raises SessionUnreadable; never show or log it."""
    with suppress(InvalidToken):
        return Secret(session_cipher().decrypt(stored.encode()).decode())
    raise SessionUnreadable


def names_of(username: str | None, first_name: str | None) -> dict[str, str]:
    """The columns that hold a person's names, as Telegram says them."""
    username, first_name = (username or "")[:MAX_NAME_LENGTH], (first_name or "")[:MAX_NAME_LENGTH]
    return {
        "username": username,
        "first_name": first_name,
        "search_name": searchable(f"{first_name} @{username}" if username else first_name),
    }


def searchable(name: str) -> str:
    """A name as people are searched for: in small letters, ё as е."""
    return name.casefold().replace("ё", "е")


REACHABLE = Q(user__blocked_at=None, user__banned_at=None)  # of a row of somebody's


class UserQuerySet(models.QuerySet["User"]):
    def get_or_create_from_telegram(self, sender: types.User | None) -> "User":
        """The row of a message's sender, created when there is none, with the language they read now."""
        assert sender is not None  # only posts of channels lack one, and no handler gets those
        now = int(time.time())
        names = names_of(sender.username, sender.first_name)
        seen = {"language": get_language(), "first_seen_at": now, "last_seen_at": now, **names}
        user, created = self.get_or_create(pk=sender.id, defaults=seen)
        now_read = {"language": get_language(), **names}
        if not created and any(getattr(user, name) != value for name, value in now_read.items()):
            for name, value in now_read.items():
                setattr(user, name, value)
            user.save(update_fields=list(now_read))
        return user

    def connected(self) -> "UserQuerySet":
        """Users whose TMDb session we hold."""
        return self.filter(tmdb_session_id__gt="")

    def lock(self, user_id: int) -> "User | None":
        """The user's row, locked until the transaction ends: whoever writes ratings of theirs holds this lock.

        It is taken before any other row is locked, so that two who write never wait for each other.
        """
        return self.select_for_update(no_key=True).filter(pk=user_id).first()

    def banned(self) -> "UserQuerySet":
        return self.filter(banned_at__isnull=False)

    def reachable(self) -> "UserQuerySet":
        """Who may be written to: they have not blocked the bot and are not banned; of a row of theirs, REACHABLE."""
        return self.filter(blocked_at=None, banned_at=None)

    @staticmethod
    def found_by(text: str) -> Q:
        """Condition: people with this beginning of an id, this TMDb account, or this in a name or @username."""
        name = searchable(" ".join(text.split()))
        is_id = name.isascii() and name.isdecimal() and len(name) <= MAX_ID_DIGITS
        condition = Q()
        if not is_id or len(name) < MIN_ID_DIGITS:
            # a query of its own, which the index of names answers alone
            named = User.objects.filter(search_name__contains=name).order_by()
            condition = Q(pk__in=named.values("pk"))
        if is_id:
            number = int(name)
            condition |= Q(tmdb_account_id=number)
            for zeros in range(MAX_ID_DIGITS - len(name) + 1):
                condition |= Q(pk__range=(number * 10**zeros, (number + 1) * 10**zeros - 1))
        return condition

    def awaiting_import(self) -> "UserQuerySet":
        return self.filter(sync_status=SyncStatus.QUEUED)

    def queue_import(self) -> int:
        """Queue an import of the ratings; users in the queue keep their place. Returns how many were added."""
        others = self.connected().exclude(sync_status=SyncStatus.QUEUED)
        return update_rows(others, sync_status=SyncStatus.QUEUED, sync_error="")


class User(models.Model):
    """A user of the bot; no TMDb account is needed to search and rate."""

    telegram_user_id = models.BigIntegerField(
        verbose_name=_("Telegram id"), primary_key=True, db_comment="Telegram's user id; also the private chat's"
    )
    tmdb_account_id = models.BigIntegerField(verbose_name=_("TMDb account"), null=True, blank=True)
    tmdb_session_id = PlainTextField(db_comment="encrypted read-and-write session; empty: not connected")
    sync_status = models.SmallIntegerField(
        verbose_name=_("state of the import"),
        choices=SyncStatus,
        default=SyncStatus.NOT_CONNECTED,
        db_default=SyncStatus.NOT_CONNECTED,
        db_comment="0 not connected, 1 queued or running, 2 imported, -1 failed",
    )
    last_sync_at = models.BigIntegerField(
        verbose_name=_("last import"), null=True, blank=True, db_comment="UNIX seconds of the last finished import"
    )
    ratings_count = models.PositiveIntegerField(
        verbose_name=_("ratings from TMDb"),
        default=0,
        db_default=0,
        db_comment="ratings the last import left in place from TMDb",
    )
    sync_error = models.TextField(db_default="", default="", blank=True, db_comment="why the last import failed")
    language = models.CharField(
        verbose_name=_("language"),
        max_length=8,
        default="ru",
        db_default="ru",
        db_comment="of the bot's texts: ru or en",
    )
    language_choice = models.CharField(
        max_length=8,
        default="",
        db_default="",
        blank=True,
        db_comment="ru or en, by /settings; empty: Telegram's",
    )
    writes_ratings = models.BooleanField(
        verbose_name=_("writes ratings to TMDb"),
        default=True,
        db_default=True,
        db_comment="ratings made in the chat are written to TMDb too",
    )
    blocked_at = models.BigIntegerField(
        null=True, blank=True, db_comment="UNIX seconds since when the person has blocked the bot"
    )
    takes_broadcasts = models.BooleanField(
        verbose_name=_("takes news"),
        default=True,
        db_default=True,
        db_comment="gets messages that go to many, until they opt out in /settings",
    )
    asks_seen = models.BooleanField(
        default=True, db_default=True, db_comment="may be asked whether a film picked from the watchlist has been seen"
    )
    tells_releases = models.BooleanField(
        default=True, db_default=True, db_comment="is told on the day a film of the watchlist comes out"
    )
    country = models.CharField(
        max_length=2,
        default="",
        db_default="",
        blank=True,
        db_comment="ISO 3166-1, by /settings; empty: by the language",
    )
    username = PlainTextField(verbose_name=_("username"), db_comment="as Telegram last said, without @; empty: none")
    first_name = PlainTextField(verbose_name=_("name"), db_comment="as Telegram last said; empty: none")
    search_name = PlainTextField(db_comment="both names in small letters, for the search; see searchable()")
    first_seen_at = models.BigIntegerField(
        verbose_name=_("first seen"), null=True, blank=True, db_comment="UNIX seconds; NULL: before this was kept"
    )
    last_seen_at = models.BigIntegerField(
        verbose_name=_("last seen"), null=True, blank=True, db_comment="UNIX seconds, to an hour"
    )
    came_by = PlainTextField(
        verbose_name=_("came by"), db_comment="the first /start payload that was none of ours; empty: none"
    )
    banned_at = models.BigIntegerField(
        verbose_name=_("banned"), null=True, blank=True, db_comment="UNIX seconds; what they send is ignored since then"
    )

    objects = UserQuerySet.as_manager()

    class Meta:
        db_table = "users"
        db_table_comment = "People of the bot and their link with TMDb"
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints = [
            models.CheckConstraint(condition=Q(sync_status__range=(-1, 2)), name="sync_status_known"),
        ]
        indexes = [
            models.Index(fields=["sync_status", "last_sync_at"], name="users_by_sync_status"),
            models.Index(
                fields=["telegram_user_id"], condition=~Q(language_choice=""), name="users_with_language_choice"
            ),
            models.Index(fields=["telegram_user_id"], condition=Q(banned_at__isnull=False), name="users_banned"),
            models.Index(fields=["search_name"], name="users_by_search_name"),
            models.Index(fields=["tmdb_account_id"], name="users_by_tmdb_account"),
            models.Index(fields=["first_seen_at"], name="users_by_first_seen_at"),
            models.Index(fields=["last_seen_at"], name="users_by_last_seen_at"),
            models.Index(fields=["came_by"], condition=~Q(came_by=""), name="users_by_came_by"),
        ]

    def __str__(self) -> str:
        return str(self.telegram_user_id)

    @property
    def home(self) -> str:
        """The country whose release dates count: the chosen one, else the one that the language suggests."""
        return self.country or countries.BY_LANGUAGE.get(self.language, countries.DEFAULT)

    @property
    def connected(self) -> bool:
        return bool(self.tmdb_session_id)

    @property
    def session_id(self) -> Secret:
        """The TMDb session in clear. Raises SessionUnreadable; never show or log it."""
        return decrypt(self.tmdb_session_id)

    def connect(self, account_id: int, session_id: str) -> None:
        """Store the TMDb account and its session, and queue the first import."""
        self.tmdb_account_id = account_id
        self.tmdb_session_id = encrypt(session_id)
        self.sync_status, self.sync_error = SyncStatus.QUEUED, ""
        self.save(update_fields=["tmdb_account_id", "tmdb_session_id", "sync_status", "sync_error"])

    def disconnect(self) -> None:
        """Remove the TMDb account and its session; the ratings stay."""
        self.tmdb_account_id, self.tmdb_session_id = None, ""
        self.sync_status, self.sync_error = SyncStatus.NOT_CONNECTED, ""
        self.save(update_fields=["tmdb_account_id", "tmdb_session_id", "sync_status", "sync_error"])


class _LanguageChoices:
    """The languages that users have chosen in /settings, in memory: to know them costs an update no query."""

    def __init__(self) -> None:
        self.by_user: dict[int, str] = {}
        self.valid_until = 0.0

    def get(self, user_id: object) -> str:
        """The language this user has chosen, '' for none; what another process has stored is seen within a minute."""
        if time.monotonic() >= self.valid_until:
            self.valid_until = time.monotonic() + CHOICES_TTL_SECONDS
            with suppress(DatabaseError):
                chosen = User.objects.exclude(language_choice="").values_list("pk", "language_choice")
                self.by_user = dict(chosen)
        return self.by_user.get(user_id, "") if isinstance(user_id, int) else ""

    def set(self, user_id: int, language: str) -> None:
        User.objects.filter(pk=user_id).update(language=language, language_choice=language)
        self.by_user[user_id] = language


language_choices = _LanguageChoices()


class RequestTokenQuerySet(models.QuerySet["RequestToken"]):
    def valid(self) -> "RequestTokenQuerySet":
        """Those that can still be approved."""
        return self.filter(expires_at__gt=int(time.time()))

    def expired(self) -> "RequestTokenQuerySet":
        return self.filter(expires_at__lte=int(time.time()))


class RequestToken(models.Model):
    """A link with TMDb that a user has begun; only their own button or return from TMDb may finish it."""

    user = models.ForeignKey(User, models.CASCADE, related_name="request_tokens", db_column="telegram_user_id")
    token = models.TextField(db_comment="encrypted as the session in users")
    expires_at = models.BigIntegerField(db_comment="UNIX seconds")

    objects = RequestTokenQuerySet.as_manager()

    class Meta:
        db_table = "request_tokens"
        db_table_comment = "Links with TMDb that people have begun"
        indexes = [models.Index(fields=["expires_at"], name="request_tokens_by_expires_at")]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.expires_at}"


class SessionToRevoke(models.Model):
    """A TMDb session that no user has any more and that TMDb has still to end; it names no user."""

    session_id = models.TextField(db_comment="encrypted as in users")
    attempts = models.PositiveIntegerField(default=0, db_default=0, db_comment="counted before each")
    next_try_at = models.BigIntegerField(default=0, db_default=0, db_comment="UNIX seconds")

    class Meta:
        db_table = "sessions_to_revoke"
        db_table_comment = "TMDb sessions to be ended"
        indexes = [models.Index(fields=["next_try_at"], name="sessions_to_revoke_by_next_try")]

    def __str__(self) -> str:
        return f"session {self.pk}"
