"""Two-phase commit of circuits to routers, and the read-back of what they run."""
