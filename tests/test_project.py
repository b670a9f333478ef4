"""Facts about the repository itself that rot without a sign: locks, build files, commands that documents name."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from trainer.settings import TrainerSettings
from worker.settings import Settings
from worker.settings_loading import setting_rows

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = ("base", "trainer", "export", "demo", "test")
WITHIN = (("base", "trainer"), ("trainer", "export"), ("trainer", "demo"), ("export", "test"), ("demo", "test"))
LOCKS = tuple(sorted((ROOT / "requirements").glob("*.txt")))


def text(name: str) -> str:
    return (ROOT / name).read_text()


def tracked_texts() -> dict[str, str]:
    """Every tracked file that is text, by its path."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("no git checkout, so nothing says which files are the project's")
    files = {}
    for name in filter(None, listed.stdout.split("\0")):
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b"\0"
        if b"\0" not in content:
            files[name] = content.decode()
    return files


def locked(name: str) -> list[Requirement]:
    """The requirements of a lock, without their hashes."""
    lines = re.sub(r"\\\n\s*--hash=\S+", "", text(f"requirements/{name}.txt")).splitlines()
    return [Requirement(line.rstrip(" \\")) for line in lines if line and not line.startswith("#")]


def versions(name: str) -> dict[tuple[str, str], str]:
    return {(canonicalize_name(one.name), str(one.marker)): str(one.specifier) for one in locked(name)}


def wanted(extra: str) -> list[Requirement]:
    """What pyproject.toml asks for with this extra, other extras that it names included."""
    project = PROJECT["project"]
    asked = [*project["dependencies"]]
    pending = [] if extra == "base" else [extra]
    for name in pending:
        for line in project["optional-dependencies"][name]:
            requirement = Requirement(line)
            if requirement.name == project["name"]:
                pending.extend(requirement.extras)
            else:
                asked.append(line)
    return [Requirement(line) for line in asked]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_holds_pinned_names_and_their_hashes_and_nothing_else(lock: Path) -> None:
    pin = r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==\S+( ; [^\\\n]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+"
    assert re.fullmatch(rf"(#[^\n]*\n)*({pin}\n)+", lock.read_text())


def test_a_lock_names_the_extras_that_its_packages_ask_of_each_other() -> None:
    # Otherwise pip takes the newest version for the extra, and a lock ends on the day that one comes out.
    pins = {canonicalize_name(pin.name): pin.extras for pin in locked("test")}
    asked = [
        requirement
        for name in pins
        if (lines := requires(name)) is not None
        for requirement in map(Requirement, lines)
        if requirement.extras and (requirement.marker is None or requirement.marker.evaluate({"extra": ""}))
    ]
    assert asked, "no locked package asks for an extra: this test looks at nothing"
    assert [str(one) for one in asked if not one.extras <= pins[canonicalize_name(one.name)]] == []


def requires(name: str) -> list[str] | None:
    try:
        return metadata.requires(name)
    except metadata.PackageNotFoundError:  # locked for another system
        return None


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_lock_satisfies_what_pyproject_asks_for(extra: str) -> None:
    pins = locked(extra)
    for requirement in wanted(extra):
        found = [pin for pin in pins if canonicalize_name(pin.name) == canonicalize_name(requirement.name)]
        assert found, f"{requirement} is not in requirements/{extra}.txt: run make lock"
        for pin in found:
            version = str(pin.specifier).removeprefix("==")
            assert requirement.specifier.contains(version), f"{pin} is locked, {requirement} is asked for"


@pytest.mark.parametrize(
    ("extras", "packages"),
    [
        (["fast"], ["schemas", "models", "worker"]),
        (["export"], ["trainer"]),
        (["demo", "avro"], ["demo"]),
        (["test"], ["tests"]),
    ],
)
def test_every_package_that_the_code_imports_is_asked_for(extras: list[str], packages: list[str]) -> None:
    asked = {canonicalize_name(requirement.name) for extra in extras for requirement in wanted(extra)}
    # pydantic pins the second exactly and its documentation sends to the third.
    asked |= {canonicalize_name(name) for name in (PROJECT["project"]["name"], "pydantic-core", "annotated-types")}
    origins = metadata.packages_distributions()
    imported = {
        (path.relative_to(ROOT).as_posix(), canonicalize_name(origins[module][0]))
        for package in packages
        for path in sorted((ROOT / package).rglob("*.py"))
        for module in imported_modules(path)
        if module in origins
    }
    assert [(path, name) for path, name in sorted(imported) if name not in asked] == []


def imported_modules(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_bytes())))
    plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    of = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in plain | of}


@pytest.mark.parametrize(("smaller", "larger"), WITHIN)
def test_each_extra_installs_the_same_versions_as_the_next_larger_one(smaller: str, larger: str) -> None:
    assert versions(smaller).items() <= versions(larger).items()


def test_the_build_lock_holds_the_build_backend_and_installs_beside_every_extra() -> None:
    build, test = versions("build"), versions("test")
    backend = {canonicalize_name(Requirement(line).name) for line in PROJECT["build-system"]["requires"]}
    assert backend <= {name for name, _ in build}
    assert {name: build[name] for name in build.keys() & test.keys()} == {
        name: test[name] for name in build.keys() & test.keys()
    }


