"""A bundle as a service: pictures in over HTTP or a WebSocket, letters out; and the page that uses it.

Nothing here imports Spark, TensorFlow or torch, but for `streaming`, which is a Spark job.
"""
