from __future__ import annotations

from mypy_boto3_glacier import GlacierClient

from local_aws.client import Control


def test_calls_are_counted_by_operation_and_by_vault(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_vaults("v", "w")
    glacier.list_vaults()
    glacier.list_jobs(vaultName="v")
    glacier.list_jobs(vaultName="v")
    glacier.list_jobs(vaultName="w")
    calls = local_aws.calls()
    assert calls.total == 4
    assert calls.by_operation == {"ListVaults": 1, "ListJobs": 3}
    assert calls.by_vault == {("ListVaults", None): 1, ("ListJobs", "v"): 2, ("ListJobs", "w"): 1}


def test_resetting_the_calls_sets_the_counts_to_zero(local_aws: Control, glacier: GlacierClient) -> None:
    glacier.list_vaults()
    local_aws.reset_calls()
    assert local_aws.calls().total == 0
    assert local_aws.requests() == []


def test_sequential_calls_are_never_concurrent(local_aws: Control, glacier: GlacierClient) -> None:
    for _ in range(50):
        glacier.list_vaults()
    assert local_aws.calls().most_in_flight == 1


def test_requests_are_recorded(local_aws: Control, glacier: GlacierClient) -> None:
    local_aws.add_vaults("v")
    glacier.list_jobs(accountId="123456789012", vaultName="v", statuscode="Failed", completed="true", limit="7")
    glacier.list_vaults()
    (request,) = local_aws.requests("ListJobs", vault_name="v")
    assert request == {
        "operation": "ListJobs",
        "account": "123456789012",
        "account_id": "123456789012",
        "region": "us-east-1",
        "access_key": "LOCALAWSACCESSKEY000",
        "vault_name": "v",
        "item_id": None,
        "query": {"statuscode": "Failed", "completed": "true", "limit": "7"},
        "range": None,
    }
    assert [each["account"] for each in local_aws.requests("ListVaults")] == ["-"]
