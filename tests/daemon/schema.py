"""Holds requests and answers against a description in OpenAPI 3.1.

    description = Description(daemon.get("/v1/openapi.json"))
    faults(7, {"type": "string"}, description.document)     # ["/: 7 is no string"]
    description.check("GET", "/v1/jobs/7", status, headers, body)

Of JSON Schema it knows what the description uses; a keyword that it does not know is an error, so that nothing there goes
unlooked at."""
import json
import math
import re

ANNOTATIONS = {"description", "default", "format", "discriminator", "examples"}
# Any request may be answered so, whatever is asked for; the description says it once, for all.
ANYWHERE = (400, 403, 408, 421, 500)
TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v),
    "integer": lambda v: TYPES["number"](v) and v == int(v),
}


def same(a, b):
    """As JSON has it: true is not 1."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def resolve(node, document):
    while "$ref" in node:
        at = document
        for part in node["$ref"][2:].split("/"):
            at = at[part]
        node = {**at, **{k: v for k, v in node.items() if k != "$ref"}}
    return node


def check_object(v, s, document, at):
    for name in s.get("required", ()):
        if name not in v:
            yield "%s lacks %s" % (at, name)
    known = s.get("properties", {})
    for name, value in v.items():
        inner = known.get(name, s.get("additionalProperties", True))
        if inner is False:
            yield "%s: %s is not known" % (at, name)
        elif inner is not True:
            yield from faults(value, inner, document, "%s/%s" % (at.rstrip("/"), name))


def check_limits(v, s, at):
    if TYPES["number"](v):
        ok = s.get("minimum", v) <= v <= s.get("maximum", v) and v < s.get("exclusiveMaximum", math.inf)
    elif isinstance(v, str):
        ok = s.get("minLength", 0) <= len(v) <= s.get("maxLength", len(v)) and re.search(s.get("pattern", ""), v)
    elif isinstance(v, list):
        ok = s.get("minItems", 0) <= len(v) <= s.get("maxItems", len(v))
    else:
        ok = True
    if not ok:
        yield "%s: %.60r is not within its limits" % (at, v)


def check_choices(v, s, document, at):
    if "const" in s and not same(v, s["const"]) or "enum" in s and not any(same(v, w) for w in s["enum"]):
        yield "%s: %.60r is not allowed" % (at, v)
    for inner in s.get("allOf", ()):
        yield from faults(v, inner, document, at)
    if "oneOf" in s:
        each = [faults(v, inner, document, at) for inner in s["oneOf"]]
        if sum(not f for f in each) != 1:
            # Those of the nearest: most of the others fail by their type or name.
            yield "%s fits %d of %d: %s" % (at, sum(not f for f in each), len(each), max(each, key=lambda f: len(str(f)))[:3])


def check_keywords(s):
    known = ANNOTATIONS | {
        "type", "enum", "const", "oneOf", "allOf", "properties", "required", "additionalProperties", "items", "minItems",
        "maxItems", "minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMaximum"}
    assert set(s) <= known, "keywords that this validator does not know: %s" % (set(s) - known)


def faults(v, schema, document, at="/"):
    """What is wrong with a value, [] where nothing is."""
    s = resolve(schema, document)
    check_keywords(s)
    types = s.get("type", ())
    types = [types] if isinstance(types, str) else types
    if types and not any(TYPES[t](v) for t in types):
        return ["%s: %.60r is no %s" % (at, v, " or ".join(types))]
    found = [*check_limits(v, s, at), *check_choices(v, s, document, at)]
    if isinstance(v, dict):
        found += check_object(v, s, document, at)
    if isinstance(v, list) and "items" in s:
        for i, item in enumerate(v):
            found += faults(item, s["items"], document, "%s/%d" % (at.rstrip("/"), i))
    return found


def events(kind, text):
    """The events of a stream as the objects that it describes."""
    if kind == "application/x-ndjson":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if fields:
            found.append({"id": int(fields["id"]), "event": fields["event"], "data": json.loads(fields["data"])})
    return found


def from_text(text, s):
    """A parameter's text as the value that its schema is about; the text itself where it is none."""
    try:
        return json.loads(text) if set(TYPES) & {s.get("type")} - {"string"} else text
    except ValueError:
        return text


