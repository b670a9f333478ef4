package bench;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.temporal.ChronoUnit;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;
import java.util.regex.Pattern;

/** The complete job on one event: parse, validate, assign, encode; the rules of schemas/events.py and profile.py. */
final class Job {
  static final byte[] CONTENT_TYPE = bytes("application/cloudevents+json");
  private static final String SOURCE = "kafka-streams";
  private static final UUID NAMESPACE = UUID.fromString("6f6e4970-d83a-5274-9876-89b4f38c409a");
  private static final int EVENT_MAX_BYTES = 900_000;
  private static final int MAX_VALUES = 10_000;
  private static final Pattern RFC_3339 =
      Pattern.compile("\\d{4}-\\d{2}-\\d{2}[Tt]\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,9})?([Zz]|[+-]\\d{2}:\\d{2})");
  private static final JsonMapper JSON =
      JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

  record Position(String topic, int partition, long offset) {}

  record Result(byte[] key, byte[] value) {}

  /** Why an event goes to the dead-letter topic; no stack trace, because it is an ordinary outcome. */
  static final class Rejected extends Exception {
    final String reason;

    Rejected(String reason, String detail) {
      super(detail, null, false, false);
      this.reason = reason;
    }
  }

  private final Model model;
  private final String version;
  private final String digest;
  private final byte[] idPrefix;
  private final MessageDigest sha1 = digest("SHA-1");
  private final ByteArrayOutputStream buffer = new ByteArrayOutputStream(1024);

  /** The job with the model in the folder of its version. */
  Job(Path folder, String clusterId) throws IOException {
    byte[] content = Files.readAllBytes(folder.resolve("model.json"));
    model = new Model(JSON.readTree(content));
    digest = HexFormat.of().formatHex(digest("SHA-256").digest(content));
    version = folder.getFileName().toString();
    byte[] cluster = bytes(clusterId + "/");
    idPrefix = ByteBuffer.allocate(16 + cluster.length)
        .putLong(NAMESPACE.getMostSignificantBits())
        .putLong(NAMESPACE.getLeastSignificantBits())
        .put(cluster)
        .array();
  }

  Result result(byte[] value, Position position) throws Rejected {
    JsonNode event = parsed(value);
    requireEnvelope(event);
    Model.Assigned assigned = model.assign(Profile.require(event.get("data")));
    return new Result(bytes(event.get("subject").textValue()), encoded(event, assigned, position));
  }

  Map<String, byte[]> rejectedHeaders(Rejected rejected, Position position, long timestamp) {
    Map<String, byte[]> headers = new LinkedHashMap<>();
    headers.put("rejected.reason", bytes(rejected.reason));
    headers.put("rejected.detail", bytes(rejected.getMessage()));
    headers.put("rejected.topic", bytes(position.topic()));
    headers.put("rejected.partition", bytes(Integer.toString(position.partition())));
    headers.put("rejected.offset", bytes(Long.toString(position.offset())));
    headers.put("rejected.timestamp", bytes(Long.toString(timestamp)));
    headers.put("rejected.at", bytes(now()));
    headers.put("rejected.by", bytes(SOURCE));
    return headers;
  }

  private static JsonNode parsed(byte[] value) throws Rejected {
    if (value == null || value.length == 0) {
      throw new Rejected("empty", "the record has no value");
    }
    if (value.length > EVENT_MAX_BYTES || value.length > MAX_VALUES && values(value) > MAX_VALUES) {
      throw new Rejected("too_large", value.length + " bytes");
    }
    try {
      return JSON.readTree(value);
    } catch (JsonProcessingException error) {
      throw new Rejected("not_json", error.getOriginalMessage());
    } catch (IOException error) {
      throw new Rejected("not_json", error.getMessage());
    }
  }

  private static int values(byte[] value) {
    int found = 0;
    for (byte each : value) {
      if (each == ',' || each == '[' || each == '{') {
        found++;
      }
    }
    return found;
  }

