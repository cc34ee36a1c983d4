"""The page "Glacier jobs" in Airflow's UI: a FastAPI application over :mod:`glacier_jobs.reports.questions`.

Modules that take long to import are imported by the first request, because every API server of Airflow builds the
application at its start.
"""
