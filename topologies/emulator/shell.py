"""System programs, run with errors that say what failed and why."""

import subprocess

from topologies.emulator.errors import CommandError


def run(*command: str, stdin: str | None = None, timeout_s: float = 60.0) -> str:
    """Run a program and return its output. CommandError where it fails or is missing."""
    line = " ".join(command)
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except FileNotFoundError as error:
        raise CommandError(f"{command[0]} is not installed; 'make setup' installs it") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"'{line}' did not end within {timeout_s:g} s") from error
    if done.returncode != 0:
        output = (done.stderr or done.stdout).strip()
        given = f", given {stdin!r}" if stdin else ""
        raise CommandError(f"'{line}'{given}, failed ({done.returncode}): {output}")
    return done.stdout


def in_namespace(pid: int, *command: str, stdin: str | None = None) -> str:
    """Run a program in the network namespace of a process; /sys and the files are the root's."""
    return run("nsenter", f"--net=/proc/{pid}/ns/net", "--", *command, stdin=stdin)
