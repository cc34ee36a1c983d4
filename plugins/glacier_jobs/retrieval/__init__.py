"""Jobs that are started once, and their output, fetched and verified."""
