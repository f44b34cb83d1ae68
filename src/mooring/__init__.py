"""mooring: launch Jupyter kernels without port races, watch over them, and put them to work."""

from mooring.version import __version__ as __version__
