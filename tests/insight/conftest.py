from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.insight.city import City, city


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[City]:
    async with city(tmp_path) as it:
        yield it
