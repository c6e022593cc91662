import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.scaffold import ask, from_brands, quoted, slug
from models.brands import ALWAYS, FIRST_ANSWER, Tenant
from models.errors import Misconfigured
from models.watch import BrandWatch
from streams.settings import load


def loaded(text: str, tmp_path: Path) -> Tenant:
    path = tmp_path / "zuruf.toml"
    path.write_text(text, encoding="utf-8")
    (tenant,) = load(path, {}).tenants
    return tenant


def test_a_name_alone_makes_a_file_that_loads(tmp_path: Path) -> None:
    tenant = loaded(from_brands([{"name": "Fennkom"}]), tmp_path)

    assert (tenant.id, [brand.id for brand in tenant.brands]) == ("main", ["fennkom"])
    assert tenant.brands[0].service_level.first_answer == FIRST_ANSWER
    assert tenant.brands[0].hours.zone == "Europe/Berlin"
    assert len(tenant.reps) == 2


def test_all_that_a_brand_brings_is_in_the_file(tmp_path: Path) -> None:
    entry = {
        "name": 'Müller "Groß" \\ Co',
        "handles": ["@mueller", "mueller"],
        "aliases": ["Müllers"],
        "products": ["Tab\tlet"],
        "misspellings": ["Mühler"],
        "exclusions": ["Mühle*"],
    }

    brand = loaded(from_brands([entry], hours="always"), tmp_path).brands[0]

    assert (brand.id, brand.name) == ("mueller-gross-co", entry["name"])
    assert brand.handles == ("mueller",)
    assert (brand.aliases, brand.products) == (("Müllers",), ("Tab\tlet",))
    assert (brand.misspellings, brand.exclusions) == (("Mühler",), ("Mühle*",))
    assert brand.hours == ALWAYS


def test_the_watch_finds_what_the_file_says(tmp_path: Path) -> None:
    tenant = loaded(from_brands([{"name": "Fennkom", "handles": ["fennkom"]}, {"name": "Kranich"}]), tmp_path)

    found = BrandWatch(tenant).find("Kranich, nicht @fennkom")

    assert found is not None
    assert (found.brand_id, found.others) == ("fennkom", ("kranich",))


def test_equal_names_get_ids_of_their_own(tmp_path: Path) -> None:
    brands = [{"name": "Nord"}, {"name": "nord!"}, {"name": "日本"}, {"name": "X", "id": "nord-2"}]

    assert [b.id for b in loaded(from_brands(brands), tmp_path).brands] == ["nord", "nord-3", "brand-3", "nord-2"]


def test_the_file_explains_itself() -> None:
    text = from_brands([{"name": "Fennkom"}])

    assert text.count("#") > 20
    assert "Europe/Berlin" in text


def test_what_stands_in_comments_loads_too(tmp_path: Path) -> None:
    bare = from_brands([{"name": "Fennkom"}])
    lines = [
        line.removeprefix("# ") if line.startswith("# ") and _is_toml(line[2:]) else line for line in bare.split("\n")
    ]

    tenant = loaded("\n".join(lines), tmp_path)

    assert tenant.brands[0].service_level.platforms["x"].first_answer.urgent == 10
    assert tenant.brands[0].hours.holidays == ("2026-12-25", "2026-12-26")


def _is_toml(line: str) -> bool:
    try:
        tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return False
    return True


@pytest.mark.parametrize(
    ("brands", "message"),
    [
        ({"name": "A"}, "wanted a list of 1 to 1000 objects"),
        ([], "found 0, wanted a list of 1 to 1000 objects"),
        (["Fennkom"], "brands[0]: found 'Fennkom', wanted an object"),
        ([{"name": "A"}, {}], "brands[1].name: found None, wanted a text"),
        ([{"name": " "}], "brands[0].name: found ' '"),
        ([{"name": "A", "handels": []}], "brands[0].handels: unknown key; known are id, name, handles"),
        ([{"name": "A", "handles": "a"}], "brands[0].handles: found 'a', wanted a list"),
        ([{"name": "A", "handles": ["a b"]}], "brands[0].handles[0]: found 'a b', wanted a handle without spaces"),
        ([{"name": "A", "aliases": ["b", 7]}], "brands[0].aliases[1]: found 7, wanted a text"),
        ([{"name": "A", "id": "a|b"}], "brands[0].id: found 'a|b', wanted 1 to 48 ASCII"),
        ([{"name": "A", "id": "x"}, {"name": "B", "id": "X"}], "two brands have one id"),
        (
            [{"name": "A", "handles": ["one"]}, {"name": "B", "handles": ["@ONE"]}],
            "brands[1].handles: found 'ONE', wanted a handle of its own; brands[0] has it already",
        ),
    ],
)
def test_a_bad_entry_is_named(brands: object, message: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        from_brands(brands)

    assert message in str(caught.value)


def test_hours_are_office_or_always() -> None:
    with pytest.raises(Misconfigured, match="found 'sometimes', wanted office or always"):
        from_brands([{"name": "A"}], hours="sometimes")


def answers(*given: str) -> Iterator[str]:
    return iter(given)


def test_a_few_answers_make_a_file_that_loads(tmp_path: Path) -> None:
    given = answers(
        "Fenn AG", "Fennkom", "@fennkom, fennkom_hilft", "Fenn", "", "Kranich", "-", "", "Vogel, Zug", "", "always"
    )

    tenant = loaded(ask(lambda _: next(given), lambda _: None), tmp_path)

    assert tenant.name == "Fenn AG"
    assert [brand.id for brand in tenant.brands] == ["fennkom", "kranich"]
    assert tenant.brands[0].handles == ("fennkom", "fennkom_hilft")
    assert (tenant.brands[1].handles, tenant.brands[1].exclusions) == ((), ("Vogel", "Zug"))
    assert tenant.brands[1].hours == ALWAYS


def test_enter_alone_is_enough(tmp_path: Path) -> None:
    tenant = loaded(ask(lambda _: "", lambda _: None), tmp_path)

    assert [(brand.id, brand.handles) for brand in tenant.brands] == [("main", ("main",))]


def test_a_handle_given_twice_is_asked_again(tmp_path: Path) -> None:
    given = answers("", "A", "one", "", "", "B", "one", "", "", "B", "two", "", "", "", "when", "office")
    said: list[object] = []

    tenant = loaded(ask(lambda _: next(given), said.append), tmp_path)

    assert [brand.handles for brand in tenant.brands] == [("one",), ("two",)]
    assert any("has it already" in str(line) for line in said)


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "\x7f\x00", "ü🙂", "'''"])
def test_quoted_text_comes_back_as_it_was(text: str) -> None:
    assert tomllib.loads(f"x = {quoted(text)}") == {"x": text}


def test_a_slug_is_ascii() -> None:
    assert slug("Müller & Söhne, Łódź") == "mueller-soehne-odz"
