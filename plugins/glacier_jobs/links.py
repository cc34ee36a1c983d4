"""Links from a task's page in Airflow's UI."""

from __future__ import annotations

from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink


class GlacierVaultLink(BaseAwsLink):
    """A link to the vault in the AWS console."""

    name = "Amazon Glacier vault"
    key = "glacier_vault"
    format_str = BASE_AWS_CONSOLE_LINK + "/glacier/home?region={region_name}#/vault/{vault_name}/view/properties"
