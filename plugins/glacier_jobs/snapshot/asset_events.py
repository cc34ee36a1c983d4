"""The events of the asset ``glacier_jobs``: which datasets have new observations."""

from __future__ import annotations

from collections.abc import Iterable


def announced_datasets(extras: Iterable[object]) -> list[str]:
    """Return the URIs of the datasets in asset events, each once, in the order of the events.

    :param extras: the ``extra`` of each event: ``{"observations": [{"dataset_uri": …, …}, …]}``, as the snapshot DAG
        emits it. Events of another form are ignored.
    """
    uris: dict[str, None] = {}
    for extra in extras:
        observations = extra.get("observations") if isinstance(extra, dict) else None
        for observation in observations if isinstance(observations, list) else []:
            uri = observation.get("dataset_uri") if isinstance(observation, dict) else None
            if isinstance(uri, str) and uri:
                uris[uri] = None
    return list(uris)
