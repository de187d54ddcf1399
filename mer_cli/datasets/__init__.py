"""Takes a raw release as it is downloaded: folders of frames and a coding table.
Gives a `Release`: every row of the table as a `Clip`, mended where needed, or as a `FailedClip` with the reason.
"""
