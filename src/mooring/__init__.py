"""mooring: launch Jupyter kernels without port races, watch over them, and put them to work."""
