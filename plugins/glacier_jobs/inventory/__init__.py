"""Inventories of vaults, read from the output of their jobs and published as tables."""
