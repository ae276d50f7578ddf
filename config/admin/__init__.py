"""The admin of this project; Django's autodiscovery imports this package."""

from config.admin import widgets  # noqa: F401  registers the front page's panels
