from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self):
        """Find every app's handlers and checks, as Django finds admin.py."""
        from config.schedules import write_schedules

        autodiscover_modules("checks", "bot")
        post_migrate.connect(write_schedules, sender=self)
