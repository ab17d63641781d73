"""Fitting a network across Spark tasks with Horovod.

In: the sample table and a `Config`. Out: the best epoch's weights and the history of the run.
"""
