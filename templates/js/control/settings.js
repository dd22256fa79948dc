// The experiment file as fields: what its schema says of each table, and the file that the fields come to.
// Nothing here knows a page.
(() => {
  /// What a part of the schema means: references followed, "or null" left out.
  const resolved = (node, defs) => {
    const { $ref, ...own } = node;
    if ($ref) return resolved({ ...defs[$ref.split("/").pop()], ...own }, defs);
    const some = (own.anyOf ?? []).filter(({ type }) => type !== "null");
    if (own.anyOf && some.length === 1) {
      const { anyOf, ...rest } = own;
      return resolved({ ...some[0], ...rest }, defs);
    }
    return own;
  };

  /// What one writes into a field: `type` of it, and its `choices`; null for what has no field.
  const shape = (node, defs) => {
    const types = [node.type ?? []].flat().filter((type) => type !== "null");
    const ways = node.oneOf ?? node.anyOf ?? [];
    const consts = [node, ...ways].flatMap((way) => way.enum ?? (way.const === undefined ? [] : [way.const]));
    if (consts.length && !ways.some(({ type }) => type === "integer")) return { type: "string", choices: consts.map(String) };
    if (ways.length) return { type: "either", hint: `a whole number, or ${consts.join(", ")}` };
    if (types[0] === "boolean") return { type: "boolean", choices: ["true", "false"] };
    if (types[0] === "array") {
      const items = resolved(node.items ?? {}, defs);
      if (items.properties) return { type: "rules", parts: partsOf(items, defs) };
      return { type: "list", of: shape(items, defs)?.type ?? "string" };
    }
    if (types[0] === "object") return null;
    return { type: types[0] === "integer" ? "number" : types[0] ?? "string", isWhole: types[0] === "integer" };
  };

  /// The fields of a small table that stands within a value: what must be there comes first, its name last.
  const partsOf = (node, defs) => Object.entries(node.properties).map(([key, part]) => {
    const found = resolved(part, defs);
    return { key, about: found.description ?? "", value: found.default ?? null, example: found.examples?.[0], isRequired: node.required?.includes(key) ?? false, ...shape(found, defs) };
  }).sort((one, other) => other.isRequired - one.isRequired || (one.key === "name") - (other.key === "name"));

  /// The fields of a range that a sweep draws from; none where the schema knows no ranges.
  const rangeOf = (schema) => {
    const defs = schema.$defs ?? {};
    const values = resolved(resolved(schema.properties?.sweep ?? {}, defs).properties?.values ?? {}, defs).additionalProperties;
    const range = resolved(values ?? {}, defs).anyOf?.find(({ properties }) => properties?.min && properties?.max);
    return range ? partsOf(range, defs) : [];
  };

  const kindsOf = (node) => {
    const ways = (node.oneOf ?? node.anyOf ?? []).filter((way) => way.properties?.kind?.const);
    return ways.length ? ways.map((way) => ({ kind: way.properties.kind.const, about: way.description ?? "", way })) : null;
  };

  /// The tables of an experiment file in their order. A table with kinds has the fields of every kind.
  const tablesOf = (schema) => {
    const defs = schema.$defs ?? {};
    const tables = [];
    const walk = (path, node, defaults, isRequired) => {
      const kinds = kindsOf(node);
      const table = { path, about: node.description ?? "", kinds, isRequired, kind: defaults?.kind ?? null, fields: [] };
      tables.push(table);
      const inner = [];
      for (const { kind, way } of kinds ?? [{ kind: null, way: node }]) {
        for (const [key, part] of Object.entries(way.properties ?? {})) {
          if (kinds && key === "kind") continue;
          const found = resolved(part, defs);
          const own = [...path, key];
          const value = kind === table.kind || !kinds ? defaults?.[key] ?? found.default : found.default;
          if (found.properties || kindsOf(found)) inner.push([own, found, value, way.required?.includes(key)]);
          else if (shape(found, defs)) table.fields.push({ path: own, key, kind, about: found.description ?? "", value: value ?? null, ...shape(found, defs) });
        }
      }
      for (const next of inner) walk(...next);
    };
    walk([], schema, null, true);
    return tables;
  };

  // ---- values ---------------------------------------------------------------------------------------------

  const isNumber = (text) => /^[+-]?(\d+(\.\d+)?([eE][+-]?\d+)?|inf|nan)$/.test(text);
  const quoted = (text) => JSON.stringify(text).replace(/\x7f/g, "\\u007f");
  const parts = (text, by) => text.split(by).map((part) => part.trim()).filter(Boolean);

  /// A value of this type as TOML has it; what is none of it is a text, and the server says so.
  const literal = (type, of, text) => {
    if (type === "list" && of === "string") return `[${text.split("\n").filter((line) => line.trim()).map(quoted).join(", ")}]`;
    if (type === "list") return `[${parts(text, ",").map((part) => literal(of, null, part)).join(", ")}]`;
    const trimmed = text.trim();
    const isBare = (type === "number" && isNumber(trimmed)) || (type === "boolean" && /^(true|false)$/.test(trimmed)) || (type === "either" && /^\d+$/.test(trimmed));
    return isBare ? trimmed : quoted(trimmed);
  };

  /// A value as a field shows it.
  const shown = ({ type, of }, value) => {
    if (value === null || value === undefined) return "";
    if (Array.isArray(value)) return value.join(type === "list" && of === "string" ? "\n" : ", ");
    return String(value);
  };

  const isDefault = (field, text) => {
    const before = shown(field, field.value);
    if (field.value === null) return false;
    const [one, other] = [text, before].map((word) => literal(field.type, field.of, word));
    return one === other || (isNumber(one) && isNumber(other) && Number(one) === Number(other));
  };

  /// The values to try that a text lists, as TOML; null where it is one value only.
  const several = (field, text, isVaried) => {
    if (!isVaried && !(field.type === "number" && text.includes(","))) return null;
    return parts(text, field.type === "list" ? ";" : ",").map((part) => literal(field.type, field.of, field.of === "string" ? part.replace(/,\s*/g, "\n") : part));
  };

  const key = (word) => (/^[A-Za-z0-9_-]+$/.test(word) ? word : quoted(word));

  /// The lines of a small table, given as texts by key: what is empty or as without it is left out.
  const linesOf = (parts, texts) => parts
    .filter((part) => texts[part.key]?.trim() && (part.isRequired || !isDefault(part, texts[part.key])))
    .map((part) => `${key(part.key)} = ${literal(part.type, part.of, texts[part.key])}`);

  /// The file. `said` gives a field's text and whether that lists values to try, its `range` to draw from or
  /// its `rules`; `kindOf` a table's kind.
  const toml = (tables, said, kindOf) => {
    const blocks = [];
    const varied = [];
    const rules = [];
    for (const table of tables) {
      const kind = kindOf(table);
      const lines = kind && (table.isRequired || kind !== table.kind) ? [`kind = ${quoted(kind)}`] : [];
      for (const field of table.fields) {
        if (field.kind !== null && field.kind !== kind) continue;
        const { text = "", isVaried, range, rules: own = [] } = said(field);
        for (const texts of own) {
          const inner = linesOf(field.parts, texts);
          if (inner.length) rules.push([`[[${field.path.map(key).join(".")}]]`, ...inner].join("\n"));
        }
        const ends = range ? linesOf(range.parts, range.texts) : [];
        if (ends.length) varied.push(`${quoted(field.path.join("."))} = { ${ends.join(", ")} }`);
        if (!text.trim()) continue;
        const values = several(field, text, isVaried);
        if (values) varied.push(`${quoted(field.path.join("."))} = [${values.join(", ")}]`);
        else if (!isDefault(field, text)) lines.push(`${key(field.key)} = ${literal(field.type, field.of, text)}`);
      }
      if (lines.length) blocks.push([...(table.path.length ? [`[${table.path.map(key).join(".")}]`] : []), ...lines].join("\n"));
    }
    if (varied.length) blocks.push(["[sweep.values]", ...varied].join("\n"));
    return `${[...blocks, ...rules].join("\n\n")}\n`;
  };

  Object.assign(overnight.control, { tablesOf, rangeOf, shown, isDefault, toml });
})();
