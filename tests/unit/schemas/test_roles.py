import sys
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field

from schemas import UserProfile
from schemas.errors import ProfileClassError
from schemas.roles import (
    Kind,
    category,
    history_id_column,
    load_profile_class,
    number,
    ordered,
    profile_fields,
    schema_digest,
    several_of,
)


def test_every_field_of_the_user_profile_has_its_header_group_and_kind() -> None:
    fields = {field.name: field for field in profile_fields(UserProfile)}
    assert len(fields) == 15
    assert fields["weekday_hours_online"].header == "Time Spent Online (hrs/weekday)"
    assert [name for name, field in fields.items() if field.group == "behaviour"] == [
        "likes_and_reactions",
        "followed_accounts",
        "weekday_hours_online",
        "weekend_hours_online",
        "click_through_rate",
        "conversion_rate",
        "ad_interaction_seconds",
    ]
    assert fields["education_level"].levels == ("High School", "Technical", "Bachelor", "Master", "PhD")
    assert fields["top_interests"].kind is Kind.SEVERAL_OF
    assert fields["device_usage"].group == "device"


class Player(BaseModel):
    history_id_column: ClassVar[str] = "player"
    level: Annotated[float, Field(ge=0, le=99), number("play")]


def digest_of(annotation: object) -> str:
    return schema_digest(type("Player", (BaseModel,), {"__annotations__": {"level": annotation}}))


def test_the_digest_depends_only_on_names_roles_and_bounds() -> None:
    digest = schema_digest(Player)
    assert digest == digest_of(Annotated[float, number("play"), Field(le=99, ge=0, description="up to 99")])
    assert digest != digest_of(Annotated[float, Field(ge=0, le=100), number("play")])
    assert digest != digest_of(Annotated[float, Field(ge=0, le=99), number("other")])
    assert digest != digest_of(Annotated[str, category("play")])


def test_a_field_without_a_role_is_named() -> None:
    class Bare(BaseModel):
        level: int

    with pytest.raises(ProfileClassError, match="field 'level' of Bare has 0 roles"):
        profile_fields(Bare)


@pytest.mark.parametrize(
    ("annotation", "wanted"),
    [
        (Annotated[str, number("play")], "float or int"),
        (Annotated[bool, number("play")], "float or int"),
        (Annotated[float, category("play")], "str or a Literal"),
        (Annotated[str, several_of("play")], "tuple"),
    ],
    ids=["text number", "boolean number", "number label", "text list"],
)
def test_a_type_that_does_not_fit_its_role_is_refused(annotation: object, wanted: str) -> None:
    with pytest.raises(
        ProfileClassError, match=f"field 'level' of Player has the role .* and the type .*: use the type {wanted}"
    ):
        digest_of(annotation)


def test_an_alias_that_events_would_have_to_use_is_refused() -> None:
    class Aliased(BaseModel):
        level: Annotated[float, number("play")] = Field(alias="Level")

    with pytest.raises(ProfileClassError, match="validate_by_name=True, validate_by_alias=False"):
        profile_fields(Aliased)


def test_an_ordered_field_needs_two_different_levels() -> None:
    with pytest.raises(ProfileClassError, match="two or more different levels"):
        ordered("play", "low", "low")


def test_a_profile_class_is_found_in_a_module_and_in_a_file(tmp_path: Path) -> None:
    assert load_profile_class("schemas:UserProfile") is UserProfile
    file = tmp_path / "mine.py"
    file.write_text(
        "from typing import Annotated, ClassVar\nfrom pydantic import BaseModel\nfrom schemas.roles import number\n"
        'class Mine(BaseModel):\n    history_id_column: ClassVar[str] = "id"\n    x: Annotated[float, number("g")]\n'
    )
    found = load_profile_class(f"{file}:Mine")
    assert (found.__name__, history_id_column(found)) == ("Mine", "id")


