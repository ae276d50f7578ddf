"""The project's settings for its own tests: no .env, a database of this run alone, no stand-in at its usual port."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.helpers import redis_databases

os.environ.update(ENV_FILE=os.devnull, DEBUG="1", SECRET_KEY="tests " * 10, SANDBOX="1", LOG_LEVEL="INFO")
for name in (
    "TELEGRAM_BOT_TOKEN",
    "TELEGRAM_API_URL",
    "TMDB_API_KEY",
    "TMDB_API_URL",
    "TMDB_IMAGE_URL",
    "TMDB_WEB_URL",
):
    os.environ.pop(name, None)
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:  # the shell's
    del os.environ[name]
if os.environ.get("REDIS_URL"):
    os.environ["REDIS_URL"] = redis_databases.claim(os.environ["REDIS_URL"])

from config.settings import *  # noqa: E402, F403
from config.settings import DATABASES, SQLITE  # noqa: E402

SCRATCH = Path(tempfile.mkdtemp(prefix="kinoteka-tests-"))
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)
DATABASES["default"]["TEST"] = {
    # a file, not memory: real processes open it too
    "NAME": str(SCRATCH / "test.sqlite3") if SQLITE else f"test_kinoteka_{os.getpid()}",
}
DEBUG = False
ALLOWED_HOSTS = ["*"]
POSTER_DIR = SCRATCH / "posters"
THUMBNAIL_DIR = SCRATCH / "thumbnails"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = False
# Nothing here is slow on purpose: limits are what some tests set.
TMDB_REQUESTS_PER_SECOND = 0
TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE = 0
METRICS_FLUSH_SECONDS = 0  # a test writes them itself: metrics.flush()
