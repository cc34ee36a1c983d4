"""The operator that stores the output of a job as a file or as an object in S3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from glacier_jobs.arguments import refuse_discarded
from glacier_jobs.compat import AirflowFailException
from glacier_jobs.errors import FinalError, InvalidArgument
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.retrieval.destination_uris import check_destination_uri
from glacier_jobs.uri_fields import ChecksUris
from glacier_jobs.waiting.job_ids import awaited_ids

if TYPE_CHECKING:
    from airflow.sdk import Context

#: How many ranges of an output are requested at once.
DEFAULT_MAX_RANGES = 16


class GlacierJobOutputToObjectStorageOperator(ChecksUris, AwsBaseOperator[GlacierJobsHook]):
    """Store the output of a succeeded job as a local file or as an object in S3, verified by AWS's tree hashes.

    The output is published as a whole or not at all, and never in place of something else unless ``replace`` is true. A
    retry continues where an earlier try was interrupted, also with a new job for the same archive. An equal file or
    object that exists counts as the result.

    Example::

        GlacierJobOutputToObjectStorageOperator(
            task_id="store",
            vault_name="photos",
            job_id="{{ ti.xcom_pull('retrieve') }}",
            destination_uri="s3://aws_archive@my-bucket/photos/2015.tar",
        )

    :param vault_name: the vault of the job. (templated)
    :param job_id: the id of the job, or its description, as ``GlacierInitiateJobOperator`` and ``GlacierJobSensor``
        return it. (templated)
    :param destination_uri: the file or object, not a folder: ``file:///…``, ``s3://bucket/key``, or
        ``s3://conn_id@bucket/key`` with the Airflow connection of the bucket. (templated)
    :param replace: whether to replace another file or object at the destination; otherwise the task fails. (templated)
    :param dest_aws_conn_id: the Airflow connection of the bucket, if the URI names none. (templated)
    :param storage_class: S3's storage class of the object; ``None`` for ``STANDARD``. (templated)
    :param kms_key_id: the key of AWS KMS that encrypts the object; ``None`` for the bucket's default. (templated)
    :param expected_bucket_owner: the account to which the bucket must belong, 12 digits. (templated)
    :param account_id: the account of the vault: 12 digits, or ``-`` for that of the credentials. (templated)
    :param max_ranges: the maximum number of ranges that are requested from Glacier, and stored, at once.
    :param aws_conn_id: the Airflow connection for Glacier. (templated)
    :param region_name: the Region of the vault; ``None`` for that of the connection. (templated)
    :param verify: as in boto3. (templated)
    :param botocore_config: keywords of botocore's ``Config``. (templated)
    :return: as XCom ``{"destination_uri", "size_in_bytes", "sha256_tree_hash", "verified", "result", "job_id",
        "archive_id", "vault_name", "etag", "version_id"}``. ``sha256_tree_hash`` is computed from the bytes;
        ``verified`` is false if AWS gives no hash to compare it with, as for an inventory. ``result`` is ``stored`` or
        ``found``. ``archive_id`` is ``None`` for an inventory, ``etag`` and ``version_id`` for a file.
    :raises AirflowFailException: a retry would fail again (the job failed, is in progress or has expired, the
        destination has other content, the bytes do not match).
    :raises TransientError: a later try may succeed; Airflow's retries apply, and continue what was stored.
    """

    aws_hook_class = GlacierJobsHook
    template_fields: Sequence[str] = aws_template_fields(
        "account_id",
        "botocore_config",
        "dest_aws_conn_id",
        "destination_uri",
        "expected_bucket_owner",
        "job_id",
        "kms_key_id",
        "replace",
        "storage_class",
        "vault_name",
    )
    ui_color = "#e0f0ea"

    def __init__(
        self,
        *,
        vault_name: str,
        job_id: Any,
        destination_uri: str,
        replace: bool | str = False,
        dest_aws_conn_id: str | None = None,
        storage_class: str | None = None,
        kms_key_id: str | None = None,
        expected_bucket_owner: str | None = None,
        account_id: str = "-",
        max_ranges: int = DEFAULT_MAX_RANGES,
        **kwargs: Any,
    ) -> None:
        refuse_discarded(type(self).__name__, kwargs)
        super().__init__(**kwargs)
        self.vault_name = vault_name
        self.job_id = job_id
        self.destination_uri = destination_uri
        self._check_literal_uris()
        self.replace = replace
        self.dest_aws_conn_id = dest_aws_conn_id
        self.storage_class = storage_class
        self.kms_key_id = kms_key_id
        self.expected_bucket_owner = expected_bucket_owner
        self.account_id = account_id
        self.max_ranges = max_ranges

    def _uris(self) -> Mapping[str, object]:
        return {"destination_uri": self.destination_uri}

    def _check_uri(self, value: object, name: str) -> str:
        return check_destination_uri(value, name)

    @property
    def _hook_parameters(self) -> dict[str, Any]:
        return {**super()._hook_parameters, "max_requests": self.max_ranges}

    def execute(self, context: Context) -> dict[str, Any]:
        """Store the output."""
        from glacier_jobs.retrieval.destinations import open_target
        from glacier_jobs.retrieval.downloader import check_max_ranges, store_output
        from glacier_jobs.retrieval.s3_target import ObjectOptions
        from glacier_jobs.retrieval.source import job_source

        try:
            max_ranges = check_max_ranges(self.max_ranges)
            options = ObjectOptions(
                storage_class=self.storage_class,
                kms_key_id=self.kms_key_id,
                expected_bucket_owner=self.expected_bucket_owner,
            )
            target = open_target(
                self.destination_uri,
                dest_aws_conn_id=self.dest_aws_conn_id,
                options=options,
                max_requests=max_ranges,
            )
            source = job_source(self.hook, self.vault_name, _single_id(self.job_id), self.account_id)
            stored = store_output(
                source,
                target,
                self.destination_uri,
                replace=_truth(self.replace, "replace"),
                max_ranges=max_ranges,
            )
        except FinalError as error:
            raise AirflowFailException(str(error)) from error
        return {
            "destination_uri": self.destination_uri,
            "size_in_bytes": stored.size_in_bytes,
            "sha256_tree_hash": stored.sha256_tree_hash,
            "verified": stored.verified,
            "result": stored.result,
            "vault_name": self.vault_name,
            "job_id": source.job_id,
            "archive_id": source.archive_id,
            "etag": stored.published.etag,
            "version_id": stored.published.version_id,
        }


def _single_id(value: object) -> str:
    job_ids = awaited_ids(value)
    if len(job_ids) != 1:
        raise InvalidArgument(f"job_id has {len(job_ids)} ids; expected one job. Map the task over several jobs")
    return job_ids[0]


def _truth(value: object, name: str) -> bool:
    """Return a truth value, also one that was rendered to text."""
    found = (
        {True: True, False: False, "True": True, "False": False}.get(value) if isinstance(value, bool | str) else None
    )
    if found is None:
        raise InvalidArgument(f"{name} is {value!r}; expected True or False")
    return found
