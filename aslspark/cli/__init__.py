"""The command `aslspark`: the jobs, the service, and what is asked of a machine before them."""
