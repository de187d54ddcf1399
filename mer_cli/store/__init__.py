"""Crop the clips of a `Release`, pack them into one HDF5 file with an audit, and read that file back.

A store holds frames around onset and apex of each clip; it is read as a table of clips and as arrays of these frames.
"""
