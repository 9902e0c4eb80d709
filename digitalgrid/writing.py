"""Whether a program may make files in a directory, tried without leaving one."""

import tempfile
from pathlib import Path


def writing_trouble(path: Path) -> str:
    """Why nobody can make the file or directory ``path``, of which missing parents are made; empty where one can.

    Permissions do not tell: root may write on what is mounted to be read, and in `/proc`, where nothing can be made.
    """
    directory = next(each for each in path.absolute().parents if each.exists())
    if not directory.is_dir():
        return f"{directory} is no directory"
    try:
        with tempfile.TemporaryFile(dir=directory):
            return ""
    except OSError as error:
        return (
            f"nothing can be made in the directory {directory} ({error.strerror}); it must be writable by the user of"
            " the daemon"
        )
