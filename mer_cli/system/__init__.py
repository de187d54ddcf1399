"""What every stage needs from the machine: whole files, locks, worker processes and resumable work on many clips.

Nothing here is about faces or runs.
"""
