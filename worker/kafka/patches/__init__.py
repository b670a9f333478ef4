"""What kafka-python 3.0.x needs, each patch in its own module."""
