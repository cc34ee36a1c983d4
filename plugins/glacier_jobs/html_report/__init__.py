"""The report: all answers as Parquet, and one self-contained HTML page."""
