"""The page "Glacier jobs" in Airflow's UI: a FastAPI application that asks :mod:`glacier_jobs.reports.questions`.

Nothing heavy is imported before the first request: Airflow builds the application in every API server.
"""
