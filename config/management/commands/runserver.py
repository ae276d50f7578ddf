from typing import Any

from django.contrib.staticfiles.management.commands import runserver

from config.arguments import require_within


class Command(runserver.Command):
    """Django's own, but that a port that is none is refused in a line: its reloader would wait for a better one."""

    port: str  # missing in the stubs

    def run(self, **options: Any) -> None:
        require_within("The port", int(self.port), 0, 65_535)
        super().run(**options)
