import pytest

from models.errors import BadEvent, IllegalTransition, Misconfigured, ZurufError


@pytest.mark.parametrize("kind", [BadEvent, IllegalTransition, Misconfigured])
def test_every_fault_is_an_error_of_zuruf(kind: type[ZurufError]) -> None:
    assert issubclass(kind, ZurufError)
    assert str(kind("why")) == "why"


def test_a_setting_is_named_with_file_key_found_and_meant() -> None:
    error = Misconfigured.at("zuruf.toml", "tenant[0].id", 7, "a text")

    assert str(error) == "zuruf.toml: tenant[0].id: found 7, wanted a text"


def test_what_was_found_is_shown_in_part_if_it_is_long() -> None:
    assert len(str(Misconfigured.at("f", "k", "x" * 10_000, "less"))) < 160
