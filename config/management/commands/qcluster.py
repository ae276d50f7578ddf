from django.core.management.base import BaseCommand

from config.jobs.cluster import Cluster
from config.logs import streams
from config.tables import require_tables


class Command(BaseCommand):
    help = "Do the jobs that wait in the cluster Q_CLUSTER_NAME, until SIGTERM or Ctrl-C."

    def __init__(self, **options):
        super().__init__(**{**streams(__name__), **options})

    def handle(self, **options):
        require_tables()
        Cluster().run()