  private static void requireEnvelope(JsonNode event) throws Rejected {
    if (!event.isObject()) {
      throw new Rejected("invalid_envelope", "the event: input should be an object");
    }
    if (!"1.0".equals(event.path("specversion").textValue())) {
      throw new Rejected("invalid_envelope", "specversion: input should be '1.0'");
    }
    for (String name : new String[] {"source", "id", "subject"}) {
      requireText(event, name, 1024, "invalid_envelope");
    }
    String time = event.path("time").textValue();
    if (time == null || !RFC_3339.matcher(time).matches()) {
      throw new Rejected("invalid_envelope", "time: must be an RFC 3339 date and time with a time zone");
    }
    try {
      OffsetDateTime.parse(time);
    } catch (DateTimeException error) {
      throw new Rejected("invalid_envelope", "time: must be a valid date and time");
    }
    String type = event.path("type").textValue();
    if (type == null || type.isEmpty()) {
      throw new Rejected("invalid_envelope", "type: input should be a string");
    }
    if (!type.equals("user.profile.observed.v1")) {
      throw new Rejected("unknown_type", "type: only user.profile.observed.v1 is supported");
    }
  }

  static String requireText(JsonNode parent, String name, int most, String reason) throws Rejected {
    String text = parent.path(name).textValue();
    if (text == null || text.isEmpty() || text.length() > most && text.codePointCount(0, text.length()) > most) {
      throw new Rejected(reason, name + ": input should be a string of 1 to " + most + " characters");
    }
    return text;
  }

  private byte[] encoded(JsonNode event, Model.Assigned assigned, Position position) {
    buffer.reset();
    try (JsonGenerator json = JSON.createGenerator(buffer)) {
      json.writeStartObject();
      json.writeStringField("specversion", "1.0");
      json.writeStringField("type", "user.segment.assigned.v1");
      json.writeStringField("source", SOURCE);
      json.writeStringField("id", id(position).toString());
      json.writeStringField("subject", event.get("subject").textValue());
      json.writeStringField("time", now());
      json.writeObjectFieldStart("data");
      json.writeNumberField("segment", assigned.segment().number());
      json.writeStringField("segment_name", assigned.segment().name());
      json.writeNumberField("distance", rounded(assigned.distance()));
      json.writeNumberField("margin", rounded(assigned.margin()));
      json.writeBooleanField("outlier", assigned.outlier());
      json.writeArrayFieldStart("unknown_values");
      for (String name : assigned.unknown()) {
        json.writeString(name);
      }
      json.writeEndArray();
      json.writeObjectFieldStart("model");
      json.writeStringField("version", version);
      json.writeStringField("digest", digest);
      json.writeEndObject();
      json.writeObjectFieldStart("input");
      json.writeStringField("id", event.get("id").textValue());
      json.writeStringField("topic", position.topic());
      json.writeNumberField("partition", position.partition());
      json.writeNumberField("offset", position.offset());
      json.writeStringField("time", event.get("time").textValue());
      json.writeEndObject();
      json.writeEndObject();
      json.writeEndObject();
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return buffer.toByteArray();
  }

  /** UUIDv5 of cluster/topic/partition/offset. */
  private UUID id(Position position) {
    sha1.update(idPrefix);
    ByteBuffer hash = ByteBuffer.wrap(
        sha1.digest(bytes(position.topic() + "/" + position.partition() + "/" + position.offset())));
    long most = hash.getLong() & 0xffffffffffff0fffL | 0x5000L;
    long least = hash.getLong() & 0x3fffffffffffffffL | 0x8000000000000000L;
    return new UUID(most, least);
  }

  private static String now() {
    return Instant.now().truncatedTo(ChronoUnit.MICROS).toString();
  }

  private static double rounded(double value) {
    return Math.rint(value * 1e6) / 1e6;
  }

  private static MessageDigest digest(String algorithm) {
    try {
      return MessageDigest.getInstance(algorithm);
    } catch (NoSuchAlgorithmException error) {
      throw new IllegalStateException(error);
    }
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
