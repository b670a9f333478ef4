"""The transport's clients on kafka-python."""
