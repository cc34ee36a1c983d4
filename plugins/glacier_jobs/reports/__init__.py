"""Questions about a dataset, answered by SQL as Arrow tables.

Example::

    from glacier_jobs import reports

    expiring = reports.run("expiring_outputs", "s3://aws_archive@my-bucket/glacier", within_hours=6)
"""

from glacier_jobs.reports.questions import LOOKUPS, QUESTIONS, Inquiry, run

__all__ = ["LOOKUPS", "QUESTIONS", "Inquiry", "run"]
