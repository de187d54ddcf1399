"""What every stage needs from the machine: whole files, locks, documents and worker processes.

Nothing here is about faces or runs.
"""
