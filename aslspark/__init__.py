"""Reads the letters of the American manual alphabet from pictures of hands, on Spark."""

from aslspark.common import former_names
from aslspark.common.package import VERSION
from aslspark.common.redaction import mask_logs

__version__ = VERSION

mask_logs()
former_names.install()
