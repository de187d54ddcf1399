"""What `import mer_cli` offers in Python, for notebooks and scripts: stores, folds, training and scores.

Like the command line it is a thin skin: it calls the stages, which do the work. Unlike it, it returns objects, and
prints nothing but the progress of training.
"""
