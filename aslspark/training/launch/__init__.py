"""Starts a function in N processes across Spark tasks, and watches over them; see `aslspark.training.launch.run`."""
