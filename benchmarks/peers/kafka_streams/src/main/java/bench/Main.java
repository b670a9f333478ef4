package bench;

import java.nio.file.Path;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;

/** Kafka Streams, exactly once: one processor from the input topic to the results and the dead-letter topic. */
public final class Main {
  public static void main(String[] arguments) throws Exception {
    Map<String, String> environment = System.getenv();
    Job job = new Job(Path.of(environment.get("BENCHMARK_MODEL")), environment.get("CLUSTER_ID"));
    Topology topology = new Topology();
    topology.addSource("events", new ByteArrayDeserializer(), new ByteArrayDeserializer(),
        environment.get("WORKER_INPUT_TOPIC"));
    topology.addProcessor("assign", () -> new Assign(job), "events");
    topology.addSink("results", environment.get("WORKER_OUTPUT_TOPIC"),
        new ByteArraySerializer(), new ByteArraySerializer(), "assign");
    topology.addSink("rejected", environment.get("WORKER_REJECTED_TOPIC"),
        new ByteArraySerializer(), new ByteArraySerializer(), "assign");

    KafkaStreams streams = new KafkaStreams(topology, settings(environment));
    CountDownLatch ended = new CountDownLatch(1);
    streams.setUncaughtExceptionHandler(error -> {
      error.printStackTrace();
      ended.countDown();
      return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    });
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
    ended.await();
  }

  private static Properties settings(Map<String, String> environment) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, environment.get("WORKER_GROUP_ID"));
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, environment.get("KAFKA_BOOTSTRAP_SERVERS"));
    settings.put(StreamsConfig.STATE_DIR_CONFIG, environment.get("SCRATCH"));
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    // The default at exactly once is 100; the documentation: longer for throughput, shorter for latency.
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, environment.get("COMMIT_INTERVAL_MS"));
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    // "max.poll.records, batch.size and linger.ms: increase for throughput" (Streams' own default of linger.ms is 100).
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), "5000");
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), "262144");
    settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, "5000");
    // No state store, so there is no cache to size.
    return settings;
  }

  private static final class Assign implements Processor<byte[], byte[], byte[], byte[]> {
    private final Job job;
    private ProcessorContext<byte[], byte[]> context;

    Assign(Job job) {
      this.job = job;
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> given) {
      context = given;
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      var at = context.recordMetadata().orElseThrow();
      Job.Position position = new Job.Position(at.topic(), at.partition(), at.offset());
      try {
        Job.Result result = job.result(record.value(), position);
        record.headers().remove("content-type").add("content-type", Job.CONTENT_TYPE);
        context.forward(record.withKey(result.key()).withValue(result.value()), "results");
      } catch (Job.Rejected rejected) {
        job.rejectedHeaders(rejected, position, record.timestamp()).forEach(record.headers()::add);
        context.forward(record, "rejected");
      }
    }
  }
}
