"""After the warm-up no question has to wait for a compiler."""

from numba.core.dispatcher import Dispatcher

from controller.routing.paths import (
    batch,
    bounds,
    cspf,
    hop_limited,
    label_setting,
    landmarks,
    widest_path,
)
from controller.routing.warm_up import compile_kernels


def test_every_kernel_of_the_search_is_compiled_and_nothing_is_compiled_again() -> None:
    compile_kernels()
    kernels = [
        (module.__name__, name, each)
        for module in (batch, bounds, cspf, hop_limited, label_setting, landmarks, widest_path)
        for name, each in vars(module).items()
        if isinstance(each, Dispatcher)
    ]
    called_from_python = {"best_path", "_admit", "_reserve", "grow_tree", "repair_tree", "_widen"}
    compiled = {name for _, name, each in kernels if each.signatures}
    assert called_from_python <= compiled
    before = {(module, name): len(each.signatures) for module, name, each in kernels}
    compile_kernels()
    assert before == {(module, name): len(each.signatures) for module, name, each in kernels}