class Description:
    def __init__(self, document):
        self.document = document
        self.patterns = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", re.escape(path).replace("\\{", "{").replace("\\}", "}")) + "$"), path)
            for path in sorted(document["paths"], key=lambda path: (path.count("{"), path))]

    def faults(self, value, name):
        """Of a value that is to be one of the schemas."""
        return faults(value, {"$ref": "#/components/schemas/" + name}, self.document)

    def path(self, path):
        """The described path that an address is at, None for none."""
        return next((p for pattern, p in self.patterns if pattern.match(path.split("?")[0])), None)

    def operations(self):
        """(method, path, operation) of all."""
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                if method != "parameters":
                    yield method.upper(), path, operation

    def operation(self, method, path):
        at = self.path(path)
        return at and self.document["paths"][at].get("get" if method == "HEAD" else method.lower())

    def check(self, method, path, status, headers, body):
        """Raises where an answer is none that the description has; returns (operationId, status, media type)."""
        operation = self.operation(method, path)
        assert operation, "%s %s is not described" % (method, path)
        answer = operation["responses"].get(str(status))
        bodiless = status == 413 and "requestBody" not in operation and "takes no body" in str(body)
        assert answer or bodiless or status in ANYWHERE, "%s %s: %d is not described: %.300s" % (method, path, status, body)
        answer = resolve(answer or operation["responses"]["default"], self.document)
        for name, header in answer.get("headers", {}).items():
            self.check_header(name, resolve(header, self.document), headers.get(name))
        kind = headers.get("Content-Type", "").split(";")[0]
        content = answer.get("content", {})
        assert kind in content or not content and not kind and not body, "%s %s: %d as %r" % (method, path, status, kind)
        if method != "HEAD":
            found = self.check_body(kind, content.get(kind, {}), body)
            assert not found, "%s %s: %d: %s" % (method, path, status, found[:5])
        return operation["operationId"], status, kind

    def check_header(self, name, header, value):
        assert value is not None or not header.get("required"), "the answer lacks %s" % name
        if value is not None:
            found = faults(from_text(value, header["schema"]), header["schema"], self.document, name)
            assert not found, found

    def check_body(self, kind, media, body):
        if kind in ("application/json", "application/problem+json"):
            return faults(body, media["schema"], self.document)
        if "x-itemSchema" in media:
            return [f for e in events(kind, body.decode()) for f in faults(e, media["x-itemSchema"], self.document)]
        return []

    def request_faults(self, method, path, query, headers, body):
        """What the description has against a request: `query` (name, value) as they are, a JSON body parsed."""
        operation, item = self.operation(method, path), self.document["paths"][self.path(path)]
        known = {(p["in"], p["name"].lower()): p
                 for p in (resolve(p, self.document) for p in [*item.get("parameters", ()), *operation.get("parameters", ())])}
        names, parts = self.path(path).split("/"), path.split("?")[0].split("/")
        given = [("path", name[1:-1], value) for name, value in zip(names, parts) if name.startswith("{")]
        given += [("query", name, value) for name, value in query]
        given += [("header", name.lower(), value) for name, value in headers.items() if ("header", name.lower()) in known]
        found = ["%s %s is not known" % g[:2] for g in given if (g[0], g[1].lower()) not in known]
        found += ["%s %s is needed" % k for k, p in known.items() if p.get("required") and k not in {(g[0], g[1].lower()) for g in given}]
        for place, name, value in given:
            p = known.get((place, name.lower()), {})
            s = p.get("schema") or p.get("content", {}).get("application/json", {}).get("schema", {})
            found += faults(from_text(value, resolve(s, self.document)) if "schema" in p else json.loads(value), s, self.document, name)
        return found + self.request_body_faults(resolve(operation.get("requestBody", {}), self.document), headers, body)

    def request_body_faults(self, described, headers, body):
        if body is None:
            return ["a body is needed"] if described and described.get("required") else []
        if not described:
            return ["no body is taken"]
        kind = headers.get("Content-Type", "application/json" if isinstance(body, (dict, list)) else "application/octet-stream")
        if kind not in described["content"]:
            return ["%s is not described" % kind]
        return faults(body, described["content"][kind]["schema"], self.document) if isinstance(body, (dict, list)) else []
