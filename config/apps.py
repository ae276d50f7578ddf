from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


class BackOfficeConfig(admin_apps.AdminConfig):
    """Django's admin with our front page and pages of our own."""

    default = False  # of this module's two, INSTALLED_APPS means ConfigConfig by "config"
    default_site = "config.admin.site.BackOffice"

    def ready(self) -> None:
        from config.admin import widgets  # noqa: F401  the front page's first panels

        super().ready()


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        """Find every app's handlers and checks, as Django finds admin.py."""
        from config.jobs.enqueue import propagate_correlation_id
        from config.jobs.schedules import sync_schedules
        from config.monitoring.heartbeats import connect_worker_signals
        from config.monitoring.logs import install_redaction

        install_redaction()
        autodiscover_modules("checks", "bot")
        connect_worker_signals()
        propagate_correlation_id()
        post_migrate.connect(sync_schedules, sender=self)
