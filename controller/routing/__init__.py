"""Pure numeric kernels on arrays; they know nothing of circuits or protocols."""
