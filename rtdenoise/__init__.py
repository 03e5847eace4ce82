"""rtdenoise: a streaming speech denoiser."""
