"""Measurements: each module has run(progress) and returns its figures against their goals."""
