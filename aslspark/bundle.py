"""The finished model as a folder: written whole or not at all, checked byte for byte when it is read.

In: a model, its pipeline, its settings. Out: a folder that scoring, serving and people can use.
"""

from aslspark.bundle_files import (
    FORMAT,
    MANIFEST,
    ONNX,
    PIPELINE,
    STAGE_FOLDER,
    SUMS,
    behind_alias,
    read_bundle,
    read_manifest,
    require_new,
    seal,
    whole_folder,
)
from aslspark.bundle_read import read_stage
from aslspark.bundle_write import library_versions, write_model, write_stage
from aslspark.scoring import read_model

__all__ = [
    "FORMAT",
    "MANIFEST",
    "ONNX",
    "PIPELINE",
    "STAGE_FOLDER",
    "SUMS",
    "behind_alias",
    "library_versions",
    "read_bundle",
    "read_manifest",
    "read_model",
    "read_stage",
    "require_new",
    "seal",
    "whole_folder",
    "write_model",
    "write_stage",
]
