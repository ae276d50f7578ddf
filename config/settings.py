"""Every setting of Kinoteka, read from the environment (or `.env`) here and nowhere else.

docs/SETTINGS.md lists names and meanings. An empty variable counts as unset. A wrong value raises ImproperlyConfigured
with one line that names the variable. Nothing is done here but to read, and to make up a missing development key.
"""

import logging
import math
import os
import re
import secrets
import urllib.request
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from config.env_file import read_env_file
from config.monitoring import logs
from config.monitoring.secret import RedisCredentials, Secret

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = BASE_DIR / "data"

ENV_FILE = os.environ.get("ENV_FILE")
for name, value in read_env_file(Path(ENV_FILE or BASE_DIR / ".env"), missing_ok=not ENV_FILE).items():
    os.environ.setdefault(name, value)

Number = TypeVar("Number", int, float)


def text(name: str, default: str = "") -> str:
    # not by django-environ, which would take "$ecret" for the value of another variable
    return os.environ.get(name, "") or default


def secret(name: str, default: str = "") -> Secret:
    return Secret(text(name, default))


def number(name: str, default: Number, minimum: int = 0, maximum: float = math.inf) -> Number:
    value = text(name)
    try:
        found = type(default)(value) if value else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number, not {value!r}.") from None
    if not (math.isfinite(found) and found >= minimum):  # a limit of nan limits nothing
        raise ImproperlyConfigured(f"{name} must be a number of {minimum} or more, not {value!r}.")
    if found > maximum:
        raise ImproperlyConfigured(f"{name} must be a number of at most {maximum}, not {value!r}.")
    return found


SWITCHES = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def switch(name: str, default: bool) -> bool:
    value = text(name).strip().lower()
    if value and value not in SWITCHES:
        raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}.")
    return SWITCHES[value] if value else default


def names(name: str) -> list[str]:
    return [part.strip() for part in text(name).split(",") if part.strip()]


def development_key() -> Secret:
    """The secret key of an installation without one: made up once and saved in data/, readable by its owner only."""
    path = DATA_DIR / "secret_key"
    try:
        path.parent.mkdir(exist_ok=True)  # it may have been put aside, whole
        with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    except OSError as error:
        raise ImproperlyConfigured(f"SECRET_KEY is missing, and {path} cannot be made: {error.strerror}.") from None
    try:
        return Secret(path.read_text())
    except OSError as error:
        raise ImproperlyConfigured(f"SECRET_KEY is missing, and {path} cannot be read: {error.strerror}.") from None


