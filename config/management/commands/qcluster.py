from django.core.management.base import BaseCommand

from config.database import require_tables
from config.jobs.cluster import Cluster
from config.monitoring.logs import streams


class Command(BaseCommand):
    help = "Do the jobs that wait in the cluster Q_CLUSTER_NAME, until SIGTERM or Ctrl-C."

    def __init__(self, **options):
        super().__init__(**{**streams(__name__), **options})

    def handle(self, **options):
        require_tables()
        Cluster().run()
