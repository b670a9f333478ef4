"""What can go wrong in the demo; each message says what, where and what to do."""


class DemoError(Exception):
    """The demo cannot go on; the base of all errors here."""


class JarsUnavailableError(DemoError):
    """Kafka's jars are not in the cache and cannot be downloaded."""


class BrokerStartError(DemoError):
    """The embedded broker ended, or did not answer in time; the message carries its last log lines."""


class ClusterError(DemoError):
    """A Kafka cluster cannot be reached, or refused what it was asked; the message says which and why."""
