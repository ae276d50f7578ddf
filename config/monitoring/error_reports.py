"""Django's error page, which DEBUG shows, without the secrets in messages, variables and runserver's environment."""

from django.views.debug import ExceptionReporter

from config.monitoring.logs import redact


class RedactingReporter(ExceptionReporter):
    """Redacts the whole report, as an error's message and what f-strings make of a Secret are plain text.

    The stubs promise SafeString; Django only writes the report out, so that a plain text does.
    """

    def get_traceback_html(self) -> str:  # type: ignore[override]
        return redact(super().get_traceback_html())

    def get_traceback_text(self) -> str:  # type: ignore[override]
        return redact(super().get_traceback_text())
