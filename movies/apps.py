from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class MoviesConfig(AppConfig):
    name = "movies"
    verbose_name = _("Films")

    def ready(self) -> None:
        from movies.search import make_sqlite_index

        post_migrate.connect(make_sqlite_index, sender=self)
