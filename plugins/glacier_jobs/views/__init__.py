"""Tables and views for other programs: statements for Amazon Athena, and a DuckDB file.

``python -m glacier_jobs.views`` is their command line.
"""
