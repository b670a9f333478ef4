"""What the events of a benchmark are about: a model in production, its profile class, and events of that class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from pydantic import BaseModel

from benchmarks.load import USERS, Template, templates
from benchmarks.worker_environment import write_model
from demo.avro import SCHEMA
from demo.formats import SETTINGS, in_avro, in_format
from models import promoting
from models.encoding import CategoryColumn, Column, Encoder, NumberColumn, OrderedColumn, SeveralOfColumn
from models.golden import Golden
from models.manifest import Fit, ProfileReference, Verdict
from models.publishing import publish
from models.segmentation import Segment, Segmentation
from models.store import ModelStore, StoredModel
from schemas import UserProfile
from schemas.events import OBSERVED_TYPE
from schemas.formats.avro import RegisteredSchema, WriterSchemas
from schemas.formats.cloudevents import CLOUDEVENTS
from schemas.formats.input_format import InputFormat
from schemas.roles import Kind, load_profile_class
from worker.input_settings import input_format
from worker.operations.http_server import Answer, HttpServer
from worker.settings_loading import load_settings

BAD_SHARE = 0.001
EVENT_MAX_BYTES = 900_000
_SCHEMA_ID = 1
_SCHEMA = orjson.dumps(SCHEMA).decode()
_GOLDEN_ROWS = 30
_LEVELS = ("first", "second", "third", "fourth", "fifth")
# As often as among the 15 fields of UserProfile.
_KINDS = tuple(map(Kind, (
    "number", "ordered", "number", "category", "number", "category", "number", "ordered",
    "number", "category", "number", "several-of", "number", "category", "ordered",
)))  # fmt: skip
_ANNOTATIONS = {
    Kind.NUMBER: 'Annotated[Fraction, number("behaviour")]',
    Kind.ORDERED: f'Annotated[Label, ordered("demographic", {", ".join(map(repr, _LEVELS))})]',
    Kind.CATEGORY: 'Annotated[Label, category("demographic")]',
    Kind.SEVERAL_OF: 'Annotated[Labels, several_of("interest")]',
}
_CLASS = """\
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict

from schemas.profile import Fraction, Label, Labels
from schemas.roles import category, number, ordered, several_of


class WideProfile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    history_id_column: ClassVar[str] = "id"

"""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model in production in a store of its own."""

    name: str
    store: Path
    model: StoredModel
    profile: str
    """The class, as the setting PROFILE_CLASS names it."""
    events: Sequence[Template]
    input_format: InputFormat = CLOUDEVENTS
    """How the events are read."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of a worker that reads them so."""

    @property
    def profile_class(self) -> type[BaseModel]:
        """The class of the events' data."""
        return load_profile_class(self.profile)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of a program that assigns these events."""
        folder = ModelStore(self.store).folder(self.model.manifest.id)
        names = {"MODELS_DIR": str(self.store), "PROFILE_CLASS": self.profile, "BENCHMARK_MODEL": str(folder)}
        return {**names, **self.settings}


def fitted(scratch: Path, environment: Mapping[str, str]) -> Subject:
    """The demo's users, and a model that was fitted to them."""
    write_model(scratch, environment)
    store = scratch / "models"
    model = ModelStore(store).load_alias("production")
    return Subject("fitted", store, model, "schemas:UserProfile", templates(BAD_SHARE))


def with_segments(base: Subject, k: int, folder: Path) -> Subject:
    """The same events, and a model with this many segments, their centroids at random."""
    store = ModelStore(base.store)
    golden = Golden.from_json((store.folder(base.model.manifest.id) / "golden.json").read_bytes())
    segmentation = _random_segments(base.model.segmentation.encoder, k)
    model = _in_production(folder, segmentation, golden.columns, UserProfile)
    return replace(base, name=f"segments-{k}", store=folder, model=model)


def with_fields(count: int, folder: Path) -> Subject:
    """A profile of this many fields, of all kinds, events with random values, and a model with ten segments."""
    names = [f"field_{number}" for number in range(count)]
    kinds = [*islice(cycle(_KINDS), count)]
    folder.mkdir()
    source = folder / f"wide_{count}.py"
    source.write_text(
        _CLASS + "".join(f"    {name}: {_ANNOTATIONS[kind]}\n" for name, kind in zip(names, kinds, strict=True))
    )
    profile = f"{source}:WideProfile"
    columns = {name: _values(kind, number) for number, (name, kind) in enumerate(zip(names, kinds, strict=True))}
    encoder = Encoder(tuple(_column(name, kind) for name, kind in zip(names, kinds, strict=True)))
    golden = {name: tuple(values[:_GOLDEN_ROWS]) for name, values in columns.items()}
    model = _in_production(folder / "models", _random_segments(encoder, 10), golden, load_profile_class(profile))
    return Subject(f"fields-{count}", folder / "models", model, profile, [*_events(columns)])


