package bench;

import com.fasterxml.jackson.databind.JsonNode;

/** The 15 fields of schemas/profile.py, each checked as strictly as there. */
final class Profile {
  private static final String[] LABELS = {
    "age", "gender", "location", "language", "education_level", "device_usage", "income_level"
  };
  private static final String[] COUNTS = {"likes_and_reactions", "followed_accounts", "ad_interaction_seconds"};
  private static final String[] HOURS = {"weekday_hours_online", "weekend_hours_online"};
  private static final String[] FRACTIONS = {"click_through_rate", "conversion_rate"};
  private static final String INTERESTS = "top_interests";
  private static final String REASON = "invalid_profile";

  /** The profile, if every field is valid. */
  static JsonNode require(JsonNode profile) throws Job.Rejected {
    if (profile == null || !profile.isObject()) {
      throw new Job.Rejected(REASON, "data: input should be an object");
    }
    requireFinite(profile);
    for (String name : LABELS) {
      Job.requireText(profile, name, 200, REASON);
    }
    for (String name : COUNTS) {
      double count = number(profile, name, Double.MAX_VALUE);
      if (count != Math.rint(count)) {
        throw new Job.Rejected(REASON, name + ": input should be a multiple of 1");
      }
    }
    for (String name : HOURS) {
      number(profile, name, 24);
    }
    for (String name : FRACTIONS) {
      number(profile, name, 1);
    }
    JsonNode interests = profile.path(INTERESTS);
    if (!interests.isArray() || interests.size() > 1000) {
      throw new Job.Rejected(REASON, INTERESTS + ": input should be an array of at most 1000 items");
    }
    for (JsonNode interest : interests) {
      String label = interest.textValue();
      if (label == null || label.isEmpty() || label.codePointCount(0, label.length()) > 200) {
        throw new Job.Rejected(REASON, INTERESTS + ": input should be a string of 1 to 200 characters");
      }
    }
    return profile;
  }

  /** Jackson reads 1e999 as infinity, where other parsers refuse the document. */
  private static void requireFinite(JsonNode profile) throws Job.Rejected {
    for (JsonNode value : profile) {
      if (value.isNumber() && Double.isInfinite(value.doubleValue())) {
        throw new Job.Rejected("not_json", "number out of range");
      }
    }
  }

  private static double number(JsonNode profile, String name, double most) throws Job.Rejected {
    JsonNode value = profile.path(name);
    if (!value.isNumber() || !(value.doubleValue() >= 0 && value.doubleValue() <= most)) {
      throw new Job.Rejected(REASON, name + ": input should be a number from 0 to " + most);
    }
    return value.doubleValue();
  }
}
