"""What `training.launcher` may name: through what the processes that are started average what they learn."""

HOROVOD, TORCH = "horovod", "torch"
