"""The one error that a user is meant to read."""


class AslsparkError(Exception):
    """Something the user can put right: the message names the setting or file, its value and what would work."""
