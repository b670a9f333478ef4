"""The command line of the trainer: segment-trainer, or python -m trainer."""

from __future__ import annotations

import argparse
import math
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from models.errors import ModelError
from models.manifest import Churn, Verdict
from models.signing import keyring
from models.store import PROMOTABLE, ModelStore
from schemas.errors import ProfileClassError
from schemas.release import release
from schemas.roles import load_profile_class
from trainer.commands import store as stored
from trainer.commands.keygen import keygen
from trainer.errors import ExtraMissing, TrainerError
from trainer.settings import TrainerSettings

ACT_FIRST = 2
INTERRUPTED = 130

OUR_PACKAGES = frozenset({"trainer", "models", "schemas"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 2 a person must act first, 130 interrupted."""
    try:
        arguments = _parser(TrainerSettings()).parse_args(argv)
        arguments.run(arguments)
        sys.stdout.flush()
    except (TrainerError, ModelError, ProfileClassError) as error:
        return _refused(str(error))
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is left in the buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except ValidationError as error:
        return _refused(_wrong_settings(error))
    except UnicodeDecodeError as error:
        return _refused(f".env cannot be read ({error}): mend it or move it away")
    except OSError as error:
        return _refused(f"{error.filename or 'a file'}: {error.strerror or error}: check its rights and the room there")
    except KeyboardInterrupt:
        print("segment-trainer: interrupted, nothing unfinished is left", file=sys.stderr)
        return INTERRUPTED
    return 0


def _refused(reason: str) -> int:
    print(f"segment-trainer: {reason}", file=sys.stderr)
    return ACT_FIRST


def _wrong_settings(error: ValidationError) -> str:
    names = ", ".join(str(detail["loc"][0]).upper() for detail in error.errors(include_input=False))
    return f"{names}: not allowed as it is set in the environment or in .env; give a whole number of 0 or more"


# --- commands --------------------------------------------------------------------------------------------------------


def _fit(arguments: argparse.Namespace) -> None:
    store = _store(arguments)
    # Now, and not after an hour of work.
    store.keys.require_signing()
    if arguments.promote and (in_force := store.current(stored.PRODUCTION)) is not None:
        print(f"{in_force.version} is in production in {store.root} already: nothing was fitted")
        return
    profile_class = load_profile_class(arguments.profile)
    try:
        from trainer.commands.fit import BadRows, fit_history, print_fit
        from trainer.fitting.columns import ColumnRule
        from trainer.pipeline import FitOptions
        from trainer.privacy import DEMOGRAPHIC
        from trainer.text.progress import watched
    except ModuleNotFoundError as error:
        raise _missing_extra(error) from error
    options = FitOptions(
        k=arguments.k,
        groups=arguments.only,
        columns=ColumnRule(arguments.columns),
        seed=arguments.seed,
        max_k=arguments.max_k,
        min_segment_users=arguments.min_segment_users,
        not_named=frozenset() if arguments.name_demographics else frozenset({DEMOGRAPHIC}),
    )
    bad_rows = BadRows.SKIP if arguments.skip_bad_rows else BadRows.REFUSE
    with watched(sys.stderr) as watcher:
        created_at = datetime.now(UTC)
        published = fit_history(arguments.data, profile_class, options, bad_rows, store, created_at, watcher)
    print_fit(published, store, _store_flag(arguments))
    if arguments.promote:
        stored.promote(store, published.manifest.id, datetime.now(UTC), _accepting(arguments))


def _assign(arguments: argparse.Namespace) -> None:
    profile_class = load_profile_class(arguments.profile)
    try:
        from trainer.commands.fit import assign_history, print_assigned, refuse_output
        from trainer.text.progress import watched
    except ModuleNotFoundError as error:
        raise _missing_extra(error) from error
    refuse_output(arguments.output, arguments.data)
    store = _store(arguments)
    model = store.load_alias(stored.PRODUCTION) if arguments.version is None else store.load(arguments.version)
    with watched(sys.stderr) as watcher:
        assigned = assign_history(arguments.data, profile_class, model, arguments.output, watcher)
    print_assigned(assigned)


def _list(arguments: argparse.Namespace) -> None:
    (stored.list_versions_as_json if arguments.json else stored.list_versions)(_store(arguments))


def _show(arguments: argparse.Namespace) -> None:
    (stored.show_as_json if arguments.json else stored.show)(_store(arguments), arguments.version)


def _history(arguments: argparse.Namespace) -> None:
    (stored.history_as_json if arguments.json else stored.history)(_store(arguments))


def _promote(arguments: argparse.Namespace) -> None:
    store = _store(arguments)
    if arguments.accept_unsigned:
        stored.sign(store, arguments.version)
    in_force = store.to_replace(stored.PRODUCTION)
    measured = None
    if arguments.data is not None and in_force is not None and in_force.version != arguments.version:
        measured = _measured_churn(arguments, store, in_force.version)
    accepting = _accepting(arguments)
    stored.promote(store, arguments.version, datetime.now(UTC), accepting, arguments.max_churn, measured)


def _measured_churn(arguments: argparse.Namespace, store: ModelStore, in_force: str) -> Churn:
    profile_class = load_profile_class(arguments.profile)
    try:
        from trainer.commands.compare import compare
        from trainer.publishing.manifest_figures import churn_of
        from trainer.text.progress import watched
    except ModuleNotFoundError as error:
        raise _missing_extra(error) from error
    with watched(sys.stderr) as watcher:
        compared = compare(arguments.data, profile_class, store, (in_force, arguments.version), watcher)
    return churn_of(compared.lineage)


def _compare(arguments: argparse.Namespace) -> None:
    profile_class = load_profile_class(arguments.profile)
    try:
        from trainer.commands.compare import (
            compare,
            print_comparison,
            print_comparison_as_json,
            refuse_plot,
            write_picture,
        )
        from trainer.text.progress import watched
    except ModuleNotFoundError as error:
        raise _missing_extra(error) from error
    refuse_plot(arguments.plot)
    store = _store(arguments)
    with watched(sys.stderr) as watcher:
        compared = compare(arguments.data, profile_class, store, (arguments.before, arguments.after), watcher)
    if arguments.plot is not None:
        write_picture(arguments.plot, compared.lineage)
    (print_comparison_as_json if arguments.json else print_comparison)(compared)


def _name(arguments: argparse.Namespace) -> None:
    try:
        from trainer.commands.name import give_name, print_named
    except ModuleNotFoundError as error:
        raise _missing_extra(error) from error
    store = _store(arguments)
    named = give_name(store, arguments.version, arguments.segment, arguments.name, datetime.now(UTC))
    print_named(named, store, _store_flag(arguments))


def _export(arguments: argparse.Namespace) -> None:
    try:
        from trainer.exporting.export import Target, export, print_exported

        model = _store(arguments).load(arguments.version)
        exported = export(model, Target(arguments.to), arguments.output)
    except ModuleNotFoundError as error:
        raise _missing_extra(error) from error
    print_exported(exported)


def _keygen(arguments: argparse.Namespace) -> None:
    keygen(arguments.file, arguments.models)


def _rollback(arguments: argparse.Namespace) -> None:
    stored.rollback(_store(arguments), datetime.now(UTC))


def _prune(arguments: argparse.Namespace) -> None:
    stored.prune(_store(arguments), arguments.keep)


def _store(arguments: argparse.Namespace) -> ModelStore:
    settings: TrainerSettings = arguments.settings
    secret = settings.model_signing_key
    signing = None if secret is None else secret.get_secret_value()
    keys = keyring(settings.model_public_key, signing, settings.model_min_sequence, arguments.models)
    return ModelStore(arguments.models, keys)


def _accepting(arguments: argparse.Namespace) -> frozenset[Verdict]:
    return frozenset(Verdict) if arguments.accept_no_structure else PROMOTABLE


def _store_flag(arguments: argparse.Namespace) -> str:
    """The user's --models, to be repeated in the next command; empty where it is the default."""
    return "" if arguments.models == arguments.default_models else f" --models {shlex.quote(str(arguments.models))}"


def _missing_extra(error: ModuleNotFoundError) -> Exception:
    package = (error.name or "").partition(".")[0]
    if package in OUR_PACKAGES:
        return error
    extra = "export" if package in {"onnx", "onnxruntime"} else "trainer"
    return ExtraMissing(
        f"this command needs {package}, which the base install does not have: "
        f'install it with the extra "{extra}" '
        f"(from a checkout: pip install --require-hashes -r requirements/{extra}.txt)"
    )


# --- arguments -------------------------------------------------------------------------------------------------------


class _ShowVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"segment-trainer {release()}")
        parser.exit()


def _parser(settings: TrainerSettings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segment-trainer", description="Fit segments on a history of users, and say which version is served."
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], promise: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=promise[:1].lower() + promise[1:-1], description=promise)
        added.add_argument(
            "--models",
            type=Path,
            default=settings.models_dir,
            metavar="DIR",
            help="the store of versions (environment: MODELS_DIR; now %(default)s)",
        )
        added.set_defaults(run=run, default_models=settings.models_dir, settings=settings)
        return added

    fit = command("fit", _fit, "Check a history, choose the number of segments, fit them, and write a new version.")
    _takes_history(fit, settings)
    _takes_fit_options(fit)
    assign = command("assign", _assign, "Write the segment of every user of a history with a stored version.")
    _takes_history(assign, settings)
    assign.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the CSV file to write")
    assign.add_argument("--version", metavar="V", help="the version to use (default: the one in production)")

    _takes_json(command("list", _list, "List the versions, oldest first."))
    show = command("show", _show, "Show one version: its verdict, figures, columns and origin.")
    _takes_json(show)
    show.add_argument("version", metavar="V", help="the version's id")
    _takes_json(command("history", _history, "Show which version was in production when."))

    promote = command("promote", _promote, "Put a version into production; running workers take it up.")
    promote.add_argument("version", metavar="V", help="the version's id")
    _takes_acceptance(promote, "")
    promote.add_argument(
        "--accept-unsigned",
        action="store_true",
        help="sign a version that is not, as it lies there: you vouch for it (needs MODEL_SIGNING_KEY)",
    )
    promote.add_argument(
        "--max-churn",
        type=_share,
        metavar="SHARE",
        help="refuse when more than this share of users would change their segment, 0 to 1 (default: any)",
    )
    promote.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="measure the churn on this history (default: as it was measured when the version was fitted)",
    )
    _takes_profile(promote, settings)
    compare = command("compare", _compare, "Show which users move where when one version replaces another.")
    compare.add_argument("before", metavar="A", help="the id of the version that is replaced")
    compare.add_argument("after", metavar="B", help="the id of the version that replaces it")
    _takes_history(compare, settings)
    _takes_json(compare)
    compare.add_argument("--plot", type=_picture, metavar="FILE", help="draw it, as .svg or .png")
    name = command("name", _name, "Name a segment: write a new version that differs in that name only.")
    name.add_argument("version", metavar="VERSION", help="the version's id")
    name.add_argument("segment", type=_at_least(0), metavar="SEGMENT", help="the segment's number")
    name.add_argument("name", metavar="NAME", help="1 to 60 characters that no other segment is named")
    export = command(
        "export", _export, "Write a version in a form that other programs run, from raw fields to segment."
    )
    export.add_argument("version", metavar="VERSION", help="the version's id")
    export.add_argument(
        "--to", choices=("onnx", "sklearn"), required=True, help="an ONNX graph, or a scikit-learn Pipeline (joblib)"
    )
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the file to write")
    making = command("keygen", _keygen, "Make a pair of keys: with the private one models are signed.")
    making.add_argument("file", type=Path, metavar="FILE", help="the private key; the public one becomes FILE.pub")
    command("rollback", _rollback, "Put back the version that was in production before.")
    prune = command(
        "prune", _prune, "Remove old versions, never the one in production nor the one that rollback would put back."
    )
    prune.add_argument("--keep", type=_at_least(1), required=True, metavar="N", help="how many of the newest to keep")
    return parser


