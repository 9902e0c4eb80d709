"""How many random cases a property tries: some in each run of the tests, all that are promised by `make promised`."""

import os
from fractions import Fraction


def cases(name: str, usual: int) -> range:
    """Seeds: ``usual`` of them, or as many as the environment says (``HISTORIES=10000``); and where it says
    ``SHARE=2/8`` as well, the third eighth of those.
    """
    count = int(os.environ.get(name, usual))
    at, of = (int(each) for each in os.environ.get("SHARE", "0/1").split("/"))
    share = Fraction(count, of)
    return range(int(at * share), int((at + 1) * share))