@pytest.mark.parametrize(
    ("files", "forbidden"),
    [
        (
            r"requirements/|\.ci/|Makefile|Dockerfile|docker-compose|\.dockerignore|\.gitignore",
            r"https?://(?!127\.0\.0\.1[:/])",
        ),
        ("", r"(?i)index[-_]url|find[-_]links|trusted[-_]host|https?://\S*/(simple|maven2)\b"),
        ("", r"(?<![\w.])/(work|root|home|farm|Users)/\w"),
    ],
    ids=["a registry in a build file", "a package index", "a path of the machine where it was written"],
)
def test_no_file_names(files: str, forbidden: str) -> None:
    here = Path(__file__).relative_to(ROOT).as_posix()
    found = [
        name
        for name, content in tracked_texts().items()
        if name != here and re.match(files, name) and re.search(forbidden, content)
    ]
    assert found == []


def test_every_link_inside_a_document_leads_somewhere() -> None:
    link = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)|(?:src|href)=\"(?![a-z]+:|#)([^\"#]+)\"")
    missing = [
        (name, target)
        for name, content in tracked_texts().items()
        if name.endswith(".md")
        for target in (one or other for one, other in link.findall(content))
        if not (ROOT / name).parent.joinpath(target).exists()
    ]
    assert missing == []


def test_the_reference_of_commands_and_settings_is_what_the_code_says() -> None:
    ended = subprocess.run(
        [sys.executable, "docs/make_reference.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert ended.stdout == text("docs/reference.md"), "run: python docs/make_reference.py > docs/reference.md"


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    named = {
        (name, target)
        for name, content in tracked_texts().items()
        if name.endswith((".md", ".yml"))
        for target in re.findall(r"(?:`|^|&& )make ([a-z][a-z-]*)", content, re.MULTILINE)
    }
    assert {(name, target) for name, target in named if target not in targets} == set()


@pytest.mark.parametrize("command", sorted(PROJECT["project"]["scripts"]))
def test_a_console_script_names_a_function_that_exists(command: str) -> None:
    module, _, function = PROJECT["project"]["scripts"][command].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_wheel_and_the_images_hold_every_package_that_a_console_script_starts() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {script.partition(".")[0] for script in PROJECT["project"]["scripts"].values()} <= set(packages)
    assert {f"!{package}" for package in packages} <= set(text(".dockerignore").splitlines())


def compose_service(name: str) -> dict[str, Any]:
    """What docker-compose.yml says of one service."""
    service: dict[str, Any] = yaml.safe_load(text("docker-compose.yml"))["services"][name]
    return service


@pytest.mark.parametrize(("service", "settings"), [("worker", Settings), ("trainer", TrainerSettings)])
def test_every_setting_that_a_container_is_given_exists(
    service: str, settings: type[Settings | TrainerSettings]
) -> None:
    given: dict[str, str] = compose_service(service)["environment"]
    assert given.keys() <= {name.upper() for name in settings.model_fields}
    passed_on = {name: value for name, value in given.items() if "$" in value}
    assert passed_on == {name: f"${{{name}:-}}" for name in passed_on}, "under its own name, and empty when not given"
    settings.model_validate({name.lower(): value for name, value in given.items() if name not in passed_on})


def test_every_setting_that_an_image_is_given_exists() -> None:
    given = set(re.findall(r"\b((?:WORKER|KAFKA|MODELS?|PROFILE)_[A-Z_]+)=", text("Dockerfile")))
    assert "WORKER_HTTP_PORT" in given
    assert given <= {row.variable for row in setting_rows()}


def test_an_image_runs_as_a_number_that_is_not_root() -> None:
    users = {stage: re.findall(r"^USER (\S+)", body, re.MULTILINE) for stage, body in image_stages().items()}
    assert {stage: users[stage][-1] for stage in ("worker", "trainer")} == {
        "worker": "10001:10001",
        "trainer": "10001:10001",
    }


def image_stages() -> dict[str, str]:
    parts = re.split(r"^FROM \S+ AS (\S+)$", text("Dockerfile"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_an_image_installs_only_what_is_hash_checked_and_the_project_without_its_dependencies() -> None:
    installs = re.findall(r"pip .*?\binstall\b.*|pip wheel.*", text("Dockerfile"))
    assert len(installs) >= 4
    assert [line for line in installs if "--require-hashes" not in line and "--no-deps" not in line] == []


def test_the_oldest_python_is_the_same_in_pyproject_make_and_the_lock() -> None:
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert f"--python-version {oldest} " in text("Makefile")
    assert f"sys.version_info < ({oldest.replace('.', ', ')})" in text("Makefile")
    assert f"Python {oldest} or newer is needed" in text("Makefile")


def test_test_files_share_code_through_tests_support_only() -> None:
    shared = [
        (path.relative_to(ROOT).as_posix(), node.module)
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tests.")
    ]
    assert shared
    own_folder = {(name, module) for name, module in shared if module.split(".")[1] == name.split("/")[1]}
    of_tests = {(name, module) for name, module in shared if ".test_" in module}
    elsewhere = {(name, module) for name, module in shared if not module.startswith("tests.support")} - own_folder
    assert elsewhere | of_tests == set()


def test_the_changelog_has_a_section_for_the_version() -> None:
    assert f"## {PROJECT['project']['version']} " in text("CHANGELOG.md")
