import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digitalgrid.bounds import ID_PATTERN
from topologies.importers.identifiers import Identifiers


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MV1.101 Bus 4", "MV1.101_Bus_4"),
        ("Übergabe Süd/Straße 3", "Uebergabe_Sued_Strasse_3"),
        ("Línea nº 1", "Linea_no_1"),
        ("  -x", "x"),
        ("x" * 100, "x" * 64),
        ("7", "bus7"),
        ("1.5", "bus7"),
        ("日本", "bus7"),
        ("", "bus7"),
        (None, "bus7"),
        (float("nan"), "bus7"),
        (12, "bus7"),
    ],
)
def test_names_become_ids(name: object, expected: str) -> None:
    assert Identifiers().unique(name, "bus7") == expected


def test_the_same_name_gets_a_number() -> None:
    names = Identifiers()
    assert [names.unique("a b", "x") for _ in range(3)] == ["a_b", "a_b.2", "a_b.3"]
    assert names.unique("a_b.2", "x") == "a_b.2.2"


@settings(max_examples=200)
@given(st.lists(st.text(max_size=80) | st.none(), max_size=20))
def test_ids_are_legal_and_unique_whatever_the_names(wanted: list[str | None]) -> None:
    names = Identifiers()
    ids = [names.unique(name, f"bus{index}") for index, name in enumerate(wanted)]
    assert all(re.fullmatch(ID_PATTERN, each) for each in ids)
    assert len(set(ids)) == len(ids)
