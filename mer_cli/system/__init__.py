"""What every stage needs of the machine: whole files, locks, worker processes and resumable work on many clips.

Knows nothing about faces or runs.
"""
