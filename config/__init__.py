"""Settings, and what the other apps share."""

__version__ = "0.2.0"  # CHANGELOG.md says what it brings; shown in the admin, by /healthz and by /metrics
