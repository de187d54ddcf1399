"""Show where a trained network's answer comes from: maps of held-out clips, as images and as numbers.

Nothing here trains, and nothing here enters a score.
"""
