"""The dataset: tables, file layout, reading, and publication of Parquet files.

Only ``storage`` imports Airflow; no module imports boto.
"""
