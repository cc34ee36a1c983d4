"""Datasets opened by their URIs, under the path that other programs import it from.

Example::

    from glacier_jobs.storage import open_dataset

    jobs = open_dataset("s3://aws_archive@my-bucket/glacier").scan("jobs").to_table()
"""

from glacier_jobs.dataset.storage import open_dataset, open_path

__all__ = ["open_dataset", "open_path"]
