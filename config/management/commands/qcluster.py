from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django_q.conf import Conf

from config.database import require_migrations, switch_pool_off
from config.jobs.cluster import Cluster
from config.monitoring.logs import logging_streams


class Command(BaseCommand):
    help = "Do the jobs that wait in the cluster Q_CLUSTER_NAME, until SIGTERM or Ctrl-C."

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**logging_streams(__name__), **options})

    def handle(self, **options: Any) -> None:
        settings.DEBUG = False  # with it Django would store every query
        switch_pool_off()
        require_migrations()
        self.stdout.write(f"The cluster {Conf.CLUSTER_NAME} works. Ctrl-C stops it.")
        Cluster().run()
