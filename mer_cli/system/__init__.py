"""What every stage needs of the machine beneath it: worker processes that end with their parent. Knows nothing of
clips, faces or runs.
"""
