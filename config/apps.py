from pathlib import Path

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import apps as admin_apps
from django.core.exceptions import ImproperlyConfigured
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class KinotekaAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our front page and pages of our own."""

    default = False  # of this module's two, INSTALLED_APPS means ConfigConfig by "config"
    default_site = "config.admin.site.KinotekaAdminSite"

    def ready(self) -> None:
        from config.admin import accounts, figures, jobs, lockouts, update_failures, widgets  # noqa: F401  they register pages and dashboard widgets

        super().ready()


class ConfigConfig(AppConfig):
    name = "config"
    verbose_name = _("Security")

    def ready(self) -> None:
        """Prepare the database's surroundings; find every app's handlers and checks, as Django finds admin.py."""
        from config.database import give_password_to_libpq
        from config.jobs.enqueue import propagate_correlation_id
        from config.jobs.schedules import sync_schedules
        from config.monitoring.heartbeats import connect_worker_signals
        from config.monitoring.logs import install_redaction

        install_redaction()
        make_database_folder()
        give_password_to_libpq()
        autodiscover_modules("checks", "bot", "figures")
        connect_worker_signals()
        propagate_correlation_id()
        post_migrate.connect(sync_schedules, sender=self)


def make_database_folder() -> None:
    """Make the folder of the SQLite file, which SQLite does not. Raises ImproperlyConfigured."""
    if not settings.SQLITE:
        return
    folder = Path(settings.DATABASES["default"]["NAME"]).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"DATABASE_URL must lead to a folder that can be written, and {folder} cannot be made: {error.strerror}."
        ) from None