def test_a_field_may_have_the_name_of_a_method_of_pydantic(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from typing import Annotated, ClassVar\nfrom pydantic import BaseModel\nfrom schemas.roles import number\n"
        'class Mine(BaseModel):\n    history_id_column: ClassVar[str] = "id"\n    copy: Annotated[float, number("g")]\n'
    )
    assert [field.name for field in profile_fields(load_profile_class(f"{file}:Mine"))] == ["copy"]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("UserProfile", "UserProfile"),
        ("no_such_module:X", "module no_such_module cannot be imported"),
        ("schemas:Missing", "schemas has no pydantic class named Missing"),
        ("schemas.events:OBSERVED_TYPE", "has no pydantic class"),
        ("schemas.events:ModelReference", "has 0 roles"),
        ("absent.py:X", "there is no file absent.py"),
    ],
)
def test_a_wrong_reference_to_a_profile_class_is_refused_with_the_reason(reference: str, message: str) -> None:
    with pytest.raises(ProfileClassError, match=message):
        load_profile_class(reference)


def test_a_file_that_fails_when_it_is_run_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("1 / 0\n")
    with pytest.raises(ProfileClassError, match=r"broken.py cannot be imported: division by zero"):
        load_profile_class(f"{file}:X")


@pytest.mark.parametrize(
    "annotation",
    [list[dict[str, str] | str], tuple[int, ...], list, set[str | None], frozenset[float]],
    ids=str,
)
def test_items_that_are_not_strings_are_refused_with_the_field(annotation: object) -> None:
    with pytest.raises(ProfileClassError, match="field 'level' of Player"):
        digest_of(Annotated[annotation, several_of("play")])


@pytest.mark.parametrize(
    "annotation",
    [list[str], set[Literal["a", "b"]], tuple[Annotated[str, Field(min_length=1)], ...], frozenset[str]],
    ids=str,
)
def test_items_that_are_strings_are_accepted(annotation: object) -> None:
    assert len(digest_of(Annotated[annotation, several_of("play")])) == 64


def test_a_strict_tuple_is_refused_since_events_have_arrays() -> None:
    with pytest.raises(ProfileClassError, match="field 'level'"):
        digest_of(Annotated[tuple[str, ...], Field(strict=True), several_of("play")])
    assert digest_of(Annotated[list[str], Field(strict=True), several_of("play")])


def written(folder: Path, name: str, head: str = "") -> Path:
    file = folder / name
    file.write_text(
        f"{head}\nfrom typing import Annotated, ClassVar\nfrom pydantic import BaseModel\n"
        "from schemas.roles import number\n"
        'class Mine(BaseModel):\n    history_id_column: ClassVar[str] = "id"\n    x: Annotated[float, number("g")]\n'
    )
    return file


def test_a_module_is_found_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "only_here.py")
    monkeypatch.chdir(tmp_path)
    before = [*sys.path]
    assert load_profile_class("only_here:Mine").__name__ == "Mine"
    assert sys.path == before


@pytest.mark.parametrize("head", ["from models import Shop", "import models.shop", "import models\nmodels.Shop"])
def test_an_import_that_found_a_package_of_this_program_instead_is_explained(tmp_path: Path, head: str) -> None:
    file = written(tmp_path, "mine.py", head)
    with pytest.raises(ProfileClassError, match="models is a package of this program"):
        load_profile_class(f"{file}:Mine")
    with pytest.raises(ProfileClassError, match="models is a package of this program"):
        load_profile_class("models:Mine")


def test_a_class_without_fields_or_with_undefined_names_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "mine.py")
    file.write_text(
        file.read_text()
        + '\nclass Empty(BaseModel):\n    history_id_column: ClassVar[str] = "id"\n'
        + '\nclass Open(BaseModel):\n    history_id_column: ClassVar[str] = "id"\n'
        + '    x: "Annotated[Nowhere, number(1)]"\n'
    )
    with pytest.raises(ProfileClassError, match="Empty has no field"):
        load_profile_class(f"{file}:Empty")
    with pytest.raises(ProfileClassError, match="Nowhere"):
        load_profile_class(f"{file}:Open")
