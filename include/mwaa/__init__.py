"""Builds what Amazon MWAA takes from a bucket, for each of its Airflow 3 images. Needs the standard library only."""
