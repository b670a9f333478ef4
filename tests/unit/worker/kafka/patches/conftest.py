"""Each test here has kafka-python patched, and leaves it as it was."""

from collections.abc import Iterator

import pytest

from worker.kafka import patches


@pytest.fixture(autouse=True)
def _patched() -> Iterator[None]:
    patches.apply(event_max_bytes=900_000)
    yield
    for module in patches.PATCHES:
        for replacement in module.REPLACEMENTS:
            replacement.install(replacement.upstream)
