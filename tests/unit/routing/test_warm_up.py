"""After the warm-up no question has to wait for a compiler, and nothing was compiled twice."""

import subprocess
import sys
from collections import Counter

import pytest

from controller.routing.compiled import Engine, engine_in_use, kernels, use_engine
from controller.routing.kernel_cache import cache_dir

pytestmark = pytest.mark.engines
# Compiled for arrays of two layouts: a column by itself, and one of several side by side. Of these only the first two
# are so in a controller, which repairs no tree that stands by itself; tests do.
TWO_LAYOUTS = {
    f"shortest_path_tree.{name}" for name in ("grow_tree", "_spread", "repair_tree", "_cut_off")
}


@pytest.fixture(scope="module")
def specialisations() -> Counter[str]:
    """For how many kinds of arguments each kernel has been compiled, by all who ever used this cache."""
    warm_up = [sys.executable, "-m", "controller.computing.warm_up"]
    subprocess.run(warm_up, check=True, timeout=600)
    return Counter(kept.name.partition("-")[0] for kept in cache_dir().rglob("*.nbc"))


@pytest.mark.timeout(600)
def test_every_kernel_is_compiled_by_the_warm_up(specialisations: Counter[str]) -> None:
    names = {
        f"{kernel.function.__module__.rpartition('.')[2]}.{kernel.function.__name__}"
        for kernel in kernels()
        if kernel.function.__module__.startswith("controller.routing.")
    }
    assert names - set(specialisations) == set()


@pytest.mark.timeout(600)
def test_no_kernel_is_compiled_for_two_widths_of_integers(specialisations: Counter[str]) -> None:
    assert {name for name, count in specialisations.items() if count > 1} <= TWO_LAYOUTS


def test_an_interpreted_engine_needs_no_compiler() -> None:
    code = (
        "import sys\n"
        "from controller.routing.compiled import Engine, use_engine\n"
        "from controller.computing.warm_up import HALVES\n"
        "use_engine(Engine.INTERPRETED)\n"
        "for half in HALVES.values(): half()\n"
        "assert 'numba' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_the_other_engine_takes_over_between_two_calls() -> None:
    before = engine_in_use()
    try:
        for engine in (Engine.INTERPRETED, Engine.COMPILED):
            use_engine(engine)
            assert engine_in_use() is engine
            assert all(kernel.engine is engine for kernel in kernels())
    finally:
        use_engine(before)
