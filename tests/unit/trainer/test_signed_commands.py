"""The commands with keys: what is signed, what is refused, and that nobody sees the private key."""

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from models import promoting
from models.manifest import Manifest
from models.signing import SigningKey, signing_key
from models.store import ModelStore
from tests.support import fitted
from tests.support.findings_examples import clear
from tests.support.fitted import NOON
from tests.support.histories import noise, write
from tests.support.signed import secret_of, signing, trusting
from trainer.publishing.findings_file import FINDINGS_FILE, findings_to_json

Run = Callable[..., tuple[int, str, str]]


def published(store: ModelStore, seconds: int = 0) -> Manifest:
    return fitted.published(store, seconds, {FINDINGS_FILE: findings_to_json(clear())})


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and no setting from the environment or from somebody's .env."""
    monkeypatch.chdir(tmp_path)
    for name in ("MODELS_DIR", "PROFILE_CLASS", "MODEL_SIGNING_KEY", "MODEL_PUBLIC_KEY", "MODEL_MIN_SEQUENCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def key(run: Run) -> SigningKey:
    """A key that keygen has made, at keys/models."""
    Path("keys").mkdir()
    assert run("keygen", "keys/models")[0] == 0
    return signing_key("keys/models", Path("model-store"))


@pytest.fixture
def as_publisher(key: SigningKey, monkeypatch: pytest.MonkeyPatch) -> SigningKey:
    monkeypatch.setenv("MODEL_SIGNING_KEY", "keys/models")
    return key


def store_of(key: SigningKey) -> ModelStore:
    """The store as a worker sees it."""
    return ModelStore(Path("model-store"), trusting(key))


def unsigned(seconds: int = 0) -> str:
    """The id of a new version that nobody has signed."""
    return published(ModelStore(Path("model-store")), seconds).id


# --- keygen ----------------------------------------------------------------------------------------------------------


def test_keygen_makes_a_pair_and_says_what_to_do_with_it(tmp_path: Path, run: Run) -> None:
    status, output, errors = run("keygen", "models.key")
    assert (status, errors) == (0, "")
    key = signing_key("models.key", Path("model-store"))
    assert stat.S_IMODE(Path("models.key").stat().st_mode) == 0o600
    assert f"MODEL_SIGNING_KEY={tmp_path}/models.key\n" in output
    assert f"MODEL_PUBLIC_KEY={key.one_line}\n" in output
    assert secret_of(key) not in output
    assert b"PUBLIC" in Path("models.key.pub").read_bytes()


@pytest.mark.parametrize("there", ["models.key", "models.key.pub"])
def test_keygen_overwrites_nothing(run: Run, there: str) -> None:
    Path(there).write_text("mine")
    status, output, errors = run("keygen", "models.key")
    assert (status, output) == (2, "")
    assert errors == (
        f"segment-trainer: {there} already exists and is never overwritten: give another path, or move it away\n"
    )
    assert [path.name for path in Path().iterdir()] == [there]
    assert Path(there).read_text() == "mine"


def test_keygen_puts_no_key_into_the_store_nor_into_a_folder_that_is_not_there(run: Run) -> None:
    for words, reason in (
        (["model-store/key"], "the private key must not lie in the model store model-store"),
        (["shared/keys/key", "--models", "shared"], "the private key must not lie in the model store shared"),
        (["nowhere/key"], r"nowhere/key.pub cannot be written (No such file or directory)"),
    ):
        status, output, errors = run("keygen", *words)
        assert (status, output) == (2, "")
        assert reason in errors
        assert errors.count("\n") == 1
    assert [*Path().iterdir()] == []


# --- with a key ------------------------------------------------------------------------------------------------------


def test_what_is_promoted_with_a_key_is_loaded_with_its_public_half(run: Run, as_publisher: SigningKey) -> None:
    first, second = (published(ModelStore(Path("model-store"), signing(as_publisher)), at).id for at in (0, 60))
    for version in (first, second):
        assert run("promote", version)[0] == 0
    assert run("rollback")[0] == 0
    loaded = store_of(as_publisher).load_alias("production")
    assert (loaded.manifest.id, loaded.sequence) == (first, 3)

    header, *lines = run("history")[1].splitlines()
    assert header.split()[-1] == "sequence"
    assert [line.split()[-1] for line in lines] == ["1", "2", "3"]
    assert [entry["sequence"] for entry in json.loads(run("history", "--json")[1])] == [1, 2, 3]
    assert all(" verified" in line for line in run("list")[1].splitlines()[1:])
    assert re.search(r"^signature +verified$", run("show", first)[1], re.MULTILINE)
    assert json.loads(run("show", first, "--json")[1])["signature"] == "verified"
    assert run("prune", "--keep", 1)[1] == "0 removed, 2 kept\n"


def test_a_fit_and_a_name_are_signed(run: Run, as_publisher: SigningKey, monkeypatch: pytest.MonkeyPatch) -> None:
    # Drawing reports takes seconds.
    for module in ("publishing.version", "commands.name"):
        monkeypatch.setattr(f"trainer.{module}.report_files", lambda _: {"report.html": b"a page"})
    write(Path("users.csv"), noise(200))
    words = ("fit", "users.csv", "--k", 2, "--columns", "all", "--promote", "--accept-no-structure")
    assert run(*words)[0] == 0
    fitted = store_of(as_publisher).load_alias("production").manifest
    assert run("name", fitted.id, 0, "Owls")[0] == 0
    (named,) = {*store_of(as_publisher).version_ids()} - {fitted.id}
    assert store_of(as_publisher).load(named).segmentation.names[0] == "Owls"
    assert run("promote", named, "--accept-no-structure")[0] == 0
    assert store_of(as_publisher).load_alias("production").sequence == 2


def test_a_report_is_made_of_signed_findings_only(run: Run, as_publisher: SigningKey) -> None:
    signed = published(ModelStore(Path("model-store"), signing(as_publisher))).id
    assert run("report", signed)[0] == 0
    assert b"<html" in Path(f"report-{signed}.html").read_bytes()
    status, output, errors = run("report", version := unsigned(60))
    assert (status, output) == (2, "")
    assert f"version {version} is not signed" in errors
    assert not Path(f"report-{version}.html").exists()


def test_without_keys_the_commands_say_that_signatures_are_not_checked(
    run: Run, as_publisher: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = published(ModelStore(Path("model-store"), signing(as_publisher))).id
    run("promote", signed)
    monkeypatch.delenv("MODEL_SIGNING_KEY")
    plain = unsigned(60)
    assert "not checked: MODEL_PUBLIC_KEY is not set" in run("show", signed)[1]
    assert re.search(r"^signature +none$", run("show", plain)[1], re.MULTILINE)
    listed = json.loads(run("list", "--json")[1])
    assert {entry["id"]: entry["signature"] for entry in listed} == {signed: "unchecked", plain: "none"}
    status, output, errors = run("promote", plain)
    assert (status, output) == (2, "")
    assert "are signed, and a worker with the key refuses unsigned entries: set MODEL_SIGNING_KEY" in errors


def test_an_unsigned_version_is_listed_and_named_as_such_and_promoted_only_by_who_vouches_for_it(
    run: Run, as_publisher: SigningKey
) -> None:
    version = unsigned()
    assert run("list")[1].splitlines()[1].startswith(f"version {version} is not signed")
    status, output, errors = run("promote", version)
    assert (status, output) == (2, "")
    assert f"or vouch for it with `segment-trainer promote {version} --accept-unsigned`" in errors
    status, output, errors = run("promote", version, "--accept-unsigned")
    assert (status, errors) == (0, "")
    assert output.splitlines() == [
        f"{version} is signed now, as it is in model-store",
        f"{version} is in production now, before: none; running workers switch to it, unless their MODEL_POLL_S is 0",
    ]
    assert store_of(as_publisher).load_alias("production").sequence == 1
    assert run("promote", version, "--accept-unsigned")[1] == f"{version} is already in production\n"


def test_a_store_without_signatures_becomes_one_with_them(
    run: Run, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = unsigned()
    assert run("promote", version)[0] == 0
    monkeypatch.setenv("MODEL_SIGNING_KEY", "keys/models")
    for words in (["history"], ["rollback"], ["fit", "users.csv", "--promote"], ["promote", version]):
        status, output, errors = run(*words)
        assert (status, output) == (2, "")
        assert re.search(r"promote a version with MODEL_SIGNING_KEY$|--accept-unsigned`$", errors.strip()), errors
    assert run("promote", version, "--accept-unsigned")[0] == 0
    assert [entry["sequence"] for entry in json.loads(run("history", "--json")[1])] == [1]
    assert store_of(key).load_alias("production").manifest.id == version


def test_nobody_vouches_without_a_key(run: Run, key: SigningKey, monkeypatch: pytest.MonkeyPatch) -> None:
    version = unsigned()
    monkeypatch.setenv("MODEL_PUBLIC_KEY", "keys/models.pub")
    status, output, errors = run("promote", version, "--accept-unsigned")
    assert (status, output) == (2, "")
    assert "set it to the private key's path" in errors


def test_a_fit_that_could_not_be_signed_is_refused_before_it_begins(
    run: Run, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_PUBLIC_KEY", key.one_line)
    status, output, errors = run("fit", "not-there.csv")
    assert (status, output) == (2, "")
    assert "MODEL_SIGNING_KEY is missing: set it to the path of the private key" in errors


def test_an_older_history_that_was_put_back_stops_the_trainer_too(
    run: Run, as_publisher: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = published(ModelStore(Path("model-store"), signing(as_publisher))).id
    run("promote", version)
    monkeypatch.setenv("MODEL_MIN_SEQUENCE", "2")
    for words in (["promote", version], ["rollback"], ["history"], ["list"], ["prune", "--keep", "1"]):
        status, _, errors = run(*words)
        assert status == 2, words
        assert "ends at sequence 1, MODEL_MIN_SEQUENCE is 2" in errors
    Path("model-store/aliases.jsonl").rename("aliases.old")
    assert run("promote", version)[0] == 0
    assert store_of(as_publisher).load_alias("production").sequence == 3


def test_the_commands_say_where_a_history_begins_whose_beginning_was_overwritten(
    run: Run, as_publisher: SigningKey
) -> None:
    versions = [published(ModelStore(Path("model-store"), signing(as_publisher)), at).id for at in (0, 60)]
    for version in versions:
        run("promote", version)
    assert "begins at" not in "".join(run("history")[1:] + run("list")[1:])
    path = Path("model-store/aliases.jsonl")
    path.write_bytes(b"junk\n" + path.read_bytes().splitlines(keepends=True)[-1])
    said = (
        "the history of promotions in model-store begins at sequence 2; 1 line before it is not signed by a key of "
        "MODEL_PUBLIC_KEY: unless it was restarted, or keys were changed, compare aliases.jsonl with a backup"
    )
    for command in ("history", "list"):
        assert run(command)[1].splitlines()[-1] == said
        status, output, errors = run(command, "--json")
        assert (status, errors) == (0, said + "\n")
        assert json.loads(output)
    assert run("rollback")[0] == 2


def test_a_history_of_which_nothing_is_left_but_another_alias_says_so(run: Run, as_publisher: SigningKey) -> None:
    store = ModelStore(Path("model-store"), signing(as_publisher))
    for alias in ("production", "canary"):
        promoting.promote(store, published(store, 60 * len(alias)).id, alias, NOON)
    path = store.root / "aliases.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[-1])
    nothing, beginning = run("history")[1].splitlines()
    assert nothing.startswith("no version in model-store has been promoted yet")
    assert "begins at sequence 2; no lines before it" in beginning


@pytest.mark.parametrize("value", ["x", "-1", str(2**53)])
@pytest.mark.usefixtures("as_publisher")
def test_a_minimum_sequence_that_is_not_a_number_is_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("MODEL_MIN_SEQUENCE", value)
    status, _, errors = run("list")
    assert status == 2
    assert errors.startswith("segment-trainer: MODEL_MIN_SEQUENCE")
    assert errors.count("\n") == 1


def test_the_private_key_is_never_printed_whatever_it_is_mistaken_for(
    run: Run, key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = secret_of(key)
    version = unsigned()
    Path("model-store/key").write_text(Path("keys/models").read_text())
    for setting in ("MODEL_SIGNING_KEY", "MODEL_PUBLIC_KEY", "MODEL_MIN_SEQUENCE"):
        for value in (Path("keys/models").read_text(), secret, "keys/models", "model-store/key", f"ed25519:{secret}"):
            monkeypatch.setenv(setting, value)
            for words in (["list"], ["promote", version], ["show", version], ["promote", "--help"]):
                _, output, errors = run(*words)
                assert secret not in output + errors, (setting, words)
                assert "Traceback" not in errors
            monkeypatch.delenv(setting)