def _takes_fit_options(fit: argparse.ArgumentParser) -> None:
    fit.add_argument(
        "--k", type=_at_least(2), metavar="N", help="number of segments (default: chosen by silhouette, 2 to --max-k)"
    )
    fit.add_argument(
        "--max-k", type=_at_least(2), default=10, metavar="N", help="the most segments that are tried (default: 10)"
    )
    fit.add_argument(
        "--min-segment-users",
        type=_at_least(1),
        default=20,
        metavar="N",
        help="a smaller segment is never published (default: 20)",
    )
    fit.add_argument(
        "--only",
        type=_groups,
        metavar="GROUP,…",
        help="feature groups that count, of those that the profile class names: behaviour,device… (default: all)",
    )
    fit.add_argument(
        "--columns",
        choices=("related", "all"),
        default="related",
        help="which columns count: those that are related to another one (default), or all that vary",
    )
    fit.add_argument(
        "--seed", type=_at_least(0), default=0, metavar="N", help="start of every random draw (default: 0)"
    )
    fit.add_argument(
        "--name-demographics",
        action="store_true",
        help="let demographic fields give names and suggestions too (default: cards describe them, no more)",
    )
    fit.add_argument(
        "--skip-bad-rows",
        action="store_true",
        help="leave bad rows out and list them in the version's bad_rows.csv (default: refuse the history)",
    )
    fit.add_argument(
        "--promote",
        action="store_true",
        help="put the new version into production; where one is already, fit nothing and succeed",
    )
    _takes_acceptance(fit, "with --promote: ")


