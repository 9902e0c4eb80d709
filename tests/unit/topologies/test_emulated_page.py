"""Where an emulation's page is: waited for, as routers may be connected before the page is served."""

import threading
from pathlib import Path

from tests.support.patience import PATIENCE_S
from topologies.emulator.page import page_address
from topologies.emulator.plan import RunFiles

EARLIER = "INFO controller.daemon: engine: interpreted\n"
PAGE = "INFO controller.daemon: page: http://127.0.0.1:50080/\n"
SERVING = (
    "INFO controller.daemon: serving: northbound 127.0.0.1:50051, southbound 127.0.0.1:50052\n"
)


def test_a_page_that_is_served_later_is_waited_for(tmp_path: Path) -> None:
    log = RunFiles.under(tmp_path).controller_log
    log.write_text(EARLIER)
    later = threading.Timer(0.1, lambda: log.write_text(EARLIER + PAGE + SERVING))
    later.start()
    assert page_address(tmp_path, PATIENCE_S) == "http://127.0.0.1:50080/"
    later.join()


def test_a_controller_without_a_page_has_none_as_soon_as_it_serves(tmp_path: Path) -> None:
    RunFiles.under(tmp_path).controller_log.write_text(EARLIER + SERVING)
    assert page_address(tmp_path, PATIENCE_S) == ""


def test_where_nothing_runs_there_is_no_page(tmp_path: Path) -> None:
    assert page_address(tmp_path) == ""
