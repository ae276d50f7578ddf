"""People in the admin, and what operators write to them."""

from users.admin import broadcasts, messages, people

__all__ = ["broadcasts", "messages", "people"]
