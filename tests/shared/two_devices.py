"""Programs of their own whose TensorFlow sees two CPU devices, for two replicas."""

import subprocess
import sys

_TWO_DEVICES = """
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
"""


def run_on_two_devices(program, *arguments, timeout=300):
    """What a program prints, whose process has to end without an error."""
    done = subprocess.run(
        [sys.executable, "-c", _TWO_DEVICES + program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
