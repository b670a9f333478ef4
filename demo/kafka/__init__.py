"""A real Apache Kafka without Docker: jars, Java, one broker, a client."""
