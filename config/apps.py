from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


class BackOfficeConfig(admin_apps.AdminConfig):
    """Django's admin with our front page and pages of our own."""

    default = False  # of this module's two, INSTALLED_APPS means ConfigConfig by "config"
    default_site = "config.admin.site.BackOffice"

    def ready(self):
        from config.admin import widgets  # noqa: F401  the front page's first panels

        super().ready()


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self):
        """Find every app's handlers and checks, as Django finds admin.py."""
        from config.jobs.enqueue import carry_ids
        from config.jobs.schedules import write_schedules
        from config.monitoring.logs import mask_everywhere
        from config.monitoring.metrics import watch_jobs

        mask_everywhere()
        autodiscover_modules("checks", "bot")
        watch_jobs()
        carry_ids()
        post_migrate.connect(write_schedules, sender=self)
