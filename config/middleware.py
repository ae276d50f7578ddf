"""What every answer to a browser carries, and in whose time zone it speaks."""

import zoneinfo

from django.utils import timezone

# Everything a page of ours uses comes from this server: no inline script, no inline style, no eval.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # the admin's icons are drawn in its stylesheets
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


def content_security_policy(get_response):
    """Let browsers run and load nothing but what this server gives."""

    def answer(request):
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    return answer


def viewers_time_zone(get_response):
    """Show times in the zone of the browser, which backoffice.js tells in a cookie."""

    def answer(request):
        try:
            zone = zoneinfo.ZoneInfo(request.COOKIES["timezone"])
        except (KeyError, ValueError, OSError):  # none yet, no zone's name, not known on this machine
            return get_response(request)
        with timezone.override(zone):
            return get_response(request)

    return answer
