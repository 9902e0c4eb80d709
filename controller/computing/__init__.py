"""Long computations in a worker process: dispatch and re-optimisation, and the warming up of kernels."""
