"""The transport's clients on confluent-kafka (librdkafka); imported only when KAFKA_CLIENT=confluent."""
