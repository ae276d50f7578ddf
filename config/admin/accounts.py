"""Django's own pages of staff accounts, in the viewer's language."""

from django.contrib.auth.models import Group, Permission
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

ACTIONS = {  # the beginning of a permission's name, which Django stores in English
    "add": gettext_noop("may add"),
    "change": gettext_noop("may change"),
    "delete": gettext_noop("may delete"),
    "view": gettext_noop("may view"),
}
OTHERS = {"send_broadcast": gettext_noop("may send broadcasts")}
GROUPS = [gettext_noop("support"), gettext_noop("operators"), gettext_noop("broadcasters")]  # ours, as they are stored


def permission_title(permission: Permission) -> str:
    """What a permission is for, as the lists of groups and accounts show it."""
    action = permission.codename.partition("_")[0]
    name = OTHERS.get(permission.codename) or ACTIONS.get(action)
    return f"{permission.content_type} | {_(name) if name else permission.name}"


def group_title(group: Group) -> str:
    """Our own groups in the viewer's language, wherever they are listed; others as somebody has named them."""
    return _(group.name) if group.name in GROUPS else group.name


Group.__str__ = group_title  # type: ignore[method-assign, assignment]
Permission.__str__ = permission_title  # type: ignore[method-assign, assignment]
