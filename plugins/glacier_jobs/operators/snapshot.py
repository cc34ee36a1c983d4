"""The operator that stores the jobs of an account and Region as Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from glacier_jobs.arguments import refuse_discarded, several
from glacier_jobs.errors import InvalidArgument
from glacier_jobs.glacier.client import DEFAULT_MAX_REQUESTS
from glacier_jobs.glacier.hook import GlacierJobsHook
from glacier_jobs.glacier.identifiers import check_vault_pattern
from glacier_jobs.no_retries import without_retries
from glacier_jobs.uri_fields import ChecksUris

if TYPE_CHECKING:
    from airflow.sdk import Context

    from glacier_jobs.snapshot.observe import OnVaultError


class GlacierJobsToParquetOperator(ChecksUris, AwsBaseOperator[GlacierJobsHook]):
    """List all jobs of all vaults of an account and Region, and publish them as one observation in Parquet.

    Each execution makes a new observation with the time of the execution, also if a task is retried, cleared or part of
    a backfill. The observation is published as a whole or not at all.

    Example::

        GlacierJobsToParquetOperator(
            task_id="snapshot",
            dataset_uri="s3://aws_archive@my-bucket/glacier",
            aws_conn_id="aws_archive",
        )

    :param dataset_uri: the dataset's root: ``file:///…``, ``s3://bucket/…``, or ``s3://conn_id@bucket/…`` with
        the Airflow connection of the bucket. (templated)
    :param vault_names: the vaults to list; ``None`` for all that List Vaults returns. (templated)
    :param exclude_vaults: names of vaults, or patterns as in :mod:`fnmatch` (``"test-*"``), to leave out. (templated)
    :param account_id: 12 digits, or ``-`` for the account of the credentials. (templated)
    :param on_vault_error: with ``fail``, nothing is published if a vault cannot be listed; with ``record``, the other
        vaults are published, and the failed vault with its error. (templated)
    :param max_requests: the maximum number of concurrent requests to Glacier.
    :param requests_per_second: the maximum number of requests to Glacier per second, retries included; ``None`` for no
        limit. (templated)
    :param aws_conn_id: the Airflow connection for Glacier. (templated)
    :param region_name: the Region; ``None`` for that of the connection. (templated)
    :param verify: as in boto3. (templated)
    :param botocore_config: keywords of botocore's ``Config``. (templated)
    :return: as XCom ``{"observation_id", "snapshot_at", "account_id", "region", "dataset_uri", "jobs", "vaults",
        "failed_vaults"}``: ``snapshot_at`` in ISO 8601, ``jobs`` and ``vaults`` counts, ``failed_vaults`` names.
    :raises AirflowFailException: a retry would fail again (access denied, no such vault, malformed data). A
        ``dataset_uri`` that is not valid is refused when the DAG is parsed, or when its template is rendered.
    :raises TransientError: a later try may succeed; Airflow's retries apply.
    """

    aws_hook_class = GlacierJobsHook
    template_fields: Sequence[str] = aws_template_fields(
        "account_id",
        "botocore_config",
        "dataset_uri",
        "exclude_vaults",
        "on_vault_error",
        "requests_per_second",
        "vault_names",
    )
    ui_color = "#e0f0ea"

    def __init__(
        self,
        *,
        dataset_uri: str,
        vault_names: Sequence[str] | str | None = None,
        exclude_vaults: Sequence[str] | str | None = None,
        account_id: str = "-",
        on_vault_error: OnVaultError = "fail",
        max_requests: int = DEFAULT_MAX_REQUESTS,
        requests_per_second: float | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_discarded(type(self).__name__, kwargs)
        super().__init__(**kwargs)
        self.dataset_uri = dataset_uri
        self._check_literal_uris()
        self.vault_names = vault_names
        self.exclude_vaults = exclude_vaults
        self.account_id = account_id
        self.on_vault_error = on_vault_error
        self.max_requests = max_requests
        self.requests_per_second = requests_per_second

    def _uris(self) -> Mapping[str, object]:
        return {"dataset_uri": self.dataset_uri}

    @property
    def _hook_parameters(self) -> dict[str, Any]:
        return {
            **super()._hook_parameters,
            "max_requests": self.max_requests,
            "requests_per_second": self.requests_per_second,
        }

    def execute(self, context: Context) -> dict[str, Any]:
        """Make one observation."""
        from glacier_jobs.dataset.storage import denials_without_credentials, open_dataset
        from glacier_jobs.operators.provenance import provenance_of
        from glacier_jobs.snapshot.observe import observe

        with without_retries():
            dataset = open_dataset(self.dataset_uri)
            with denials_without_credentials(dataset.filesystem, self.dataset_uri, "dataset_uri"):
                observed = observe(
                    self.hook,
                    dataset,
                    account_id=self.account_id,
                    vault_names=None if self.vault_names is None else several(self.vault_names, "vault_names"),
                    exclude_vaults=self._exclude_vaults(),
                    on_vault_error=self.on_vault_error,
                    provenance=provenance_of(context),
                )
        return {
            "observation_id": observed.observation.observation_id,
            "snapshot_at": observed.observation.snapshot_at.isoformat(),
            "account_id": observed.observation.account_id,
            "region": observed.observation.region,
            "dataset_uri": self.dataset_uri,
            "jobs": observed.jobs,
            "vaults": observed.vaults,
            "failed_vaults": observed.failed_vaults,
        }

    def _exclude_vaults(self) -> Sequence[str]:
        if not self.exclude_vaults:
            return ()
        try:
            return [check_vault_pattern(self.exclude_vaults)]  # also "[ab]*", which is no list
        except InvalidArgument:
            return several(self.exclude_vaults, "exclude_vaults")
