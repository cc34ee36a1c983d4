"""Waiting for jobs: which jobs, one poll of a vault, polls that several triggers share, and the state of a wait."""
