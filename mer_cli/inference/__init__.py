"""Show what a trained network looks at: attention maps of held-out clips, as images and as numbers.

Nothing here trains, and nothing here enters a score.
"""
