"""The output of a job, stored as a file or an object: in parallel, verified, and resumed after an interruption."""
