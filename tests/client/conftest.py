from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cli.running import RunningCity, running_city


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCity]:
    """One city for all tests of a worker."""
    with running_city(tmp_path_factory.mktemp("city")) as found:
        yield found
