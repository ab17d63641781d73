"""A bundle as a service: pictures over HTTP, a WebSocket, a bucket or a folder -> letters; and the live page.

Nothing here imports Spark, TensorFlow or torch, except `streaming`, which is a Spark job.
"""
