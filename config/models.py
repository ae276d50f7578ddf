"""What all processes share when there is no Redis: whose turn it is and who is at work."""

from django.db import models


class Turn(models.Model):
    """The next free moment of something that may only be done so often; see config.turns."""

    name = models.CharField(max_length=100, primary_key=True)
    next_at = models.FloatField(default=0, db_default=0, db_comment="UNIX time of the next free turn")

    class Meta:
        db_table = "turns"
        db_table_comment = "Rate limits over all processes"


class Lease(models.Model):
    """Work that only one process may do at a time, until the lease runs out; see config.turns."""

    name = models.CharField(max_length=100, primary_key=True)
    holder = models.CharField(max_length=64, default="", db_default="")
    expires_at = models.FloatField(default=0, db_default=0, db_comment="UNIX time")

    class Meta:
        db_table = "leases"
        db_table_comment = "Who is at work on what, and until when"
