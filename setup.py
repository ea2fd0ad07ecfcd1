"""Builds the distribution smelu-tf: three folders of this repo, one import name."""

from setuptools import find_packages, setup

# Import name of each root's package -> its folder in the repo. `models` and
# `pipelines` are installed below smelu_tf, so that no generic name lands in
# anybody's site-packages.
ROOTS = {
    "smelu_tf": "smelu_tf",
    "smelu_tf.pipelines": "pipelines",
    "smelu_tf.models": "models",
}


def packages() -> list[str]:
    """Every package of every root, by its import name."""
    names = []
    for name, folder in ROOTS.items():
        names.append(name)
        names.extend(f"{name}.{sub}" for sub in find_packages(folder))
    return names


if __name__ == "__main__":
    setup(
        name="smelu-tf",
        version="0.1.0",
        packages=packages(),
        package_dir=ROOTS,
        package_data={"smelu_tf.pipelines": ["*.json"]},
        python_requires=">=3.11,<3.14",
        install_requires=[
            "tensorflow>=2.19",
            "tf-keras>=2.19",
            "keras>=3.5",
            "tensorflow-recommenders>=0.7.7",
            "absl-py",
            "numpy",
            "ml_collections>=1.0",
        ],
    )
