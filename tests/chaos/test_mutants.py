"""Every mutation still finds what it replaces in the worker; on a real Kafka `make chaos` finds each of them out."""

import subprocess
import sys

import pytest

from tests.chaos import mutants
from tests.chaos.mutants import MUTATIONS, Missing
from tests.support.brokers import ROOT
from tests.support.transport_contract import PATIENCE_S
from worker.kafka.consumer import GroupReader


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_finds_what_it_replaces_and_the_rest_is_the_worker(name: str) -> None:
    command = [sys.executable, "-m", "tests.chaos.mutants", name, "run", "--help"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "WORKER_INSTANCE_ID" in ended.stdout or "--instance-id" in ended.stdout


def test_a_mutation_of_what_is_not_there_is_refused() -> None:
    with pytest.raises(Missing, match=r"GroupReader.* has no poll_everything of its own"):
        mutants._there(GroupReader, "poll_everything")
