#include "unit/registry/json_schema.h"

#include "base/toml.h"

namespace moecollab {
namespace {

Json schema_of(const Record& record);

// Restricts a string, or an item of an array.
void restrict_string(Json& schema, const Key& key) {
  if (!key.words.empty()) schema["enum"] = key.words;
  if (key.shape != nullptr) schema["pattern"] = key.shape->pattern;
}

void restrict_number(Json& schema, const Key& key) {
  if (key.least && key.least == key.most) {
    schema["const"] = static_cast<int64_t>(*key.least);
    return;
  }
  const auto bound = [&](double value) {
    return key.type == KeyType::kInteger ? Json(static_cast<int64_t>(value)) : Json(value);
  };
  if (key.least) schema["minimum"] = bound(*key.least);
  if (key.above) schema["exclusiveMinimum"] = bound(*key.above);
  if (key.most) schema["maximum"] = bound(*key.most);
}

void restrict_array(Json& schema, const Key& key, const char* item_type) {
  schema["items"] = {{"type", item_type}};
  restrict_string(schema["items"], key);
  if (key.min_items > 0) schema["minItems"] = key.min_items;
  if (key.max_items) schema["maxItems"] = *key.max_items;
  if (key.distinct) schema["uniqueItems"] = true;
  if (!key.contains.empty()) schema["contains"] = {{"const", key.contains}};
}

Json table_schema(const Key& key) {
  Json table = key.record == nullptr ? Json{{"type", "object"}} : schema_of(*key.record);
  if (key.words.empty()) return table;
  Json words = {{"type", "string"}, {"enum", key.words}};
  return {{"anyOf", Json::array({std::move(words), std::move(table)})}};
}

Json value_schema(const Key& key) {
  Json schema = Json::object();
  switch (key.type) {
    case KeyType::kString:
      schema["type"] = "string";
      restrict_string(schema, key);
      return schema;
    case KeyType::kInteger:
      schema["type"] = "integer";
      restrict_number(schema, key);
      return schema;
    case KeyType::kNumber:
      schema["type"] = "number";
      restrict_number(schema, key);
      return schema;
    case KeyType::kBoolean:
      schema["type"] = "boolean";
      if (!key.later_words.empty()) schema["const"] = key.later_words.front() != "true";
      return schema;
    case KeyType::kStrings:
      schema["type"] = "array";
      restrict_array(schema, key, "string");
      return schema;
    case KeyType::kIntegers:
      schema["type"] = "array";
      restrict_array(schema, key, "integer");
      return schema;
    case KeyType::kTable:
      return table_schema(key);
    case KeyType::kTables:
      schema["type"] = "array";
      schema["items"] = schema_of(*key.record);
      return schema;
  }
  return schema;
}

Json key_schema(const Key& key) {
  Json schema = {{"description", key.meaning}};
  schema.update(value_schema(key));
  if (!key.fallback.empty())
    schema["default"] = parse_toml("value = " + key.fallback, key.name, "E_TEST").root["value"];
  return schema;
}

Json schema_of(const Record& record) {
  Json schema = {{"type", "object"}};
  if (record.each) {
    if (record.key_shape != nullptr)
      schema["propertyNames"] = {{"pattern", record.key_shape->pattern}};
    schema["additionalProperties"] = key_schema(*record.each);
    return schema;
  }
  Json required = Json::array();
  for (const Key& key : record.keys) {
    if (key.later) continue;  // refused as an unknown key is
    schema["properties"][key.name] = key_schema(key);
    if (key.required) required.push_back(key.name);
  }
  schema["additionalProperties"] = false;
  if (!record.not_both.empty()) schema["not"] = {{"required", record.not_both}};
  if (required.empty()) return schema;
  if (record.may_be_empty) {
    schema["if"] = {{"minProperties", 1}};
    schema["then"] = {{"required", required}};
  } else {
    schema["required"] = required;
  }
  return schema;
}

}  // namespace

Json json_schema(const Record& root, const std::string& title) {
  Json schema = {{"$schema", "http://json-schema.org/draft-07/schema#"},
                 {"$comment", "Made from the tables that the program reads with; do not edit."},
                 {"title", title}};
  schema.update(schema_of(root));
  return schema;
}

}  // namespace moecollab
