"""Benchmarks of speed, memory and size, compared with what a user would write today.

``python -m benchmarks`` runs all of them. Every figure compares two measurements of the same run on the same machine.
"""
