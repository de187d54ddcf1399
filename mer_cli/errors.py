"""What can go wrong that a user can mend; everything else is a bug and keeps its traceback.

    MerError
    ├── DatasetError   the raw release or its coding table
    ├── FaceError      a picture, a face, or a landmark model
    ├── StoreError     the HDF5 store: schema, version, missing clip
    ├── ConfigError    a flag or a setting
    └── RunError       a run directory or one of its folds

Every message has four parts: where it is, what is wrong with the value, what was expected, and what to do.
The library raises; only the command line prints, and exits with 1 (`app.py`).
"""


class MerError(Exception):
    """The root of all errors that a user can mend."""


class DatasetError(MerError):
    """The raw release or its coding table is not as it should be."""


class FaceError(MerError):
    """A picture cannot be read, holds no usable face, or the landmark model is absent."""


class StoreError(MerError):
    """The HDF5 store is absent, damaged, of another version, or lacks what is asked for."""


class ConfigError(MerError):
    """A flag or a setting has a value that cannot be used."""


class RunError(MerError):
    """A run directory is absent, incomplete, or belongs to another configuration."""
