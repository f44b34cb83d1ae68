"""mooring: launch Jupyter kernels without port races, watch over them, and put them to work."""

__version__ = "0.1.0"
