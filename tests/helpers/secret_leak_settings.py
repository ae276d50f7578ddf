"""The project's settings with a page that spills secrets."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "tests.helpers.secret_leak_urls"
