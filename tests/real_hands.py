"""Settings with which the tests ingest real pictures of hands."""

from aslspark.common.settings import HandConfig, PictureConfig
from aslspark.data.pictures.options import picture_options

SIZE = 64


def options(spark, hands=None, **pictures):
    return picture_options(spark, PictureConfig(**{"size": SIZE, **pictures}), hands or HandConfig(on=True))
