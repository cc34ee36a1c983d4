"""Amazon Glacier over its API: the hook, the requests, and the conversion of answers to rows."""
