// "Queue an experiment": a form made from the schema, the file it comes to beside it, checked by the server
// before it is queued.
(() => {
  const { make } = overnight;
  const { call, ask, tell, newKey, runPath, may, counted } = overnight.control;
  const { tablesOf, rangeOf, shown, toml, rowOf } = overnight.control;
  const SHOWN = 30; // runs and mistakes that are listed
  const OPEN = ["data", "model", "train", "train.optimizer"]; // tables that are open at first
  const ALONE = ["", "sweep", "queue", "resources"]; // tables whose settings do not vary
  const NAMES = { "": "about", sweep: "sweep" };

  let held = null; // the form, kept while the page lives, so that closing it loses nothing

  const named = (path) => NAMES[path.join(".")] ?? path.join(".");

  const kindOf = ({ path, kinds, kind }) => kinds && make("select", { id: `kind-${path.join("-")}`, "aria-describedby": `kind-${path.join("-")}-wrong` }, ...kinds.map((one) => make("option", { value: one.kind, selected: one.kind === kind }, one.kind)));

  /// The form for this schema.
  const build = (schema) => {
    const tables = tablesOf(schema);
    const kinds = new Map(tables.map((table) => [table, kindOf(table)]).filter(([, select]) => select));
    const range = rangeOf(schema);
    const rows = tables.flatMap((table) => table.fields.map((field) => rowOf(field, table, ALONE.includes(table.path.join(".")) ? null : range)));
    const groups = tables.filter((table) => table.fields.length || table.kinds).map((table) => {
      const name = named(table.path);
      const kind = kinds.get(table);
      const about = make("p", { class: "soft" });
      const count = make("span", { class: "soft" });
      const wrong = make("p", { id: `kind-${table.path.join("-")}-wrong`, class: "refused" });
      const kindRow = kind ? [make("div", { class: "setting" }, make("label", { for: kind.id }, "kind"), make("div", { class: "given" }, kind), make("div", { class: "about" }, about, wrong))] : [];
      const ofKind = kind && { path: table.path.join("."), inputs: () => [kind], meant: () => kind, wrong, row: kindRow[0] };
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
        make("header", {}, make("h2", { id: "compose-title" }, "Queue an experiment"), make("p", { class: "soft" }, "Only what differs from the defaults goes into the file. Several values with commas between make a sweep; “several” also draws from a range.")),
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
    const rowAt = new Map(form.rows.map((row) => [row.field, row]));

    /// The fields of the chosen kinds, and the file they come to.
    const show = () => {
      for (const { table, about, count } of form.groups) {
        const chosen = table.kinds?.find((one) => one.kind === kind(table));
        if (chosen) about.textContent = chosen.about || table.about;
        const own = form.rows.filter((row) => row.table === table);
        for (const row of own) row.row.hidden = !isOf(row);
        const set = own.filter((row) => isOf(row) && row.isSet()).length;
        count.textContent = set ? `${set} set` : chosen ? chosen.kind : "";
      }
      if (!isEdited) text.value = toml(form.tables, (field) => rowAt.get(field).said(), kind);
      fields.inert = isEdited;
      fields.classList.toggle("left", isEdited);
      back.hidden = !isEdited;
      how.textContent = isEdited ? "Edited by hand: this text is what counts, and the fields rest." : "It follows the fields; edit it, and it is what counts.";
    };

    const clear = () => {
      result.replaceChildren();
      for (const { wrong, inputs } of [...form.rows, ...form.groups.map(({ ofKind }) => ofKind).filter(Boolean), ofName]) {
        wrong.textContent = "";
        for (const one of inputs()) one.removeAttribute("aria-invalid");
      }
    };
    const unchecked = () => {
      good = null;
      queue.disabled = true;
    };

    const ofName = { wrong: nameWrong, inputs: () => [name], meant: () => name };
    const sayWords = ({ message, hint }) => `${message}${hint ? ` (${hint})` : ""}`;

    /// The field that a mistake is about.
    const meant = ({ key }) => {
      if (key === "name") return ofName;
      if (isEdited || !key) return undefined;
      const path = key.replace(/^sweep\.values\./, "").replace(/["']/g, "").replace(/\[\d+\].*$/, "");
      const at = (wanted) => form.rows.find((row) => isOf(row) && row.field.path.join(".") === wanted);
      return at(path) ?? at(path.replace(/\.[^.]*$/, ""))
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
        row.meant(problem.key).setAttribute("aria-invalid", "true");
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

    /// Ranges are for draws: who asks for the first one is shown where draws are counted.
    const draw = () => {
      for (const [path, text] of [["sweep.method", "random"], ["sweep.draws", "20"]]) {
        const row = form.rows.find(({ field }) => field.path.join(".") === path);
        if (!row || row.said().text.trim()) continue;
        row.fill(text);
        row.row.closest("details").open = true;
      }
    };
    fields.addEventListener("input", ({ target }) => {
      if (target.dataset.how !== undefined && target.value === "range") draw();
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
        row.fill(settings[row.field.path.join(".")] ?? about[row.field.path.join(".")]);
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