def database(url: str) -> dict[str, Any]:
    """Django's settings of the database at this address."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of an unknown scheme, with the password in it; see below
            found = environ.Env.db_url_config(url)
    except ValueError:
        found = {}
    complete = found.get("NAME") or "service" in found.get("OPTIONS", {})  # PostgreSQL would take the user's name
    if found.get("ENGINE") not in ("django.db.backends.sqlite3", "django.db.backends.postgresql") or not complete:
        raise ImproperlyConfigured("DATABASE_URL must be sqlite:///PATH or postgres://USER:PASSWORD@HOST:PORT/NAME.")
    return {**found, "PASSWORD": Secret(found.get("PASSWORD") or "")}


def password_in(url: str) -> str:
    try:
        return unquote(urlsplit(url).password or "")
    except ValueError:
        return ""


REDIS_URL_FORM = "REDIS_URL must be redis://USER:PASSWORD@HOST:PORT/NUMBER."


def redis_address(url: str) -> tuple[str, RedisCredentials | None]:
    """The address of Redis without its password, and the credentials."""
    try:
        parts = urlsplit(url)
        number = parts.path.strip("/")  # of the database; redis-py takes what is none for 0
        by_network = parts.scheme in ("redis", "rediss") and parts.hostname and (parts.port or True)
        complete = (by_network and (number.isdigit() or not number)) or (parts.scheme == "unix" and parts.path)
    except ValueError:
        complete = False
    if not complete:
        raise ImproperlyConfigured(REDIS_URL_FORM)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if not parts.password:
        return address, None
    return address, RedisCredentials(unquote(parts.username or ""), unquote(parts.password))


PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


def proxies() -> dict[str, Secret]:
    """The proxies of HTTP_PROXY, HTTPS_PROXY and ALL_PROXY by scheme, and NO_PROXY by "no"; a lower-case name wins."""
    given = urllib.request.getproxies_environment()
    found = {"no": Secret(given.get("no", ""))}
    for scheme in ("http", "https", "all"):
        if scheme in given:
            variable = f"{scheme}_proxy"
            found[scheme] = proxy(variable if os.environ.get(variable) else variable.upper(), given[scheme].strip())
    return found


def proxy(variable: str, address: str) -> Secret:
    """The address of a proxy, complete. Raises ImproperlyConfigured for what can be none."""
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        if parts.scheme == "socks":  # as desktops write it, for any version
            parts = parts._replace(scheme="socks5h")
        named = re.fullmatch(r"[\w.:-]+", parts.hostname or "") and parts.port != 0
        # what follows the host is most often the rest of a password with a # or a / in it
        usable = named and parts.scheme in PROXY_SCHEMES and parts[2:] in (("", "", ""), ("/", "", ""))
        if not parts.scheme.startswith("socks"):
            unquote(parts.netloc).encode("latin-1")  # in a header, no other letters can be written
    except ValueError:
        usable = None
    if not usable:
        raise ImproperlyConfigured(
            f"{variable} must be http://USER:PASSWORD@HOST:PORT, or https:, socks5: or socks5h: in place of http:, "
            "with special characters of the password as in %40."
        )
    if parts.scheme.startswith("socks") and not find_spec("socks"):
        raise ImproperlyConfigured(f"{variable} is a SOCKS proxy, but the package PySocks is not installed.")
    return Secret(parts.geturl())


# --- Django

DEBUG = switch("DEBUG", True)
SECRET_KEY = secret("SECRET_KEY")
if not SECRET_KEY:
    if not DEBUG:
        raise ImproperlyConfigured("SECRET_KEY is missing: with DEBUG off, set it to a long random text.")
    SECRET_KEY = development_key()
ALLOWED_HOSTS = names("ALLOWED_HOSTS") or (["*"] if DEBUG else [])
CSRF_TRUSTED_ORIGINS = names("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "config",  # before the admin, whose templates it extends
    "config.apps.KinotekaAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_q",
    "movies",
    "posters",
    "users",
    "ratings",
]
MIDDLEWARE = [
    "config.middleware.request_id",
    "config.middleware.answer_programs",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "config.middleware.viewers_time_zone",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
STATIC_URL = "/static/"
STORAGES = {"staticfiles": {"BACKEND": "config.static_files.PrefixedStaticFiles"}}
WHITENOISE_USE_FINDERS = True  # served from their folders: no collectstatic is needed

LANGUAGE_CODE = "ru"
LANGUAGES = [("ru", _("Russian")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "config" / "locale"]
TIME_ZONE = text("TIME_ZONE", "UTC")
try:
    ZoneInfo(TIME_ZONE)
except (KeyError, ValueError, OSError):
    raise ImproperlyConfigured(f"TIME_ZONE must be a name like Europe/Berlin, not {TIME_ZONE!r}.") from None
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# SQLite keeps no comments and says so for every table and column; PostgreSQL does keep them. HSTS of a whole domain is
# the operator's choice.
SILENCED_SYSTEM_CHECKS = ["fields.W163", "models.W046", "security.W005", "security.W021"]

# With DEBUG on, a newcomer's http://127.0.0.1 works; with it off, everything a browser asks for goes by TLS.
TRUST_PROXY = switch("TRUST_PROXY", False)
if TRUST_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = switch("SECURE_SSL_REDIRECT", not DEBUG)
SECURE_HSTS_SECONDS = number("SECURE_HSTS_SECONDS", 0 if DEBUG else 31_536_000)
# of a whole domain, for as long: not ours to decide
SECURE_HSTS_INCLUDE_SUBDOMAINS = switch("SECURE_HSTS_INCLUDE_SUBDOMAINS", False)
SECURE_HSTS_PRELOAD = switch("SECURE_HSTS_PRELOAD", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_AGE = 7 * 24 * 3600

# --- Database

PGPASSWORD = secret("PGPASSWORD")  # the operator's, for another database than DATABASE_URL's: migrate_to_postgres
DATABASES = {"default": database(secret("DATABASE_URL", f"sqlite:///{DATA_DIR / 'kinoteka.sqlite3'}"))}
SQLITE = DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = not SQLITE
if SQLITE:
    # Measured with django-q2: Django's defaults give 17 tasks/s, locked databases and lost results; these 141 and more.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
    # PgBouncer in transaction mode gives a cursor's next rows to another connection; Django prepares no statements.
    DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
    # A connection for each thread, open for a minute, is the cheapest while PostgreSQL has enough of them. A pool lets
    # the many threads of a bot or web process share a few (config.bot.client returns them while it waits). The command
    # qcluster switches it off: it forks its workers, and no pool survives that; each worker has one connection anyway.
    if DATABASE_POOL := number("DATABASE_POOL", 0):
        DATABASES["default"]["CONN_MAX_AGE"] = 0
        DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 1, "max_size": DATABASE_POOL, "timeout": 5}

# --- Redis: unset, the queue, the cache and the limits are in the database

REDIS_URL = secret("REDIS_URL")
REDIS_ADDRESS, REDIS_OPTIONS = "", {}
if REDIS_URL:
    try:
        from redis import ConnectionPool
    except ImportError:
        raise ImproperlyConfigured("REDIS_URL is set, but the package redis is not installed.") from None
    REDIS_ADDRESS, credentials = redis_address(REDIS_URL)
    # seconds: a Redis that hangs is as good as away
    REDIS_OPTIONS = {"socket_connect_timeout": 3, "socket_timeout": 3, "credential_provider": credentials}
    try:
        connections = ConnectionPool.from_url(REDIS_ADDRESS, **REDIS_OPTIONS)
    except (TypeError, ValueError):  # of an option after its question mark
        raise ImproperlyConfigured(REDIS_URL_FORM) from None
CACHES = {
    "default": (
        {"BACKEND": "config.cache.RedisCache", "LOCATION": REDIS_ADDRESS, "OPTIONS": REDIS_OPTIONS}
        if REDIS_URL
        else {
            "BACKEND": "config.cache.DatabaseCache",
            "LOCATION": "cache",
            # Searches of a day, at most twenty ids each; marks "asked lately" by movie, photo and person, a byte each;
            # some forty lists of well-known movies. What is culled costs a request more, and nothing else.
            "OPTIONS": {"MAX_ENTRIES": 20_000, "CULL_FREQUENCY": 4},
        }
    ),
    "local": {"BACKEND": "config.cache.LocalCache", "LOCATION": "local"},
}
# What every card writes: shared by all processes only where that costs no query
CACHES["cards"] = (
    CACHES["default"]
    if REDIS_URL
    else {"BACKEND": "config.cache.LocalCache", "LOCATION": "cards", "OPTIONS": {"MAX_ENTRIES": 20_000}}
)

# --- Background work (django-q2)

# Imports, posters and the rest in clusters of their own; see config.jobs.enqueue
Q_CLUSTERS = switch("Q_CLUSTERS", False)
Q_CLUSTER: dict[str, Any] = {
    "name": "kinoteka",
    "ALT_CLUSTERS": {"imports": {}, "posters": {}},  # Q_CLUSTER_NAME says which one a process is, Q_WORKERS how large
    "workers": number("Q_WORKERS", 4, minimum=1),
    "timeout": 300,
    # Counted from prefetch, not from the start of the work: so longer than the longest job, a training (an hour), and
    # four others before it …
    "retry": 3600 + 4 * 300 + 60,
    # … and no deeper a queue in memory than there are workers.
    "queue_limit": number("Q_WORKERS", 4, minimum=1),
    "catch_up": False,
    "save_limit": 50,
    # A recycled worker returns the memory and connections that its jobs took; another is forked, nothing is loaded.
    "recycle": 20,
    "ack_failures": True,
    "max_attempts": 1,
    "label": _("Jobs"),
    "cache": "local",  # its statistics, written twice a second by every process, have no place in the database
    **({"redis": {"connection_pool": connections}} if REDIS_URL else {"orm": "default", "poll": 0.25}),
}

# --- Secrets at rest

SESSION_ENCRYPTION_KEYS = [Secret(key) for key in names("SESSION_ENCRYPTION_KEYS")]

# --- Telegram and TMDb, or their stand-ins

TELEGRAM_BOT_TOKEN = secret("TELEGRAM_BOT_TOKEN")
SANDBOX = switch("SANDBOX", DEBUG and not TELEGRAM_BOT_TOKEN)
SANDBOX_TOKEN = Secret("1000000001:SANDBOX-TOKEN-kinoteka")  # of no bot
SANDBOX_PORT = number("SANDBOX_PORT", 8081, minimum=1, maximum=65_535)
SANDBOX_URL = f"http://127.0.0.1:{SANDBOX_PORT}"
SANDBOX_DIR = Path(text("SANDBOX_DIR", str(DATA_DIR / "sandbox")))  # its chats, files and accounts
if SANDBOX and TELEGRAM_BOT_TOKEN not in ("", SANDBOX_TOKEN):
    raise ImproperlyConfigured("SANDBOX is on and a real TELEGRAM_BOT_TOKEN is set: choose one of the two.")
if SANDBOX:
    TELEGRAM_BOT_TOKEN = SANDBOX_TOKEN

TELEGRAM_API_URL = text("TELEGRAM_API_URL", SANDBOX_URL if SANDBOX else "https://api.telegram.org").rstrip("/")
# Where links to the bot lead: the chat page, in the sandbox
TELEGRAM_WEB_URL = text("TELEGRAM_WEB_URL", SANDBOX_URL if SANDBOX else "https://t.me").rstrip("/")
TELEGRAM_POSTER_CHANNELS = [
    int(channel) if channel.lstrip("-").isdigit() else channel
    for channel in names("TELEGRAM_POSTER_CHANNELS") or (["-1001000000001"] if SANDBOX else [])
]
TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE = number("TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE", 20.0)
TELEGRAM_WEBHOOK_URL = text("TELEGRAM_WEBHOOK_URL")
TELEGRAM_WEBHOOK_SECRET = secret("TELEGRAM_WEBHOOK_SECRET")
BOT_THREADS = number("BOT_THREADS", 32, minimum=1)
OPERATOR_CHAT_ID = text("OPERATOR_CHAT_ID")  # where alerts go; unset: none are sent
if OPERATOR_CHAT_ID and not OPERATOR_CHAT_ID.removeprefix("-").isdecimal():
    raise ImproperlyConfigured(f"OPERATOR_CHAT_ID must be the id of a chat, a number, not {OPERATOR_CHAT_ID!r}.")

TMDB_API_KEY = secret("TMDB_API_KEY", "5a0db0c5000000000000000000007a57" if SANDBOX else "")
TMDB_API_URL = text("TMDB_API_URL", f"{SANDBOX_URL}/3" if SANDBOX else "https://api.themoviedb.org/3").rstrip("/")
TMDB_IMAGE_URL = text("TMDB_IMAGE_URL", f"{SANDBOX_URL}/t/p" if SANDBOX else "https://image.tmdb.org/t/p").rstrip("/")
TMDB_WEB_URL = text("TMDB_WEB_URL", SANDBOX_URL if SANDBOX else "https://www.themoviedb.org").rstrip("/")
TMDB_LANGUAGE = text("TMDB_LANGUAGE", "ru-RU")
TMDB_FALLBACK_LANGUAGE = text("TMDB_FALLBACK_LANGUAGE", "en-US")
TMDB_REQUESTS_PER_SECOND = number("TMDB_REQUESTS_PER_SECOND", 35.0)

METRICS_FLUSH_SECONDS = number(
    "METRICS_FLUSH_SECONDS", 5.0
)  # between two writings of heartbeats and counters; 0: never

POSTER_DIR = Path(text("POSTER_DIR", str(DATA_DIR / "posters")))
THUMBNAIL_DIR = Path(text("THUMBNAIL_DIR", str(DATA_DIR / "thumbnails")))  # of posters; may be deleted at any time

METRICS_TOKEN = secret("METRICS_TOKEN")  # bearer token for /metrics; unset: /metrics is disabled

PROXIES = proxies()

# --- Nothing of these in any log or report

logs.register_secrets(
    [
        *(SECRET_KEY, TELEGRAM_BOT_TOKEN, TELEGRAM_WEBHOOK_SECRET, TMDB_API_KEY, METRICS_TOKEN),
        *SESSION_ENCRYPTION_KEYS,
        *(PGPASSWORD, DATABASES["default"]["PASSWORD"]),
        *(password_in(address) for address in (REDIS_URL, *PROXIES.values())),
    ]
)
DEFAULT_EXCEPTION_REPORTER = "config.monitoring.error_reports.RedactingReporter"

# --- Logs

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_LEVEL = text("LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in logging.getLevelNamesMapping():
    raise ImproperlyConfigured(f"LOG_LEVEL must be one of {', '.join(LEVELS)}, not {LOG_LEVEL!r}.")
LOG_FORMAT = text("LOG_FORMAT", "text")
if LOG_FORMAT not in ("text", "json"):
    raise ImproperlyConfigured(f"LOG_FORMAT must be text or json, not {LOG_FORMAT!r}.")
EVERYTHING = LOG_LEVEL == "DEBUG"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"no_repetition": {"()": "config.jobs.job_log.NoRepetition"}},
    "formatters": {
        "line": {"()": "config.monitoring.logs.formatter", "kind": LOG_FORMAT, "everything": EVERYTHING},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": ["console"], "level": LOG_LEVEL, "propagate": False},
        # what people are not to read every half minute: a program may, and who asked for everything
        "config.jobs.job_log": {"level": "INFO" if EVERYTHING or LOG_FORMAT == "json" else "WARNING"},
        "django-q": {"level": "INFO" if EVERYTHING else "WARNING", "filters": ["no_repetition"]},
        "django.request": {"level": "INFO" if EVERYTHING else "ERROR"},  # a page that is not there is no event
        "django.db.backends": {"level": "INFO"},  # what people write stands in the statements
        "django.template": {"level": "INFO"},  # whole contexts
        "gunicorn.access": {"level": "WARNING"},
        "django.server": {"handlers": ["console"], "level": LOG_LEVEL, "propagate": False},
        "TeleBot": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        "urllib3": {"level": "WARNING"},
    },
}
