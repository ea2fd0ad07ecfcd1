"""Builds the distribution smelu-tf: three folders of this repo, one import name."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

# Import name of each root package -> its folder in the repo. `models` and
# `pipelines` are installed below smelu_tf, so that no generic name lands in
# anybody's site-packages.
ROOTS = {
    "smelu_tf": "smelu_tf",
    "smelu_tf.pipelines": "pipelines",
    "smelu_tf.models": "models",
}

DATA = ["pyarrow>=16"]
PLOT = ["matplotlib>=3.8"]
BEAM = ["apache-beam>=2.66"]
RECALIBRATION = ["scipy>=1.13"]
SERVING = ["tensorflow-serving-api>=2.19"]
LITERT = ["ai-edge-litert>=2.1"]
ONNX = ["onnx>=1.17", "onnxruntime>=1.22", "tf2onnx>=1.17"]
# The TPU compiler is published for x86-64 alone.
TPU_PREFLIGHT = ["jax>=0.10", "libtpu>=0.0.50; platform_machine == 'x86_64'"]
EXTRAS = {
    "data": DATA,
    "plot": PLOT,
    "recalibration": RECALIBRATION,
    "tensorboard": ["tensorboard>=2.19"],
    "beam": BEAM,
    "litert": LITERT,
    "onnx": ONNX,
    "serving": SERVING,
    "tpu-preflight": TPU_PREFLIGHT,
    "benchmark": ["deepctr==0.9.4", "tf-smelu==1.0.0"],
    "test": [
        *BEAM,
        *DATA,
        *LITERT,
        *ONNX,
        *PLOT,
        *RECALIBRATION,
        *SERVING,
        *TPU_PREFLIGHT,
        "deepctr==0.9.4",
        "hypothesis>=6.100",
        "packaging>=24",
        "pandas>=2.2",
        "pytest>=8",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "scikit-learn>=1.5",
        "setuptools>=77",
        "tf-smelu==1.0.0",
    ],
    "lint": ["mypy>=1.10", "ruff>=0.6"],
    "docs": ["mkdocs-material>=9.6", "mkdocstrings[python]>=0.29"],
    "release": ["build>=1.2"],
}
EXTRAS["dev"] = sorted({name for names in EXTRAS.values() for name in names})


def packages() -> list[str]:
    """Every package of every root, by its import name."""
    names = []
    for name, folder in ROOTS.items():
        names.append(name)
        names += [f"{name}.{sub}" for sub in find_packages(str(ROOT / folder))]
    return names


if __name__ == "__main__":
    setup(
        name="smelu-tf",
        version="0.1.0",
        description="SmeLU for TensorFlow: CTR models whose retrainings agree",
        long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
        long_description_content_type="text/markdown",
        license_expression="Apache-2.0",
        license_files=["LICENSE"],
        packages=packages(),
        package_dir=ROOTS,
        package_data={"smelu_tf": ["py.typed"], "smelu_tf.pipelines": ["*.json"]},
        keywords="smelu ctr recommender reproducibility tensorflow keras",
        classifiers=[
            "Development Status :: 4 - Beta",
            "Intended Audience :: Developers",
            "Intended Audience :: Science/Research",
            "Operating System :: POSIX :: Linux",
            "Programming Language :: Python :: 3.11",
            "Programming Language :: Python :: 3.12",
            "Programming Language :: Python :: 3.13",
            "Topic :: Scientific/Engineering :: Artificial Intelligence",
            "Typing :: Typed",
        ],
        python_requires=">=3.11,<3.14",
        install_requires=[
            "absl-py>=2.0",
            "keras>=3.10",
            "ml_collections>=1.0",
            "numpy>=1.26",
            "tensorflow>=2.19",
            "tensorflow-recommenders>=0.7.7",
            "tf-keras>=2.19",
        ],
        extras_require=EXTRAS,
    )
