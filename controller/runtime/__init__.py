"""The event loop's side of the core: its one caller and writer, durability, membership, garbage collection."""
