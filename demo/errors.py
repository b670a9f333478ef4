"""Errors of the demo; each message says what, where and what to do."""


class DemoError(Exception):
    """The demo cannot continue; the base of all errors here."""

    exit_status = 1


class JarsUnavailableError(DemoError):
    """Kafka's jars are not in the cache and cannot be downloaded."""


class BrokerStartError(DemoError):
    """The embedded broker ended, or did not answer in time; the message carries its last log lines."""


class BrokerEndedError(DemoError):
    """The embedded broker ended unexpectedly; the message carries its last log lines."""


class PortTakenError(DemoError):
    """The port that was asked for is in use."""

    exit_status = 2


class ClusterError(DemoError):
    """A Kafka cluster cannot be reached or refused a request; the message says which cluster and why."""


class ProgramError(DemoError):
    """A program that the demo started failed; the message carries its last lines."""


class StreamStalledError(DemoError):
    """Events went in and no outcomes came out any more."""
