"""A local AWS on a real socket: moto's S3, STS and IAM, and an Amazon Glacier that keeps its contract.

``python -m local_aws --seed demo`` starts it and prints its endpoint. Tests load ``local_aws.pytest_plugin``;
everybody else who wants one starts it with :func:`local_aws.process.running` and drives it with
:class:`local_aws.client.Control`.

Source: Amazon Glacier API 2012-06-01.
"""
