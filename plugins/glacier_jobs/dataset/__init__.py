"""The dataset: tables, file layout, reading, and publication of Parquet files. Knows neither Airflow nor AWS."""
