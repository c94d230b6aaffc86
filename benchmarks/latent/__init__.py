"""Benchmarks of the latent toolbox: what vectors, constraints, paths and personal models really do."""
