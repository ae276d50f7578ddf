"""Whether stored TMDb sessions are safe, and can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from users.key_rotation import unreadable

if TYPE_CHECKING:
    from django.core.checks.messages import Warning

SHORTEST = 32  # characters; a Fernet key has 44
LOOKED_AT = 1000  # of the newest sessions: a key that is missing is missing for many


@register()
def session_keys_are_long(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """SESSION_ENCRYPTION_KEYS cannot be guessed."""
    if all(len(key) >= SHORTEST for key in settings.SESSION_ENCRYPTION_KEYS):
        return []
    what = f"A key of SESSION_ENCRYPTION_KEYS has less than {SHORTEST} characters."
    hint = "Put a new one first, made by `openssl rand -base64 32`, then run `manage.py reencrypt_sessions`."
    return [Warning(what, hint=hint, id="users.W001")]


@register("services", deploy=True)
def sessions_can_be_decrypted(app_configs: Any, **kwargs: Any):
    """Stored TMDb sessions can be decrypted."""
    lost, looked_at = unreadable(LOOKED_AT)
    if not lost:
        return []
    return [
        Error(
            f"{lost} of {looked_at} stored TMDb sessions cannot be decrypted: nothing is lost, but nothing is read or "
            "written for these people.",
            hint="Put the key they were encrypted with (or the SECRET_KEY of then) back into SESSION_ENCRYPTION_KEYS, "
            "after the first, then run `manage.py reencrypt_sessions`.",
            id="users.E001",
        )
    ]
