"""Networks to run: grid files, topology files for Mininet, generators, and the emulator."""
