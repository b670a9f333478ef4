"""The command line of the trainer: segment-trainer, or python -m trainer."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from models import promoting
from models.errors import ModelError
from models.manifest import Verdict
from models.promoting import PROMOTABLE
from models.signing import keyring
from models.store import ModelStore
from schemas.errors import ProfileClassError
from schemas.misspelt_settings import misspelt_settings
from schemas.release import release
from schemas.roles import load_profile_class
from trainer.argument_types import at_least, day, groups, picture, share, store_path
from trainer.errors import TrainerError
from trainer.settings import TrainerSettings
from trainer.text.production import PRODUCTION

if TYPE_CHECKING:  # needs an extra
    from trainer.commands.bad_rows import BadRows
    from trainer.commands.compare import Comparison
    from trainer.history.dates import DayRule
    from trainer.pipeline import FitOptions

ACT_FIRST = 2
INTERRUPTED = 130

OUR_PACKAGES = frozenset({"trainer", "models", "schemas"})

_NEW_OBJECTS = 100_000


def program() -> int:
    """`main` in a process of its own."""
    # Imports create no garbage: searching their objects, again and again and once more at the end, takes an eighth of a
    # fit to 1,000 users.
    gc.set_threshold(_NEW_OBJECTS)
    atexit.register(gc.freeze)
    return main()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 2 a person must act, 130 interrupted."""
    try:
        arguments = _parsed(_parser(TrainerSettings()), argv)
        for misspelt in misspelt_settings(TrainerSettings):
            print(f"segment-trainer: {misspelt.line}", file=sys.stderr)
        arguments.run(arguments)
        sys.stdout.flush()
    except (TrainerError, ModelError, ProfileClassError) as error:
        return _refused(str(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in OUR_PACKAGES:
            raise
        return _refused(_missing_extra(package))
    except BrokenPipeError:
        # The reader has closed our output; flushing the buffer at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ValidationError as error:
        return _refused(_wrong_settings(error))
    except UnicodeDecodeError as error:
        return _refused(f".env cannot be read ({error}): correct it, or move it away")
    except OSError as error:
        return _refused(
            f"{error.filename or 'a file'}: {error.strerror or error}: check its permissions and the free space there"
        )
    except KeyboardInterrupt:
        print("segment-trainer: interrupted; no partial files were left behind", file=sys.stderr)
        return INTERRUPTED
    return 0


def _refused(reason: str) -> int:
    print(f"segment-trainer: {reason}", file=sys.stderr)
    return ACT_FIRST


def _missing_extra(package: str) -> str:
    extra = "export" if package in {"onnx", "onnxruntime"} else "trainer"
    return (
        f"this command needs {package}, which the base install does not have: "
        f'install it with the extra "{extra}" '
        f"(from a checkout: pip install --require-hashes -r requirements/{extra}.txt)"
    )


def _wrong_settings(error: ValidationError) -> str:
    details = error.errors(include_input=False, include_url=False)
    wrong = "; ".join(f"{str(detail['loc'][0]).upper()}: {detail['msg']}" for detail in details)
    return f"{wrong} (set in the environment or in .env)"


# --- commands --------------------------------------------------------------------------------------------------------


def _init(arguments: argparse.Namespace) -> None:
    from trainer.commands.init import init, print_initialised, print_initialised_as_json

    done = init(arguments.data, arguments.output, _store_flag(arguments))
    (print_initialised_as_json if arguments.json else print_initialised)(done)


def _fit(arguments: argparse.Namespace) -> None:
    from trainer.commands.promote import promote, promoted_already
    from trainer.text.summary import next_step

    store = _store(arguments)
    # Before the work, which may take an hour.
    store.keys.require_signing()
    profile_class = load_profile_class(arguments.profile)
    if arguments.promote and (version := promoted_already(store, profile_class)) is not None:
        print(f"{version} is already in production in {store.root}: nothing was fitted")
        return
    from trainer.commands.fit import fit_history, print_fit
    from trainer.text.progress import watched

    options = _fit_options(arguments)
    bad_rows = _bad_rows(arguments)
    with watched(sys.stderr) as watcher:
        published = fit_history(
            arguments.data, profile_class, options, bad_rows, store, datetime.now(UTC), watcher, arguments.as_of
        )
    print_fit(published, store, None if arguments.promote else next_step(published.manifest, _store_flag(arguments)))
    if arguments.promote:
        promote(store, published.manifest.id, datetime.now(UTC), _accepted_verdicts(arguments))


def _fit_options(arguments: argparse.Namespace) -> FitOptions:
    from trainer.fitting.columns import ColumnRule
    from trainer.pipeline import FitOptions
    from trainer.privacy import DEMOGRAPHIC

    return FitOptions(
        k=arguments.k,
        groups=arguments.only,
        columns=ColumnRule(arguments.columns),
        seed=arguments.seed,
        max_k=arguments.max_k,
        min_segment_users=arguments.min_segment_users,
        not_named=frozenset() if arguments.name_demographics else frozenset({DEMOGRAPHIC}),
    )


def _assign(arguments: argparse.Namespace) -> None:
    from trainer.commands.assign import assign_history, print_assigned, refuse_output
    from trainer.text.progress import watched

    profile_class = load_profile_class(arguments.profile)
    refuse_output(arguments.output, arguments.data)
    store = _store(arguments)
    model = store.load_alias(PRODUCTION) if arguments.version is None else store.load(arguments.version)
    day_rule = _day_rule(arguments, store, profile_class, model.manifest.id)
    with watched(sys.stderr) as watcher:
        assigned = assign_history(
            arguments.data, profile_class, model, arguments.output, _bad_rows(arguments), watcher, day_rule
        )
    print_assigned(assigned)


def _list(arguments: argparse.Namespace) -> None:
    from trainer.commands.list import list_versions, list_versions_as_json

    (list_versions_as_json if arguments.json else list_versions)(_store(arguments))


def _show(arguments: argparse.Namespace) -> None:
    from trainer.commands.show import show, show_as_json

    (show_as_json if arguments.json else show)(_store(arguments), arguments.version)


def _report(arguments: argparse.Namespace) -> None:
    from trainer.commands.report import print_written, write_report

    print_written(arguments.version, write_report(_store(arguments), arguments.version, arguments.output))


def _history(arguments: argparse.Namespace) -> None:
    from trainer.commands.history import print_history, print_history_as_json

    (print_history_as_json if arguments.json else print_history)(_store(arguments))


def _promote(arguments: argparse.Namespace) -> None:
    from trainer.commands.promote import promote, sign
    from trainer.text.summary import days_counted, left_out, skipped

    store = _store(arguments)
    if arguments.accept_unsigned:
        sign(store, arguments.version)
    before = promoting.to_replace(store, PRODUCTION)
    measured = None
    if arguments.data is not None and before is not None and before.version != arguments.version:
        compared = _compared(arguments, store, before.version, arguments.version)
        measured = compared.lineage.reassigned
        for name, fact in (
            *skipped(compared.rows_skipped),
            *left_out(compared.too_little_known),
            *days_counted(compared.counted_to),
        ):
            print(f"{name} {fact}")
    accepted = _accepted_verdicts(arguments)
    promote(store, arguments.version, datetime.now(UTC), accepted, arguments.max_reassigned, measured)


def _compare(arguments: argparse.Namespace) -> None:
    from trainer.commands.compare import print_comparison, print_comparison_as_json, refuse_plot, write_picture

    refuse_plot(arguments.plot)
    compared = _compared(arguments, _store(arguments), arguments.before, arguments.after)
    if arguments.plot is not None:
        write_picture(arguments.plot, compared.lineage)
    (print_comparison_as_json if arguments.json else print_comparison)(compared)


def _compared(arguments: argparse.Namespace, store: ModelStore, before: str, after: str) -> Comparison:
    from trainer.commands.compare import compare
    from trainer.text.progress import watched

    profile_class = load_profile_class(arguments.profile)
    day_rule = _day_rule(arguments, store, profile_class, before, after)
    with watched(sys.stderr) as watcher:
        return compare(arguments.data, profile_class, store, (before, after), _bad_rows(arguments), watcher, day_rule)


def _day_rule(
    arguments: argparse.Namespace, store: ModelStore, profile_class: type[BaseModel], *versions: str
) -> DayRule:
    """To which day days are counted for these versions; their findings are read only where they decide it."""
    from trainer.history.dates import DayRule, has_dates, today_anywhere
    from trainer.publishing.findings_file import fitted_days

    decides = arguments.as_of is None and has_dates(profile_class)
    fitted = fitted_days(store, versions) if decides else {}
    return DayRule(arguments.as_of, today_anywhere(datetime.now(UTC)), fitted)


def _bad_rows(arguments: argparse.Namespace) -> BadRows:
    from trainer.commands.bad_rows import BadRows

    return BadRows.SKIP if arguments.skip_bad_rows else BadRows.REFUSE


def _name(arguments: argparse.Namespace) -> None:
    from trainer.commands.name import give_name, print_named

    store = _store(arguments)
    named = give_name(store, arguments.version, arguments.segment, arguments.name, datetime.now(UTC))
    print_named(named, store, _store_flag(arguments))


def _export(arguments: argparse.Namespace) -> None:
    from trainer.commands.export import print_exported
    from trainer.exporting.export import Target, export

    model = _store(arguments).load(arguments.version)
    print_exported(export(model, Target(arguments.to), arguments.output))


def _keygen(arguments: argparse.Namespace) -> None:
    from trainer.commands.keygen import keygen

    keygen(arguments.file, arguments.models)


def _rollback(arguments: argparse.Namespace) -> None:
    from trainer.commands.rollback import rollback

    rollback(_store(arguments), datetime.now(UTC))


def _prune(arguments: argparse.Namespace) -> None:
    from trainer.commands.prune import prune

    prune(_store(arguments), arguments.keep)


def _store(arguments: argparse.Namespace) -> ModelStore:
    settings: TrainerSettings = arguments.settings
    secret = settings.model_signing_key
    signing = None if secret is None else secret.get_secret_value()
    keys = keyring(settings.model_public_key, signing, settings.model_min_sequence, arguments.models)
    return ModelStore(arguments.models, keys)


def _accepted_verdicts(arguments: argparse.Namespace) -> frozenset[Verdict]:
    return frozenset(Verdict) if arguments.accept_no_structure else PROMOTABLE


def _store_flag(arguments: argparse.Namespace) -> str:
    """The user's --models, to be repeated in the next command; empty where it is the default."""
    return (
        "" if arguments.models == arguments.settings.models_dir else f" --models {shlex.quote(str(arguments.models))}"
    )


# --- arguments -------------------------------------------------------------------------------------------------------


class _ShowVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"segment-trainer {release()}")
        parser.exit()


class _Renamed(argparse.Action):
    """An old spelling, refused with the new one."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.error(f"{self.option_strings[0]} is now {self.const}")


def _parsed(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; an unknown one is refused with the usage of its own command."""
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return arguments


def _parser(settings: TrainerSettings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segment-trainer",
        description="Fit segments on a history of users, judge whether they are real, and choose the version that "
        "workers use.",
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version of this program and exit")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    shared = _shared_arguments(settings)

    def command(name: str, run: Callable[[argparse.Namespace], None], promise: str, *takes: str) -> _Add:
        added = commands.add_parser(name, help=promise[:1].lower() + promise[1:-1], description=promise)
        added.set_defaults(run=run, settings=settings, parser=added)
        for each in ("--models", *takes):
            added.add_argument(each, **shared[each])
        return added.add_argument

    promise = "Write a profile class for a table that nobody prepared, and say what each of its columns is."
    add = command("init", _init, promise, "data", "--json")
    add("-o", "--output", type=Path, required=True, metavar="FILE.py", help="the file to write; never overwritten")

    add = command(
        "fit",
        _fit,
        "Check a history, choose the number of segments, fit them, and write a new version.",
        "data",
        "--profile",
        "--as-of",
        "--skip-bad-rows",
        "--accept-no-structure",
    )
    add("--k", type=at_least(2), metavar="N", help="number of segments (default: chosen, 2 to --max-k)")
    for flag, least, default, what in (
        ("--max-k", 2, 10, "the largest number of segments to try"),
        ("--min-segment-users", 1, 20, "the fewest users that a published segment may have"),
        ("--seed", 0, 0, "seed of every random draw"),
    ):
        add(flag, type=at_least(least), default=default, metavar="N", help=f"{what} (default: %(default)s)")
    add(
        "--only",
        type=groups,
        metavar="GROUP,…",
        help="use only these feature groups of the profile class, such as behaviour,device (default: all)",
    )
    add(
        "--columns",
        choices=("related", "all"),
        default="related",
        help="use the columns that are associated with another column (default), or all that vary",
    )
    for flag, effect in (
        (
            "--name-demographics",
            "use demographic fields in names, suggestions and tiers (default: in descriptions only)",
        ),
        (
            "--promote",
            "put the new version into production; succeed without a fit if one of this class is there already",
        ),
    ):
        add(flag, action="store_true", help=effect)

    promise = "Write the segment of every user of a history, using a stored version."
    add = command("assign", _assign, promise, "data", "--profile", "--as-of", "--skip-bad-rows")
    add("-o", "--output", type=Path, required=True, metavar="FILE", help="the .csv or .parquet file to write")
    add("--version", metavar="VERSION", help="the version to use (default: the one in production)")

    command("list", _list, "List the versions, oldest first.", "--json")
    command("show", _show, "Show one version: its verdict, evidence, columns and origin.", "version", "--json")
    add = command("report", _report, "Write the report of a version again, from its findings.", "version")
    out = "the .html file to write (default: report-VERSION.html in the working directory)"
    add("-o", "--output", type=Path, metavar="FILE", help=out)
    command("history", _history, "Show which version was in production when.", "--json")

    promise = "Put a version into production; running workers switch to it."
    add = command(
        "promote", _promote, promise, "version", "--profile", "--as-of", "--skip-bad-rows", "--accept-no-structure"
    )
    add(
        "--accept-unsigned",
        action="store_true",
        help="sign an unsigned version as it is in the store: you vouch for it (needs MODEL_SIGNING_KEY)",
    )
    add(
        "--max-reassigned",
        type=share,
        metavar="SHARE",
        help="refuse if more than this share of users would change their segment, 0 to 1 (default: no limit)",
    )
    add("--max-churn", action=_Renamed, nargs="?", const="--max-reassigned", help=argparse.SUPPRESS)
    add(
        "--data",
        type=Path,
        metavar="FILE",
        help="measure the reassigned users on this history (default: as measured when the version was fitted)",
    )

    promise = "Show which users change segment when one version replaces another."
    add = command(
        "compare", _compare, promise, "before", "after", "data", "--profile", "--as-of", "--skip-bad-rows", "--json"
    )
    add("--plot", type=picture, metavar="FILE", help="draw it, as .svg or .png")

    add = command("name", _name, "Name a segment: write a new version that differs only in that name.", "version")
    add("segment", type=at_least(0), metavar="SEGMENT", help="the number of the segment")
    add("name", metavar="NAME", help="1 to 60 characters, not the name of another segment")

    promise = "Write a version in a form that other programs run, from raw fields to segment."
    add = command("export", _export, promise, "version")
    add("--to", choices=("onnx", "sklearn"), required=True, help="an ONNX graph, or a scikit-learn Pipeline (joblib)")
    add("-o", "--output", type=Path, required=True, metavar="FILE", help="the file to write")

    add = command("keygen", _keygen, "Create a key pair for signing models.")
    add("file", type=Path, metavar="FILE", help="the private key; the public key becomes FILE.pub")

    command("rollback", _rollback, "Restore the version that was in production before.")

    promise = "Remove old versions, but never the one in production or the one that rollback would restore."
    add = command("prune", _prune, promise)
    add("--keep", type=at_least(1), required=True, metavar="N", help="how many of the newest to keep")
    return parser


_Add = Callable[..., argparse.Action]
"""Adds one argument to a command."""


def _shared_arguments(settings: TrainerSettings) -> Mapping[str, dict[str, Any]]:
    """The arguments of more than one command, and of the two versions that are compared."""
    return {
        "--models": {
            "type": store_path,
            "default": settings.models_dir,
            "metavar": "DIR",
            "help": "the directory of the model store (environment: MODELS_DIR; now %(default)s)",
        },
        "--profile": {
            "default": settings.profile_class,
            "metavar": "CLASS",
            "help": "the profile class, which lists the columns: file.py:Class or package.module:Class "
            "(environment: PROFILE_CLASS; now %(default)s)",
        },
        "--as-of": {
            "type": day,
            "metavar": "YYYY-MM-DD",
            "help": "the day to which days since a date are counted (default: the newest date in the history; with a "
            "stored version, no day before that of its fit)",
        },
        "--skip-bad-rows": {
            "action": "store_true",
            "help": "leave out the bad rows of the history, and say how many (default: refuse the history); fit lists "
            "them in the version's bad_rows.csv",
        },
        "--accept-no-structure": {
            "action": "store_true",
            "help": "promote the version even if no segments were found in its data",
        },
        "--json": {"action": "store_true", "help": "print JSON for machines"},
        "data": {
            "type": Path,
            "metavar": "DATA.csv",
            "help": "the history, one row per user: CSV as the profile class declares it (default: comma-separated "
            "UTF-8), optionally compressed with gzip, or Parquet",
        },
        "version": {"metavar": "VERSION", "help": "the id of the version, as `list` shows it"},
        "before": {"metavar": "VERSION_BEFORE", "help": "the version that is replaced"},
        "after": {"metavar": "VERSION_AFTER", "help": "the version that replaces it"},
    }


if __name__ == "__main__":
    raise SystemExit(program())
