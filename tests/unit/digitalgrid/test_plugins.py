"""The table of plug-ins: built-in and installed alike, and each that cannot be used named with what to do."""

from pathlib import Path

import pytest

from digitalgrid.plugins.table import Kind, PluginError, find, installed
from tests.support.plugins import install

KIND = Kind("thing", "digitalgrid.things_of_tests", 2, ("make",), {"ours": "things_of_ours:Ours"})
FINE = "class Thing:\n    interface_version = 2\n    def make(self): return 'made'\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def added(site: Path, name: str, module: str, text: str, package: str = "added") -> None:
    install(site, package, {KIND.group: {name: f"{module}:Thing"}}, {module: text}, "3.1")


def test_an_installed_one_is_found_with_its_package_and_made(site: Path) -> None:
    added(site, "theirs", "things_fine", FINE)
    assert [(each.name, each.package) for each in installed(KIND)] == [
        ("ours", "digitalgrid"),
        ("theirs", "added"),
    ]
    plugin = find(KIND, "theirs")
    assert plugin.package_version == "3.1"
    assert plugin.load().make() == "made"


def test_looking_imports_nothing(site: Path) -> None:
    added(site, "theirs", "things_that_explode", "raise SystemError('imported')\n")
    assert find(KIND, "theirs").package == "added"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import no_such_module\n", "cannot be imported: ModuleNotFoundError"),
        ("Thing = None\n", "made for version None of that interface, and this is version 2"),
        (FINE.replace("2", "1"), "made for version 1 of that interface, and this is version 2"),
        (FINE.replace("make", "bake"), "has no method make"),
        (FINE + "    def __init__(self): raise ValueError('no')\n", "ValueError: no"),
        ("class Other: pass\n", "cannot be imported: AttributeError"),
    ],
)
def test_one_that_cannot_be_used_is_named_with_its_entry_point_and_what_to_do(
    site: Path, text: str, told: str
) -> None:
    module = f"things_{abs(hash(text))}"
    added(site, "theirs", module, text)
    with pytest.raises(PluginError) as error:
        find(KIND, "theirs").load()
    said = str(error.value)
    assert told in said
    assert said.startswith(f"thing 'theirs' of package added 3.1 (entry point '{module}:Thing' in")


def test_names_of_what_is_built_in_are_taken_by_nobody(site: Path) -> None:
    added(site, "ours", "things_fine", FINE)
    with pytest.raises(PluginError, match=r"package added 3\.1 .* takes the name of what is built"):
        find(KIND, "ours")


def test_two_packages_with_one_name_are_both_named(site: Path) -> None:
    added(site, "theirs", "things_fine", FINE)
    added(site, "theirs", "things_fine", FINE, "another")
    with pytest.raises(PluginError, match=r"uninstall (added or another|another or added)"):
        find(KIND, "theirs")


def test_who_names_none_that_is_installed_hears_which_there_are(site: Path) -> None:
    added(site, "theirs", "things_fine", FINE)
    with pytest.raises(PluginError, match="no thing 'their' is installed; there are ours, theirs"):
        find(KIND, "their")
