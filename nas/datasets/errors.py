"""What goes wrong with a data set."""


class DatasetError(ValueError):
    """A data set that cannot be used: the message names the file, what was found and what is allowed."""
