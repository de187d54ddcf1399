"""Takes a trained run and the store it was trained on, gives what its network looks at: pictures and numbers.

Nothing here trains, and nothing that it gives enters a score.
"""
