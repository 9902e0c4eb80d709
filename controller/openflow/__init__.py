"""The OpenFlow controller of the control network; the only part of the house that knows os-ken.

os-ken picks its concurrency at import: it must be native threads, whatever the environment says,
because gRPC does not work with eventlet.
"""

import os

os.environ["OSKEN_HUB_TYPE"] = "native"
