"""`python -m aslspark`: the same as the command `aslspark`."""

from aslspark.cli.command import entry

if __name__ == "__main__":
    entry()
