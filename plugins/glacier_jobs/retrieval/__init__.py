"""Jobs that are started once, and their output, stored as a file or an object, verified."""
