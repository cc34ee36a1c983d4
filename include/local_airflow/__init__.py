"""An isolated Airflow for demo and drills. Airflow, AWS and proxy settings of the environment do not affect it."""
