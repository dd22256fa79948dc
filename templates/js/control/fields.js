// The inputs of one setting: a value, several values to try, a range to draw from, or small tables of rules.
// What is in them is read as texts; what these come to, settings.js says.
(() => {
  const { make } = overnight;
  const { shown, isDefault } = overnight.control;

  const idOf = ({ path, kind }) => ["set", kind, ...path].filter(Boolean).join("-");
  const PLAIN = { autocomplete: "off", spellcheck: "false" };

  /// An input for one value.
  const inputOf = (field, common) => {
    const plain = shown(field, field.value);
    if (field.choices) {
      return make("select", common, make("option", { value: "" }, plain ? `${plain} (default)` : "not set"),
        ...field.choices.filter((choice) => choice !== plain).map((choice) => make("option", { value: choice }, choice)));
    }
    const isLong = (field.type === "list" && field.of === "string") || (field.type === "string" && field.path?.length === 1);
    if (isLong) return make("textarea", { ...common, rows: 2, placeholder: plain });
    return make("input", { ...common, type: "text", inputmode: field.type === "number" ? "decimal" : null, placeholder: plain || field.example || null });
  };

  const helpOf = (field) => [
    field.about.replaceAll("\n", " "),
    field.of === "string" && "One a line.",
    field.type === "list" && field.of !== "string" && "With commas between.",
    field.hint && `Or so: ${field.hint}.`,
  ].filter(Boolean).join(" ");

  /// Words in which code stands between backticks.
  const coded = (text) => text.split("\x60").map((part, at) => (at % 2 ? make("code", {}, part) : part));

  const changed = (element) => element.dispatchEvent(new Event("input", { bubbles: true }));
  const textsOf = (inputs) => Object.fromEntries([...inputs].map(([key, input]) => [key, input.value]));

  /// Small labeled inputs for the parts of a table within a value.
  const partsOf = (parts, id, label) => new Map(parts.map((part) => {
    const own = `${id}-${part.key}`;
    return [part.key, inputOf(part, { ...PLAIN, id: own, "aria-label": `${part.key} of ${label}` })];
  }));
  const labeled = (inputs) => [...inputs].map(([key, input]) => make("label", { for: input.id }, make("span", {}, key), input));

  /// One value, or several of them: listed, or drawn from a range where the schema has ranges for numbers.
  const valueOf = (field, id, range) => {
    const name = field.path.join(".");
    const told = { "aria-describedby": `${id}-help ${id}-wrong` };
    const input = inputOf(field, { ...PLAIN, ...told, id });
    const vary = make("button", { type: "button", class: "vary", "aria-pressed": "false", "aria-label": `several values of ${name}`, title: "Try several values" }, "several");
    const values = make("input", {
      ...PLAIN, ...told, type: "text", id: `${id}-values`, hidden: true, "aria-label": `values of ${name} to try`,
      placeholder: field.type === "list" ? "values to try; with; semicolons" : "values to try, with commas",
    });
    const hasRange = range?.length > 0 && field.type === "number";
    const how = make("select", { id: `${id}-how`, hidden: true, "data-how": "", "aria-label": `how ${name} varies` },
      make("option", { value: "list" }, "these values"), make("option", { value: "range" }, "from a range"));
    const ends = partsOf(hasRange ? range : [], id, name);
    for (const select of [...ends.values()].filter(({ tagName }) => tagName === "SELECT")) {
      // There is no default: a range says how it is drawn.
      select.options[0].remove();
      select.value = field.isWhole ? "integer" : "uniform";
    }
    const drawn = make("div", { class: "parts", hidden: true }, ...labeled(ends));
    const isVaried = () => vary.getAttribute("aria-pressed") === "true";
    const isDrawn = () => isVaried() && hasRange && how.value === "range";
    const show = () => {
      input.hidden = isVaried();
      how.hidden = !isVaried() || !hasRange;
      values.hidden = !isVaried() || isDrawn();
      drawn.hidden = !isDrawn();
    };
    const first = () => (isDrawn() ? ends.values().next().value : isVaried() ? values : input);
    vary.addEventListener("click", () => {
      vary.setAttribute("aria-pressed", String(!isVaried()));
      if (isVaried() && !values.value) values.value = input.value.replaceAll("\n", ", ");
      show();
      first().focus();
      changed(first());
    });
    how.addEventListener("input", show);
    const said = () => {
      if (!isDrawn()) return isVaried() ? { text: values.value, isVaried: true } : { text: input.value, isVaried: false };
      // Only what was written: how it is drawn alone is no range.
      const texts = textsOf(ends);
      const hasEnds = [...ends.values()].some((end) => end.tagName === "INPUT" && end.value.trim());
      return { text: "", range: hasEnds ? { parts: range, texts } : null };
    };
    return {
      parts: [input, ...(range ? [how, values, drawn, vary] : [])],
      said, inputs: () => [input, values, ...ends.values()], meant: (key) => ends.get(isDrawn() ? key.split(".").pop() : "") ?? first(),
      isSet: () => {
        const { text, isVaried: isList, range: own } = said();
        return Boolean(own) || (text.trim() !== "" && (isList || !isDefault(field, text)));
      },
      fill: (value) => {
        const words = shown(field, value);
        if (words && !isDefault(field, words)) input.value = words;
      },
    };
  };

  /// Rules, each a small table; as many as are asked for.
  const rulesOf = (field, id) => {
    const one = field.path.at(-1).replace(/s$/, "");
    const list = make("div", { class: "rules" });
    const more = make("button", { type: "button", id: `${id}-more` }, `Add ${/^[aeiou]/.test(one) ? "an" : "a"} ${one}`);
    let rules = [];
    let count = 0;
    const add = () => {
      count += 1;
      const inputs = partsOf(field.parts, `${id}-${count}`, `${one} ${count}`);
      const without = make("button", { type: "button", class: "without", "aria-label": `leave out ${one} ${count}` }, "×");
      const element = make("div", { class: "parts", role: "group", "aria-label": `${one} ${count}` }, ...labeled(inputs), without);
      const rule = { inputs, element };
      without.addEventListener("click", () => {
        rules = rules.filter((other) => other !== rule);
        element.remove();
        more.focus();
        changed(list);
      });
      rules.push(rule);
      list.append(element);
      return rule;
    };
    more.addEventListener("click", () => add().inputs.values().next().value.focus());
    const texts = () => rules.map(({ inputs }) => textsOf(inputs));
    // Rules of which nothing was written are none, and do not count in the file.
    const written = () => rules.filter(({ inputs }) => field.parts.some(({ key }) => inputs.get(key).value.trim()));
    return {
      parts: [list, more],
      said: () => ({ text: "", rules: texts() }),
      inputs: () => rules.flatMap(({ inputs }) => [...inputs.values()]),
      meant: (key) => {
        const [, at, part] = /\[(\d+)\](?:\.(\w+))?/.exec(key ?? "") ?? [];
        const inputs = written()[Number(at)]?.inputs;
        return inputs?.get(part) ?? inputs?.values().next().value ?? more;
      },
      isSet: () => written().length > 0,
      fill: (value) => {
        for (const known of Array.isArray(value) ? value.filter((one) => one && typeof one === "object") : []) {
          const { inputs } = add();
          for (const part of field.parts) inputs.get(part.key).value = shown(part, known[part.key]);
        }
      },
    };
  };

  /// A setting's row. `range` are the fields of a range, null where a setting does not vary. Its `said` is what
  /// the file is made from, `meant` the input that a mistake is about, `fill` writes a value.
  const rowOf = (field, table, range) => {
    const id = idOf(field);
    const isRules = field.type === "rules";
    const { parts, ...own } = isRules ? rulesOf(field, id) : valueOf(field, id, range);
    const wrong = make("p", { id: `${id}-wrong`, class: "refused" });
    const line = (text, own = null) => make("p", { id: own, class: "soft" }, ...coded(text.replaceAll("\n", " ")));
    const about = isRules
      ? [wrong, line(field.about, `${id}-help`), make("details", {}, make("summary", {}, "What can be written"), ...field.parts.map(({ key, about: text }) => line(`\x60${key}\x60: ${text}`)))]
      : [line(helpOf(field), `${id}-help`), wrong];
    const head = isRules ? make("b", { class: "name" }, field.key) : make("label", { for: id }, field.key);
    const row = make("div", { class: isRules ? "setting of-rules" : "setting" }, head, make("div", { class: "given" }, ...parts), make("div", { class: "about" }, ...about));
    return { field, table, row, wrong, ...own };
  };

  Object.assign(overnight.control, { rowOf });
})();
