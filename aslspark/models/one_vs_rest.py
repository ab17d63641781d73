"""A binary classifier of MLlib's -> one for each label against all others, which has ended when its fit has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyspark import StorageLevel, inheritable_thread_target
from pyspark.ml.classification import OneVsRest, OneVsRestModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F


class EndedOneVsRest(OneVsRest[Any]):
    """MLlib's OneVsRest, whose own `fit` returns at the first error and leaves its other threads at work.

    Where a fit was cancelled, these would go on with the labels that are left, beside the next trial of a search or
    while Spark is stopped, each with an error of its own in Spark's log. The model is the same.
    """

    def _fit(self, dataset: DataFrame) -> OneVsRestModel:
        features, label = self.getFeaturesCol(), self.getLabelCol()
        classifier: Any = self.getClassifier()
        rows = dataset.select(label, features).persist(StorageLevel.MEMORY_AND_DISK)

        def fit_one(number: int) -> Any:
            is_it = f"mc2b${number}"  # as MLlib calls it, since the model keeps the name
            ones = rows.withColumn(is_it, F.when(F.col(label) == float(number), 1.0).otherwise(0.0))
            columns = {
                classifier.labelCol: is_it,
                classifier.featuresCol: features,
                classifier.predictionCol: self.getPredictionCol(),
            }
            return classifier.fit(ones, columns)

        try:
            last = rows.agg(F.max(label)).first()
            assert last is not None
            labels = range(int(last[0]) + 1)
            # Jobs of a thread belong to the group of the one that started it, by which they are cancelled. Each is
            # wrapped by itself: threads that share one set of Spark's properties overwrite each other's.
            wrapped: list[Any] = [inheritable_thread_target(fit_one) for _ in labels]
            threads = ThreadPoolExecutor(min(self.getParallelism(), len(labels)))
            fits = [threads.submit(fit, number) for fit, number in zip(wrapped, labels, strict=True)]
            try:
                models = [fit.result() for fit in fits]
            except Exception:
                threads.shutdown(cancel_futures=True)  # once those that run have ended
                raise
            finally:
                threads.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C nobody waits
        finally:
            rows.unpersist(blocking=True)
        return self._copyValues(OneVsRestModel(models=models))
