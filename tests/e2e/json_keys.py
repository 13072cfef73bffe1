"""The keys of a JSON document as paths, and a page's list of them held against real documents.

`[]` stands for each entry of a list, <domain>, <expert> and <space> for names.
"""
import re


def names(report):
    """What stands for which name in the program's documents, from a report."""
    found = {expert["name"]: "<expert>" for expert in report["experts"]}
    found.update({domain: "<domain>" for domain in report["domains"]})
    found.update({domain["label_space"]: "<space>" for domain in report["domains"].values()})
    return found


def leaves(value, named, path=""):
    """Pairs of path and value; the value of an empty object or list is that."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from leaves(child, named, (path + "." if path else "") + named.get(key, key))
    elif isinstance(value, list) and value:
        for child in value:
            yield from leaves(child, named, path + "[]")
    else:
        yield path, value


def type_of(value):
    return {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}[type(value)]


def listed(page, schema):
    """Path -> types of the rows `| `path` | types |` in the section whose heading names the schema."""
    section = re.search(rf"^## [^\n]*`moecollab\.{schema}/1`.*?(?=^## |\Z)", page, re.M | re.S)[0]
    rows = re.findall(r"^\| `([^`]+)` \| ([\w ]+) \|", section, re.M)
    keys = {path: set(types.split(" or ")) for path, types in rows}
    assert len(keys) == len(rows), "a key is listed twice"
    return keys


def schema(keys, name):
    """The list as JSON Schema (draft 7). Any object or list may be null; objects may get further keys."""
    root = {}
    for path, types in keys.items():
        node = root
        for step in re.findall(r"<\w+>|\[\]|\d+\.\d+|[^.\[\]<>]+", path):
            if step == "[]":
                node["type"], node = ["array", "null"], node.setdefault("items", {})
                continue
            node["type"] = ["object", "null"]
            node = node.setdefault("additionalProperties", {}) if step.startswith("<") else node.setdefault("properties", {}).setdefault(step, {})
        node["type"] = sorted(types)
    root["properties"]["schema"] = {"const": f"moecollab.{name}/1"}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": f"moecollab.{name}/1", **root, "type": "object", "required": ["schema"]}


def errors(schema, value, path=""):
    """What of the document the schema does not admit; knows the words that schema() uses."""
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "integer": int, "number": (int, float)}
    allowed = schema.get("type", list(kinds))
    allowed = [allowed] if isinstance(allowed, str) else allowed
    if not any(isinstance(value, kinds[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in allowed):
        yield f"{path} is {value!r}, not {' or '.join(allowed)}"
    elif "const" in schema and value != schema["const"]:
        yield f"{path} is {value!r}, not {schema['const']!r}"
    elif isinstance(value, dict):
        yield from (f"{path} has no {key}" for key in schema.get("required", []) if key not in value)
        for key, child in value.items():
            part = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            yield from errors(part, child, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield from errors(schema.get("items", {}), child, f"{path}[{i}]")


def is_part(path, key):
    """Whether key lies in the object or list at path."""
    return key.startswith((path + ".", path + "["))


def flaws(keys, documents, named):
    """Keys that the list lacks, has too much, or gives another type."""
    seen, empty, found = set(), set(), []
    for document in documents:
        for path, value in leaves(document, named):
            if path in keys and not isinstance(value, (dict, list)):
                seen.add(path)
                if type_of(value) not in keys[path]:
                    found.append(f"{path} is {value!r}, the page says {' or '.join(sorted(keys[path]))}")
            elif (value is None or value == {} or value == []) and any(is_part(path, key) for key in keys):
                empty.add(path)
            else:
                found.append(f"{path} is not on the page")
    found += [f"{key} is on the page, and no document has it" for key in keys if key not in seen and not any(is_part(path, key) for path in empty)]
    return sorted(set(found))
