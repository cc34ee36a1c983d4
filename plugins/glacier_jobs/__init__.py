"""List all jobs of Amazon Glacier, wait for them with few requests, and store them as Parquet."""

__version__ = "0.1.0"
