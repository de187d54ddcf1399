"""Takes a `Release`, crops each clip's frames around onset and apex, and packs them into one HDF5 file with an audit.
Gives that file back as a table of clips and as arrays of windows, in the order that is asked for.
"""
