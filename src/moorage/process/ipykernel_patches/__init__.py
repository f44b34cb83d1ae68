"""What kernels' own interpreters load: no output is lost, and forked kernels answer sooner."""
