// "Queue an experiment": a form made from the schema, the file it comes to beside it, checked by the server
// before it is queued.
(() => {
  const { make } = overnight;
  const { call, ask, tell, newKey, runPath, may, counted } = overnight.control;
  const { tablesOf, shown, isDefault, toml } = overnight.control;
  const SHOWN = 30; // runs and mistakes that are listed
  const OPEN = ["data", "model", "train", "train.optimizer"]; // tables that are open at first
  const ALONE = ["", "sweep", "queue", "resources"]; // tables whose settings do not vary
  const NAMES = { "": "about", sweep: "sweep" };

  let held = null; // the form, kept while the page lives, so that closing it loses nothing

  const idOf = ({ path, kind }) => ["set", kind, ...path].filter(Boolean).join("-");
  const named = (path) => NAMES[path.join(".")] ?? path.join(".");

  /// What a field is filled with.
  const inputOf = (field) => {
    const id = idOf(field);
    const plain = shown(field, field.value);
    const common = { id, "aria-describedby": `${id}-help ${id}-wrong`, autocomplete: "off", spellcheck: "false" };
    if (field.choices) {
      return make("select", common, make("option", { value: "" }, plain ? `${plain} (default)` : "not set"),
        ...field.choices.filter((choice) => choice !== plain).map((choice) => make("option", { value: choice }, choice)));
    }
    const isLong = field.type === "rules" || (field.type === "list" && field.of === "string") || (field.type === "string" && field.path.length === 1);
    if (isLong) return make("textarea", { ...common, rows: 2, placeholder: field.example ?? plain });
    return make("input", { ...common, type: "text", inputmode: field.type === "number" ? "decimal" : null, placeholder: plain || null });
  };

  const helpOf = (field) => [
    field.about.replaceAll("\n", " "),
    (field.type === "rules" || field.of === "string") && "One a line.",
    field.type === "list" && field.of !== "string" && "With commas between.",
    field.hint && `Or so: ${field.hint}.`,
  ].filter(Boolean).join(" ");

  /// Words in which code stands between backticks.
  const coded = (text) => text.split("\x60").map((part, at) => (at % 2 ? make("code", {}, part) : part));

  const rowOf = (field, table) => {
    const id = idOf(field);
    const input = inputOf(field);
    const canVary = !ALONE.includes(table.path.join("."));
    const vary = make("button", { type: "button", class: "vary", "aria-pressed": "false", "aria-label": `several values of ${field.path.join(".")}`, title: "Try several values" }, "several");
    const values = make("input", {
      type: "text", id: `${id}-values`, hidden: true, autocomplete: "off", spellcheck: "false", "aria-label": `values of ${field.path.join(".")} to try`,
      "aria-describedby": `${id}-help ${id}-wrong`, placeholder: field.type === "list" ? "values to try; with; semicolons" : "values to try, with commas",
    });
    const wrong = make("p", { id: `${id}-wrong`, class: "refused" });
    const row = make("div", { class: "setting" }, make("label", { for: id }, field.key), make("div", { class: "given" }, input, values, canVary ? vary : ""),
      make("div", { class: "about" }, make("p", { id: `${id}-help`, class: "soft" }, ...coded(helpOf(field))), wrong));
    return { field, table, row, input, values, vary, wrong };
  };

  const kindOf = ({ path, kinds, kind }) => kinds && make("select", { id: `kind-${path.join("-")}`, "aria-describedby": `kind-${path.join("-")}-wrong` }, ...kinds.map((one) => make("option", { value: one.kind, selected: one.kind === kind }, one.kind)));

  /// The form for this schema.
  const build = (schema) => {
    const tables = tablesOf(schema);
    const kinds = new Map(tables.map((table) => [table, kindOf(table)]).filter(([, select]) => select));
    const rows = tables.flatMap((table) => table.fields.map((field) => rowOf(field, table)));
    const groups = tables.filter((table) => table.fields.length || table.kinds).map((table) => {
      const name = named(table.path);
      const kind = kinds.get(table);
      const about = make("p", { class: "soft" });
      const count = make("span", { class: "soft" });
      const wrong = make("p", { id: `kind-${table.path.join("-")}-wrong`, class: "refused" });
      const kindRow = kind ? [make("div", { class: "setting" }, make("label", { for: kind.id }, "kind"), make("div", { class: "given" }, kind), make("div", { class: "about" }, about, wrong))] : [];
      const ofKind = kind && { path: table.path.join("."), input: kind, values: { hidden: true, removeAttribute() {} }, wrong, row: kindRow[0] };
      if (!kind) about.textContent = table.about;
      const section = make("details", { class: "table", open: OPEN.includes(name) },
        make("summary", {}, make("b", {}, name), " ", count), ...(kind || !table.about ? [] : [about]), ...kindRow, ...rows.filter((row) => row.table === table).map(({ row }) => row));
      return { table, section, about, count, ofKind };
    });
    return { tables, kinds, rows, groups };
  };

  const compose = (schema) => {
    const form = build(schema);
    const text = make("textarea", { id: "toml", spellcheck: "false", autocomplete: "off", autocapitalize: "off", wrap: "off", "aria-describedby": "toml-how" });
    const how = make("p", { id: "toml-how", class: "soft" });
    const name = make("input", { id: "name", autocomplete: "off", autocapitalize: "off", spellcheck: "false", placeholder: "of the experiment; left out, one is made", "aria-describedby": "name-wrong" });
    const nameWrong = make("p", { id: "name-wrong", class: "refused" });
    const back = make("button", { type: "button", hidden: true }, "Back to the fields");
    const result = make("div", { id: "checked", role: "status" });
    const leave = make("button", { type: "button" }, "Close");
    const check = make("button", { type: "submit", class: "first" }, "Check");
    const queue = make("button", { type: "button", id: "queue-it", class: "main", disabled: true }, "Queue");
    const fields = make("div", { class: "fields" }, ...form.groups.map(({ section }) => section));
    const dialog = make("dialog", { id: "compose", class: "wide", "aria-labelledby": "compose-title" },
      make("form", { novalidate: true },
        make("header", {}, make("h2", { id: "compose-title" }, "Queue an experiment"), make("p", { class: "soft" }, "Only what differs from the defaults goes into the file. Several values with commas between make a sweep.")),
        make("div", { class: "sides" }, fields,
          make("div", { class: "file" },
            make("div", { class: "caption" }, make("label", { for: "name" }, "Name"), name), nameWrong,
            make("div", { class: "caption" }, make("label", { for: "toml" }, "Its file"), back), text, how, result)),
        make("div", { class: "ends" }, leave, check, queue)));

    let isEdited = false;
    let good = null; // what the server found well: the file, and the key under which it is queued
    let isBusy = false;

    const kind = (table) => form.kinds.get(table)?.value ?? null;
    const isOf = ({ field, table }) => field.kind === null || field.kind === kind(table);
    const said = ({ input, values }) => (values.hidden ? { text: input.value, isVaried: false } : { text: values.value, isVaried: true });
    const rowAt = new Map(form.rows.map((row) => [row.field, row]));

    /// The fields of the chosen kinds, and the file they come to.
    const show = () => {
      for (const { table, about, count } of form.groups) {
        const chosen = table.kinds?.find((one) => one.kind === kind(table));
        if (chosen) about.textContent = chosen.about || table.about;
        const own = form.rows.filter((row) => row.table === table);
        for (const row of own) row.row.hidden = !isOf(row);
        const set = own.filter((row) => isOf(row) && said(row).text.trim() && (said(row).isVaried || !isDefault(row.field, said(row).text))).length;
        count.textContent = set ? `${set} set` : chosen ? chosen.kind : "";
      }
      if (!isEdited) text.value = toml(form.tables, (field) => said(rowAt.get(field)), kind);
      fields.inert = isEdited;
      fields.classList.toggle("left", isEdited);
      back.hidden = !isEdited;
      how.textContent = isEdited ? "Edited by hand: this text is what counts, and the fields rest." : "It follows the fields; edit it, and it is what counts.";
    };

    const clear = () => {
      result.replaceChildren();
      for (const { wrong, input, values } of [...form.rows, ...form.groups.map(({ ofKind }) => ofKind).filter(Boolean), { wrong: nameWrong, input: name, values: name }]) {
        wrong.textContent = "";
        for (const one of [input, values]) one.removeAttribute("aria-invalid");
      }
    };
    const unchecked = () => {
      good = null;
      queue.disabled = true;
    };

    const sayWords = ({ message, hint }) => `${message}${hint ? ` (${hint})` : ""}`;

    /// The field that a mistake is about.
    const meant = ({ key }) => {
      if (key === "name") return { wrong: nameWrong, input: name, values: { hidden: true } };
      if (isEdited || !key) return undefined;
      const path = key.replace(/^sweep\.values\./, "").replace(/["']/g, "").replace(/\[\d+\].*$/, "");
      return form.rows.find((row) => isOf(row) && row.field.path.join(".") === path)
        ?? form.groups.map(({ ofKind }) => ofKind).find((row) => row && [row.path, `${row.path}.kind`].includes(path));
    };

    const showMistakes = (problems, refused) => {
      const others = [];
      for (const problem of problems) {
        const row = meant(problem);
        if (!row) {
          others.push(`${problem.line ? `line ${problem.line}: ` : ""}${problem.key && !isEdited ? `${problem.key}: ` : ""}${sayWords(problem)}`);
          continue;
        }
        row.wrong.textContent = [row.wrong.textContent, sayWords(problem)].filter(Boolean).join(" ");
        const input = row.values.hidden ? row.input : row.values;
        input.setAttribute("aria-invalid", "true");
        const table = row.row?.closest("details");
        if (table) table.open = true;
      }
      const count = problems.length ? `${counted(problems.length, "mistake")}.${others.length ? "" : " What is wrong stands beside its field."}` : refused;
      result.replaceChildren(make("p", { class: "refused" }, count), ...(others.length ? [make("ul", {}, ...others.slice(0, SHOWN).map((words) => make("li", {}, words)))] : []));
      (dialog.querySelector("[aria-invalid=true]") ?? (isEdited ? text : check)).focus();
    };

    const flat = (settings, at = "") => Object.entries(settings ?? {}).flatMap(([name, value]) =>
      (value && typeof value === "object" && !Array.isArray(value) ? flat(value, `${at}${name}.`) : [[at + name, JSON.stringify(value)]]));

    const showRuns = (head, runs) => {
      const lines = runs.slice(0, SHOWN).map(({ run, settings }) =>
        make("li", {}, make("span", { class: "mono" }, run), " ", make("span", { class: "soft" }, flat(settings).map(([name, value]) => `${name} = ${value}`).join(", "))));
      result.replaceChildren(make("p", {}, ...head), make("ul", { class: "asked", tabindex: 0, "aria-label": "Runs" }, ...lines), ...(runs.length > SHOWN ? [make("p", { class: "soft" }, `And ${runs.length - SHOWN} more.`)] : []));
      result.scrollIntoView({ block: "nearest" });
    };

    const send = async (isDry, key) => {
      if (isBusy) return;
      isBusy = true;
      const [file, own] = [text.value, name.value.trim()];
      clear();
      result.replaceChildren(make("p", { class: "soft" }, isDry ? "Checking…" : "Queueing…"));
      const { value, refused } = await call("queue", { toml: file, dry_run: isDry, ...(own && { name: own }) }, key);
      isBusy = false;
      // What was typed meanwhile was not checked.
      if (isDry && (file !== text.value || own !== name.value.trim())) {
        result.replaceChildren();
        return unchecked();
      }
      if (refused) {
        unchecked();
        return showMistakes(value?.problems ?? [], refused);
      }
      const experiment = make("b", {}, value.experiment);
      if (isDry) {
        const old = value.runs.filter((run) => run.new === false).length;
        showRuns([`This makes ${counted(value.runs.length)} of `, experiment, old ? `; ${old} of them stand there already` : "", ". Nothing is queued yet."], value.runs);
        good = { file, own, key: newKey() };
        queue.disabled = false;
        queue.textContent = `Queue ${counted(value.runs.length)}`;
        return undefined;
      }
      unchecked();
      queue.textContent = "Queue";
      const href = `${overnight.root}experiments/${encodeURIComponent(/^index\./.test(value.experiment) ? `${value.experiment}~` : value.experiment)}/index.html`;
      showRuns([`Queued ${counted(value.runs.length)} of `, make("a", { href }, value.experiment), ". A runner that is at work takes them up; else ", make("code", {}, "overnight run"), " does."], value.runs);
      leave.focus();
      tell(`Queued ${counted(value.runs.length)} of ${value.experiment}.`);
      return undefined;
    };

    fields.addEventListener("click", ({ target }) => {
      const row = form.rows.find(({ vary }) => vary === target);
      if (!row) return;
      const isOn = row.values.hidden;
      row.vary.setAttribute("aria-pressed", String(isOn));
      row.values.hidden = !isOn;
      row.input.hidden = isOn;
      if (isOn && !row.values.value) row.values.value = row.input.value.replaceAll("\n", ", ");
      (isOn ? row.values : row.input).focus();
      unchecked();
      show();
    });
    fields.addEventListener("input", () => {
      unchecked();
      show();
    });
    text.addEventListener("input", () => {
      isEdited = true;
      unchecked();
      clear();
      show();
    });
    name.addEventListener("input", unchecked);
    back.addEventListener("click", () => {
      isEdited = false;
      unchecked();
      clear();
      show();
      fields.querySelector("select, input")?.focus();
    });
    leave.addEventListener("click", () => dialog.close());
    dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      send(true, newKey());
    });
    queue.addEventListener("click", () => good && good.file === text.value && good.own === name.value.trim() && send(false, good.key));

    /// Fills the fields with a run's settings, by their dotted paths.
    const fill = (settings, about) => {
      for (const [table, select] of form.kinds) {
        const chosen = settings[[...table.path, "kind"].join(".")];
        if (table.kinds.some((one) => one.kind === chosen)) select.value = chosen;
      }
      for (const row of form.rows.filter(isOf)) {
        const value = settings[row.field.path.join(".")] ?? about[row.field.path.join(".")];
        const words = shown(row.field, value);
        if (words && !isDefault(row.field, words)) row.input.value = words;
      }
      show();
    };
    show();
    return { dialog, fill };
  };

  /// Opens the form, with the settings of a run where one is named.
  const open = async (run) => {
    if (!run && held) return held.dialog.showModal();
    const [schema, from] = await Promise.all([call("schema"), run ? call(runPath(run)) : null]);
    const refused = schema.refused ?? from?.refused;
    if (refused) return ask({ title: "Queue an experiment", content: [make("p", { class: "refused" }, refused)], close: "Close" });
    held?.dialog.remove();
    held = compose(schema.value);
    if (from) held.fill(from.value.settings ?? {}, { description: from.value.description, tags: from.value.tags });
    document.body.append(held.dialog);
    held.dialog.showModal();
    return held.dialog.querySelector("details[open] select, details[open] input")?.focus();
  };

  let isOpening = false;
  document.addEventListener("click", async ({ target }) => {
    const run = target.dataset?.queue;
    if (run === undefined || isOpening || !may("queue")) return;
    isOpening = true;
    await open(run);
    isOpening = false;
  });

  // The last of these parts: all of them hear who it is.
  overnight.control.look();
})();