def with_bad(base: Subject, share: float) -> Subject:
    """The same users and model, with about this share of invalid events; none too large, or bytes would be measured."""
    events = [each for each in templates(share) if len(each.value(0) or b"") <= EVENT_MAX_BYTES]
    return replace(base, name=f"bad-{share:g}", events=events)


def with_format(base: Subject, name: str, registry_url: str) -> Subject:
    """The same users and model, the events in this format; in Avro with the schema of this registry."""
    settings = SETTINGS[name]
    if name == "avro":
        settings = {**settings, "SCHEMA_REGISTRY_URL": registry_url}
    schemas = WriterSchemas()
    schemas.add(_SCHEMA_ID, RegisteredSchema("AVRO", _SCHEMA))
    return replace(
        base,
        name=f"format-{name}",
        events=templates(BAD_SHARE, in_avro(_SCHEMA_ID) if name == "avro" else in_format(name)),
        input_format=input_format(load_settings({each.lower(): value for each, value in settings.items()}), schemas),
        settings=settings,
    )


def schema_registry() -> HttpServer:
    """What a worker needs of a schema registry: it has the schema of the events in Avro, on a free port."""
    answer = Answer(200, "application/vnd.schemaregistry.v1+json", orjson.dumps({"schema": _SCHEMA}))
    return HttpServer("127.0.0.1", 0, {f"/schemas/ids/{_SCHEMA_ID}": lambda: answer})


def _values(kind: Kind, seed: int) -> list[Any]:
    draw = np.random.default_rng(seed)
    if kind is Kind.NUMBER:
        numbers: list[Any] = np.round(draw.random(USERS), 3).tolist()
        return numbers
    if kind is Kind.SEVERAL_OF:
        return [_LEVELS[:most] for most in draw.integers(len(_LEVELS), size=USERS).tolist()]
    return [_LEVELS[level] for level in draw.integers(len(_LEVELS), size=USERS).tolist()]


def _column(name: str, kind: Kind) -> Column:
    means = (1 / len(_LEVELS),) * len(_LEVELS)
    columns: Mapping[Kind, Column] = {
        Kind.NUMBER: NumberColumn(name, None, 0.01, 0.99, 0.5, 0.3),
        Kind.ORDERED: OrderedColumn(name, _LEVELS, 2.0, 1.4),
        Kind.CATEGORY: CategoryColumn(name, _LEVELS, means, 0.9),
        Kind.SEVERAL_OF: SeveralOfColumn(name, _LEVELS, means, 0.9),
    }
    return columns[kind]


def _events(columns: Mapping[str, Sequence[Any]]) -> Iterator[Template]:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for number, values in enumerate(zip(*columns.values(), strict=True)):
        event = {
            "specversion": "1.0",
            "type": OBSERVED_TYPE,
            "source": "/benchmark",
            "id": "?",
            "subject": f"user-{number}",
            "time": now,
            "data": dict(zip(columns, values, strict=True)),
        }
        before, _, after = orjson.dumps(event).partition(b"?")
        yield Template(f"user-{number}".encode(), before, after, [])


def _random_segments(encoder: Encoder, k: int) -> Segmentation:
    centroids = np.random.default_rng(k).normal(0, 0.7, (k, encoder.width)).tolist()
    return Segmentation(
        encoder,
        tuple(Segment(number, f"Segment {number}", tuple(row), 2.0, 4.5) for number, row in enumerate(centroids)),
    )


def _in_production(
    folder: Path, segmentation: Segmentation, golden: Mapping[str, tuple[Any, ...]], profile_class: type[BaseModel]
) -> StoredModel:
    now = datetime.now(UTC)
    rows = Golden(columns=golden, segments=tuple(segmentation.assign(golden).segment.tolist()))

    def write(version: Path) -> None:
        (version / "model.json").write_bytes(segmentation.to_json())
        (version / "golden.json").write_bytes(rows.to_json())

    fit = Fit(
        created_at=now,
        parent=None,
        k=segmentation.k,
        verdict=Verdict.CLEAR,
        verdict_reason="made for a benchmark",
        silhouette=0.5,
        rows=USERS,
        profile=ProfileReference.of(profile_class),
    )
    store = ModelStore(folder)
    promoting.promote(store, publish(store, fit, write).id, "production", now)
    return store.load_alias("production")
