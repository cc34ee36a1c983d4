"""An Airflow of its own for demo and drills: nothing of the surrounding Airflow, AWS or proxy settings reaches it."""
