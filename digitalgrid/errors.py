"""The error that a person can do something about; programs end with its message and without a traceback."""


class ExplainedError(Exception):
    """Its message says what is wrong, where, and what to do; a program that ends with it has this ``exit_code``."""

    exit_code = 1
