"""Errors of the demo; each message says what, where and what to do."""


class DemoError(Exception):
    """The demo cannot continue; the base of all errors here."""

    exit_status = 1


class JarsUnavailableError(DemoError):
    """Kafka's jars are not in the cache and cannot be downloaded."""


class BrokerStartError(DemoError):
    """The embedded broker exited, or did not answer in time; the message has its last log lines."""


class BrokerEndedError(DemoError):
    """The embedded broker exited unexpectedly; the message has its last log lines."""


class PortTakenError(DemoError):
    """The port that was asked for is in use."""

    exit_status = 2


class ClusterError(DemoError):
    """A Kafka cluster cannot be reached or refused a request; the message says which cluster and why."""


class RegistryUnusable(DemoError):
    """The settings of the schema registry are wrong, or its client is not installed."""

    exit_status = 2


class RegistryAway(DemoError):
    """The schema registry does not answer, or not as one."""


class RegistryRefused(DemoError):
    """The schema registry does not take the demo's schema; the message says why."""

    exit_status = 2


class ProgramError(DemoError):
    """A program that the demo started failed; the message has its last lines."""


class StreamStalledError(DemoError):
    """Events were sent, but no more outcomes arrived."""
