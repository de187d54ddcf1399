"""What every stage needs of the machine beneath it: worker processes that end with their parent, how many of them there
should be, a lock for a file, room on the disk. Knows nothing of clips, faces or runs.
"""
