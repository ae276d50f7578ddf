"""Addresses of static files under the prefix of each request."""

from django.conf import settings
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.urls import get_script_prefix


class PrefixedStaticFiles(StaticFilesStorage):
    """Django adds a prefix to STATIC_URL once, before there is a request that would tell it."""

    @property
    def base_url(self) -> str:
        return get_script_prefix().rstrip("/") + settings.STATIC_URL