def _takes_history(command: argparse.ArgumentParser, settings: TrainerSettings) -> None:
    command.add_argument(
        "data",
        type=Path,
        metavar="DATA.csv",
        help="the history: one row a user; comma-separated UTF-8, also compressed with gzip, or Parquet",
    )
    _takes_profile(command, settings)


def _takes_profile(command: argparse.ArgumentParser, settings: TrainerSettings) -> None:
    command.add_argument(
        "--profile",
        default=settings.profile_class,
        metavar="CLASS",
        help="the class that lists the columns, file.py:Class or package.module:Class "
        "(environment: PROFILE_CLASS; now %(default)s)",
    )


def _takes_acceptance(command: argparse.ArgumentParser, when: str) -> None:
    command.add_argument(
        "--accept-no-structure", action="store_true", help=f"{when}also a version that found no segments in its data"
    )


def _takes_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON for machines")


def _at_least(least: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) < 2**32:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number of {least} or more")
        return int(text)

    return whole_number


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: give a number from 0 to 1, such as 0.2")
    return share


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix not in {".svg", ".png"}:
        raise argparse.ArgumentTypeError(f"{text!r} is no picture: give a name that ends in .svg or .png")
    return path


def _groups(text: str) -> frozenset[str]:
    groups = frozenset(filter(None, map(str.strip, text.split(","))))
    if not groups:
        raise argparse.ArgumentTypeError(f"{text!r} names no group")
    return groups


if __name__ == "__main__":
    raise SystemExit(main())
