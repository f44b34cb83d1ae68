"""Processes with a kernel's imports done, from which kernels are forked."""
