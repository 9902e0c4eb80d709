"""What the routing engine is measured against: one file a benchmark, peers beside ours in the same run."""
