"""List Amazon Glacier's jobs completely, wait for them cheaply, and keep them as Parquet."""

__version__ = "0.1.0"
