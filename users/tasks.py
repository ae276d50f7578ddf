"""Jobs about people; see config.schedules for how often."""

from config.turns import only_one
from users import leaving


def end_sessions():
    """Have TMDb end the sessions that nobody uses any more."""
    with only_one("users.end_sessions") as free:
        return leaving.end_sessions() if free else "another worker is at it"
