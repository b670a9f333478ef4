"""Each test here has kafka-python patched, and leaves it as it found it: integration tests may share the process."""

from collections.abc import Iterator

import pytest

from worker.kafka import patches


@pytest.fixture(autouse=True)
def _patched() -> Iterator[None]:
    replacements = [each for module in patches.PATCHES for each in module.REPLACEMENTS]
    found = [getattr(each._owner, each._name) for each in replacements]
    patches.apply(event_max_bytes=900_000)
    yield
    for each, function in zip(replacements, found, strict=True):
        each.install(function)
