"""What the project claims about speed, memory and size, measured against what a user would write today.

``python -m benchmarks`` runs all. Every figure is a ratio of two measurements of the same run on the same machine.
"""
