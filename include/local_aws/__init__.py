"""A local AWS that listens on a real socket: moto's S3, STS and IAM, and an implementation of the Amazon Glacier API.

``python -m local_aws --seed demo`` starts it and prints its endpoint. Tests load ``local_aws.pytest_plugin``. Other
code starts it with :func:`local_aws.process.running` and controls it with :class:`local_aws.client.Control`.

Source: Amazon Glacier API 2012-06-01.
"""
