"""Snapshots: all jobs of all vaults of an account and Region, listed and published as one observation."""
