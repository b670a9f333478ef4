package bench;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** model.json: encodes a profile and finds the nearest centroid, as models/encoding.py and models/segmentation.py. */
final class Model {
  record Segment(int number, String name, double[] centroid, double outlierDistance) {}

  record Assigned(Segment segment, double distance, double margin, boolean outlier, List<String> unknown) {}

  /** One field; a label has the index of its level, and `start` is its first coordinate, -1 if it does not count. */
  private record Column(
      String kind, String name, int start, double[] means, double scale, Map<String, Integer> levels,
      double low, double high, double logUnit) {}

  private static final List<String> KINDS = List.of("number", "ordered", "category", "several-of");

  private final List<Column> columns = new ArrayList<>();
  private final List<Segment> segments = new ArrayList<>();
  private final double[] origin;

  Model(JsonNode document) {
    // Coordinates are in the order of the kinds; unknown values are listed in the order of the columns.
    Map<String, Integer> starts = new HashMap<>();
    int width = 0;
    for (String kind : KINDS) {
      for (JsonNode column : document.get("columns")) {
        if (column.get("kind").textValue().equals(kind) && weight(column) > 0) {
          starts.put(column.get("name").textValue(), width);
          width += column.has("means") ? column.get("means").size() : 1;
        }
      }
    }
    origin = new double[width];
    for (JsonNode each : document.get("columns")) {
      String name = each.get("name").textValue();
      Map<String, Integer> levels = new HashMap<>();
      for (JsonNode level : each.path("levels")) {
        levels.put(level.textValue(), levels.size());
      }
      double[] means = each.has("means") ? doubles(each.get("means")) : new double[] {each.get("mean").doubleValue()};
      Column column = new Column(
          each.get("kind").textValue(), name, starts.getOrDefault(name, -1), means,
          each.get("scale").doubleValue() / weight(each), levels,
          each.path("low").asDouble(), each.path("high").asDouble(), each.path("log_unit").asDouble());
      columns.add(column);
      for (int i = 0; column.start >= 0 && i < means.length; i++) {
        origin[column.start + i] = -means[i] / column.scale;
      }
    }
    for (JsonNode segment : document.get("segments")) {
      segments.add(new Segment(
          segment.get("number").intValue(), segment.get("name").textValue(),
          doubles(segment.get("centroid")), segment.get("outlier_distance").doubleValue()));
    }
  }

  Assigned assign(JsonNode profile) {
    double[] point = origin.clone();
    List<String> unknown = new ArrayList<>(0);
    for (Column column : columns) {
      if (!encode(column, profile.get(column.name), point)) {
        unknown.add(column.name);
      }
    }
    Segment nearest = null;
    double first = Double.POSITIVE_INFINITY;
    double second = Double.POSITIVE_INFINITY;
    for (Segment segment : segments) {
      double squared = 0;
      for (int i = 0; i < point.length; i++) {
        double difference = point[i] - segment.centroid[i];
        squared += difference * difference;
      }
      if (squared < first) {
        second = first;
        first = squared;
        nearest = segment;
      } else if (squared < second) {
        second = squared;
      }
    }
    double distance = Math.sqrt(first);
    double margin = 1 - distance / Math.sqrt(second);
    return new Assigned(nearest, distance, margin, distance > nearest.outlierDistance, unknown);
  }

  /** Writes the value's coordinates; returns whether training had seen it. */
  private static boolean encode(Column column, JsonNode value, double[] point) {
    switch (column.kind) {
      case "number" -> {
        if (column.start >= 0) {
          double number = value.doubleValue();
          if (column.logUnit > 0) {
            number = Math.log1p(Math.max(number, 0) / column.logUnit);
          }
          number = Math.min(Math.max(number, column.low), column.high);
          point[column.start] = (number - column.means[0]) / column.scale;
        }
        return true;
      }
      case "several-of" -> {
        boolean known = true;
        for (JsonNode item : value) {
          known &= encodeLevel(column, item.textValue(), point);
        }
        return known;
      }
      default -> {
        return encodeLevel(column, value.textValue(), point);
      }
    }
  }

  private static boolean encodeLevel(Column column, String label, double[] point) {
    Integer level = column.levels.get(label);
    if (column.start >= 0 && level == null && !column.kind.equals("several-of")) {
      Arrays.fill(point, column.start, column.start + column.means.length, 0); // encoded as the mean
    } else if (column.start >= 0 && level != null && column.kind.equals("ordered")) {
      point[column.start] = (level - column.means[0]) / column.scale;
    } else if (column.start >= 0 && level != null) {
      point[column.start + level] = (1 - column.means[level]) / column.scale;
    }
    return level != null;
  }

  private static double weight(JsonNode column) {
    return column.get("weight").doubleValue();
  }

  private static double[] doubles(JsonNode array) {
    double[] values = new double[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.get(i).doubleValue();
    }
    return values;
  }
}
