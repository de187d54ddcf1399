"""Read a raw release as it is downloaded, folders of frames and a coding table, into a `Release`.

Every row of the table becomes a `Clip`, repaired where needed, or a `FailedClip` with the reason.
"""
