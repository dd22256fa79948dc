
// The page that compares the runs in its address. What it knows of each comes as a script beside the pages
// (src/report/compared.rs), since a page from a file may load nothing else; it is drawn as the server's are.
(() => {
  const { make, measured, duration, words, writeWords, meeting, holderOf, classOf, noise, newFigure, encoded, chosenRuns, unchoose, followFile } = overnight;
  const [MOST, MOST_NAMED] = [60, 5]; // runs that are compared, and that are named where they are none
  const [CHARTS, ROWS] = [24, 60]; // metrics that are drawn, and that have a row
  const known = (window.overnightData ||= {});
  const loading = new Map(); // path → promise
  const arrived = new Set(); // paths, also of scripts that are not there

  // ---- which runs, and what is known of them --------------------------------------------------------

  /// The run that a part of the address names, or null: never a way out of the folder of scripts.
  const runOf = (text) => {
    let parts = [];
    try {
      parts = text.split("/").map(decodeURIComponent);
    } catch {
      // No name.
    }
    const isName = (part) => part && !part.startsWith(".") && !/[/\\\0]/.test(part);
    return parts.length === 2 && parts.every(isName) ? parts.join("/") : null;
  };
  const asked = () => [...new Set((words().get("runs") || "").split(",").filter(Boolean))];
  const keys = () => asked().map(runOf).filter((key) => key !== null).slice(0, MOST);
  const experimentOf = (key) => key.split("/")[0];
  const scriptsOf = (key) => [`data/runs/${key}.js`, `data/seeds/${experimentOf(key)}.js`];

  const sourceOf = (path) => path.split("/").map(encodeURIComponent).join("/");
  let version = 0;
  const load = (path) => new Promise((then) => {
    const src = sourceOf(path);
    // Asked for again, a script of the same address would be taken from memory.
    const script = make("script", { src: loading.has(path) ? `${src}?${++version}` : src });
    script.onload = script.onerror = () => {
      script.remove();
      arrived.add(path);
      then();
    };
    document.head.append(script);
  });
  const bring = async () => {
    const paths = new Set(keys().flatMap(scriptsOf));
    for (const path of paths) if (!loading.has(path)) loading.set(path, load(path));
    await Promise.all([...paths].map((path) => loading.get(path)));
    overnight.redraw();
  };

  const setRuns = (texts) => {
    const said = words();
    if (texts.length) said.set("runs", texts.join(","));
    else said.delete("runs");
    writeWords(said);
    return bring();
  };

  /// The runs as columns: those that are known, with their names and colors here.
  const columnsOf = (found) => {
    const runs = found.map((key) => known[`run:${key}`]);
    const numbers = meeting(runs.map(({ number }) => number));
    const names = [({ label }) => label, ({ label, experiment }) => `${label} of ${experiment}`, ({ run }) => run];
    const nameOf = (run, at) => names.find((of) => runs.filter((other) => of(other) === of(run)).length === 1)?.(run) ?? found[at];
    return runs.map((run, at) => {
      const name = nameOf(run, at);
      const holder = numbers[at] === run.number ? -1 : holderOf(numbers, run.number);
      // Elsewhere it has another color.
      const moved = holder < 0 ? "" : ` (another color here: its own stands for ${nameOf(runs[holder], holder)})`;
      const spreads = (known[`seeds:${run.experiment}`] || []).find(([group]) => group === run.group)?.[1];
      return { key: found[at], run, name, moved, class: classOf(numbers[at]), page: `${run.folder}index.html`, spreads };
    });
  };

  /// Names of most runs come first: of those that each run has alone nothing is compared.
  const common = (names, most) => {
    const counts = new Map();
    for (const name of names) counts.set(name, (counts.get(name) || 0) + 1);
    const kept = new Set([...counts.keys()].sort((one, other) => counts.get(other) - counts.get(one)).slice(0, most));
    return { kept: [...counts.keys()].filter((name) => kept.has(name)), rest: counts.size - kept.size };
  };
  const leftOut = (count, what) => (count ? [make("p", { class: "soft" }, `${count} more metrics ${what}: fewer of these runs have them.`)] : []);

  // ---- what is said of them -------------------------------------------------------------------------

  const valueOf = ({ run }, name) => {
    const value = run.values.find(([other]) => other === name)?.[1];
    return value === undefined ? undefined : Number(String(value).replace("inf", "Infinity"));
  };
  const spreadOf = ({ run, spreads }, name) => (run.state.class === "finished" ? spreads?.find((spread) => spread.name === name) : undefined);
  const signed = (value) => (value > 0 ? "+" : "") + measured(value, 2);

  /// A difference to another run in words: how large, how far seeds scatter, and what that means.
  const difference = (row, column, base) => {
    const [value, from] = [row.value(column), row.value(base)];
    if (column === base || !Number.isFinite(value) || !Number.isFinite(from)) return null;
    const by = value - from;
    const chance = noise(spreadOf(column, row.name), spreadOf(base, row.name));
    if (!chance) return { by, text: signed(by), verdict: "no noise known" };
    const isSeed = column.run.group === base.run.group;
    const verdict = isSeed ? "only the seed differs" : Math.abs(by) <= chance.reach ? "within noise" : by * row.direction > 0 ? "better" : "worse";
    return { by, text: `${signed(by)} ± ${measured(chance.deviation, 2)}`, verdict };
  };

  /// Rows of values, the one that decides first. Runs that have not come to the same step are compared at
  /// the last one that all have.
  const valueRows = (columns) => {
    const directions = new Map(columns.flatMap(({ run }) => run.values.map(([name, , direction]) => [name, direction])));
    const { kept, rest } = common(columns.flatMap(({ run }) => run.values.map(([name]) => name)), ROWS);
    const rows = kept.map((name) => ({ name, direction: directions.get(name), value: (column) => valueOf(column, name) }));
    const { metric, direction } = columns[0].run;
    const lines = columns.map(({ run }) => run.lines.find((line) => line.metric === metric && !line.smoothing)?.points);
    const ends = lines.map((points) => points?.at(-2));
    const step = Math.min(...ends);
    if (Number.isFinite(step) && Math.max(...ends) > step) {
      const best = (column) => {
        const points = lines[columns.indexOf(column)];
        const values = points.filter((value, at) => at % 2 && points[at - 1] <= step && Number.isFinite(value));
        return values.length ? Math[direction > 0 ? "max" : "min"](...values) : undefined;
      };
      rows.unshift({ name: `${metric}, best up to step ${step.toLocaleString("en-US")}`, direction, value: best });
    }
    return { rows, rest };
  };

  const sentences = (columns, [row]) => {
    if (!row || !row.direction) return [];
    const ranked = columns.filter((column) => Number.isFinite(row.value(column)))
      .sort((one, other) => row.direction * (row.value(other) - row.value(one)));
    if (ranked.length < 2) return [];
    const [first, second] = ranked;
    const { by, verdict } = difference(row, first, second);
    if (by === 0) return [`${first.name} and ${second.name} have the same ${row.name}: ${measured(row.value(first))}.`];
    const means = {
      "no noise known": "Whether that is more than chance, nobody can tell: no other seeds of both have finished.",
      "within noise": "That is within what seeds alone make of such a difference.",
      "only the seed differs": "Only the seed differs between these two.",
    };
    return [
      `${first.name} leads with ${measured(row.value(first))} (${row.name}), ahead of ${second.name} by ${measured(Math.abs(by), 2)}.`,
      means[verdict] ?? "That is more than what seeds alone make of such a difference.",
    ];
  };

  // ---- charts ---------------------------------------------------------------------------------------

  const chartOf = (metric, columns, leader, size) => {
    const lines = columns.map((column) => ({ ...column, line: column.run.lines.find((line) => line.metric === metric) }))
      .filter(({ line }) => line).sort((one, other) => (one.key === leader) - (other.key === leader));
    const { title } = lines[0].line;
    const series = lines.map(({ key, run, line, name, moved, class: color, page }) => ({
      id: `${key}/${metric}`, label: name + moved, run: run.run, experiment: run.experiment,
      number: run.number, metric, class: color, lead: key === leader, points: line.points, rows: line.rows, smoothing: line.smoothing, faint: false,
      href: page, ...(line.means.length && { means: line.means }),
      ...(line.columns && { csv: { href: `${run.folder}metrics.csv`, x: line.columns[0], y: line.columns[1], from: 0, unit: 1, divisor: 1 } }),
    }));
    const steps = series.flatMap(({ points }) => [points[0], points.at(-2)]);
    const [first, high] = [Math.min(...steps), Math.max(...steps)];
    // There is no drawing by the server: the script's own stands from the beginning.
    const chart = { size, series, events: [], x: { label: "step", kind: "step", low: first < high / 2 ? 0 : first, high }, y: { label: title, low: 0, high: 1, range: "telling" } };
    const told = lines.map(({ name, line }) => `${name}: ${measured(Number(line.points.at(-1)))} at step ${line.points.at(-2)}`).reverse();
    const note = lines.some(({ line }) => line.smoothing) ? "moving average" : "";
    return newFigure({ id: `chart-${metric.replace(/[^a-z0-9]/gi, "-")}`, title, note, chart, told, hasLegend: size === "full" });
  };

  const charts = (columns, leader) => {
    const { kept, rest } = common(columns.flatMap(({ run }) => run.lines.map(({ metric }) => metric)), CHARTS);
    const size = kept.length > 3 ? "third" : "half";
    return [make("div", { class: "grid" }, ...kept.map((metric, at) => chartOf(metric, columns, leader, at ? size : "full"))), ...leftOut(rest, "are not drawn here")];
  };

  // ---- the table ------------------------------------------------------------------------------------

  const small = (text) => make("small", { class: "soft" }, text);
  /// A long name may be broken behind the signs that divide it.
  const breakable = (name) => name.split(/(?<=[./_])/).flatMap((part) => [part, make("wbr")]);
  const line = (name, cells) => make("tr", {}, make("th", { scope: "row" }, ...breakable(name)), ...cells.map((parts) => make("td", {}, ...[parts].flat())));
  const group = (title, rows, columns) => (rows.length ? [make("tbody", {}, make("tr", { class: "group" }, make("th", { scope: "rowgroup", colspan: columns.length + 1 }, make("span", {}, title))), ...rows)] : []);
  const differing = (columns, base, rowsOf) => {
    const paths = [...new Set(columns.flatMap(({ run }) => rowsOf(run).map(([path]) => path)))];
    const rows = paths.map((path) => [path, columns.map(({ run }) => rowsOf(run).find(([other]) => other === path)?.[1] ?? "")]);
    return rows.filter(([, values]) => new Set(values).size > 1)
      .map(([path, values]) => line(path, values.map((value, at) => {
        const isLikeBase = value === values[columns.indexOf(base)] && columns[at] !== base;
        return make("span", { class: isLikeBase ? "soft" : null }, value || "none");
      })));
  };

  const head = ({ key, run, name, class: color, page }, isSeveral) => make("th", { scope: "col" },
    make("span", { class: `swatch ${color}` }), make("a", { href: page, title: key }, name),
    ...(isSeveral ? [make("br"), run.experiment] : []), make("br"), make("span", { class: `st ${run.state.class}` }, run.state.word), run.state.is_imported ? " imported" : "",
    make("button", { type: "button", class: "without", "data-without": key, "aria-label": `without ${name}` }, "✕"));

  const table = (columns, rows, base) => {
    const isSeveral = columns.some(({ run }) => run.experiment !== columns[0].run.experiment);
    const values = rows.map((row) => line(row.name, columns.map((column) => {
      const value = row.value(column);
      const told = difference(row, column, base);
      return value === undefined ? "" : [make("b", {}, measured(value)), ...(told ? [make("br"), small(told.text), make("br"), small(told.verdict)] : [])];
    })));
    const seeds = rows.find(({ name }) => columns.some((column) => spreadOf(column, name)));
    if (seeds) values.push(line(`${seeds.name}, mean of seeds`, columns.map((column) => {
      const spread = spreadOf(column, seeds.name);
      return spread ? [measured(spread.mean), " ", small(`${spread.seeds} seeds`)] : small("one seed");
    })));
    const costs = [["training", "seconds", ({ seconds }) => duration(seconds)], ["energy", "joules", ({ energy }) => energy]];
    for (const name of new Set(columns.map(({ run }) => run.cost.rate_name).filter(Boolean))) costs.push([name, "rate", ({ rate }) => measured(rate, 3), name]);
    // What was measured of none is no row.
    const measuredOf = costs.filter(([, field]) => columns.some(({ run }) => run.cost[field] !== null));
    const cost = measuredOf.map(([name, field, text, rate]) => line(name, columns.map((column) => {
      const [own, from] = [column.run.cost, base.run.cost];
      if (own[field] === null || (rate && own.rate_name !== rate)) return "";
      const part = column !== base && from[field] > 0 && (!rate || from.rate_name === rate) ? (own[field] / from[field] - 1) * 100 : null;
      const percent = Math.round(part);
      return [text(own), ...(part === null ? [] : [" ", small(`${percent > 0 ? "+" : ""}${percent} %`)])];
    })));
    const radio = (column) => make("input", { type: "radio", name: "base", value: column.key, checked: column === base, "aria-label": `differences to ${column.name}` });
    return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The runs side by side" },
      make("table", { id: "beside" },
        make("thead", {}, make("tr", {}, make("td"), ...columns.map((column) => head(column, isSeveral)))),
        ...(columns.length > 1 ? [make("tbody", {}, line("differences to", columns.map(radio)))] : []),
        ...group("Results", values, columns),
        ...group("Settings that differ", differing(columns, base, ({ settings }) => settings), columns),
        ...group("Machine and data that differ", differing(columns, base, ({ environment }) => environment), columns),
        ...group("Cost", cost, columns)));
  };

  // ---- samples --------------------------------------------------------------------------------------

  const samples = (columns) => {
    const entries = columns.flatMap((column) => {
      const { sample, folder } = column.run;
      if (!sample) return [];
      const texts = sample.texts.map(({ how, prompt, text, is_cut }) => [`${prompt}\n${how}`, column,
        make("pre", {}, make("b", {}, prompt), text, ...(is_cut ? [small(" … the whole text is on the run's page")] : []))]);
      const image = sample.image && ["", column, make("img", { src: folder + sample.image, alt: `The last images of ${column.name}: ${sample.summary}`, loading: "lazy" })];
      return image ? [...texts, image] : texts;
    });
    const prompts = [...new Set(entries.map(([prompt]) => prompt))];
    return prompts.flatMap((prompt) => {
      const [said, how] = prompt.split(/\n(?=[^\n]*$)/);
      const own = entries.filter(([other]) => other === prompt);
      return [make("h3", {}, prompt ? `“${said}”` : "Images", " ", small(how ?? "")), make("div", { class: "beside" }, ...own.map(([, { name, run, class: color }, shown]) =>
        make("div", {}, make("p", {}, make("span", { class: `swatch ${color}` }), name, " ", small(`step ${run.sample.step} ${prompt ? "" : run.sample.summary}`)), shown)))];
    });
  };

  // ---- the page -------------------------------------------------------------------------------------

  const told = (...texts) => make("div", { class: "say bad" }, ...texts.map((text) => make("p", {}, text)));

  const page = () => {
    const all = asked();
    const wanted = keys();
    const found = wanted.filter((key) => known[`run:${key}`]);
    const missing = wanted.filter((key) => !found.includes(key));
    const waiting = missing.filter((key) => !scriptsOf(key).every((path) => arrived.has(path)));
    // An address may be a megabyte long.
    const named = (texts, sentence, more) => [...texts.slice(0, MOST_NAMED).map((text) => sentence(text.slice(0, 120))),
      ...(texts.length > MOST_NAMED ? [`${(texts.length - MOST_NAMED).toLocaleString("en-US")} more in the address ${more}.`] : [])];
    const problems = [
      ...named(all.filter((text) => runOf(text) === null), (text) => `“${text}” in the address names no run.`, "name none"),
      ...named(missing.filter((key) => !waiting.includes(key)), (key) => `${key} is not in this report: it was removed, or never was here.`, "are not in this report"),
      ...(all.length > MOST ? [`Of ${all.length.toLocaleString("en-US")} runs the first ${MOST} are compared.`] : []),
    ];
    const parts = problems.length ? [told(...problems)] : [];
    if (waiting.length) parts.push(make("p", { class: "soft" }, `Looking for ${waiting.length} ${waiting.length === 1 ? "run" : "runs"} …`));
    if (!found.length) {
      if (!waiting.length) parts.push(make("p", {}, "Tick runs in a list: of all ", make("a", { href: "runs/index.html" }, "runs"), ", of an ", make("a", { href: "experiments/index.html" }, "experiment"),
        ", or on a leaderboard. A bar says how many are chosen and leads here."));
      return parts;
    }
    const columns = columnsOf(found);
    const { rows, rest } = valueRows(columns);
    const base = columns.find(({ key }) => key === runOf(words().get("base") || "")) ?? columns[0];
    const says = sentences(columns, rows);
    const ranked = columns.filter((column) => Number.isFinite(rows[0]?.value(column)));
    const leader = ranked.sort((one, other) => rows[0].direction * (rows[0].value(other) - rows[0].value(one)))[0]?.key;
    if (says.length) parts.push(make("div", { class: "say" }, make("p", {}, make("b", {}, says[0])), ...says.slice(1).map((text) => make("p", {}, text))));
    if (columns.length === 1) parts.push(make("p", { class: "soft" }, "One run alone: tick another to see what differs."));
    parts.push(make("div", { id: "clocks", hidden: true, "data-clocks": JSON.stringify(Object.fromEntries(columns.map(({ key, run }) => [key, run.clocks]))) }));
    parts.push(make("h2", {}, "Curves"), ...charts(columns, leader));
    parts.push(make("h2", {}, "Side by side"), table(columns, rows, base), ...leftOut(rest, "have no row here"));
    if (columns.length > 1) parts.push(make("p", { class: "soft" }, "± is how far two such runs lie apart by their seeds alone, as a standard deviation: known where both have finished runs that differ in nothing else. Better or worse is what 95 of 100 such differences stay below."));
    const said = samples(columns);
    if (said.length) parts.push(make("h2", {}, "Samples of the last step"), ...said);
    return parts;
  };

  // ---- following, and what the reader does ----------------------------------------------------------

  const isHere = document.getElementById("compare") !== null;
  const stale = new Set();
  let timer = 0;
  const renew = (path) => {
    stale.add(path);
    timer ||= setTimeout(async () => {
      timer = 0;
      const paths = [...stale];
      stale.clear();
      await Promise.all(paths.map(load));
      overnight.redraw();
    }, 300);
  };

  // Where nobody tells of changes, scripts of runs that may change are looked at.
  const files = new Map();
  const fileOf = (path) => files.get(path) ?? files.set(path, followFile(sourceOf(path), () => renew(path))).get(path);
  const open = () => (isHere ? keys().filter((key) => known[`run:${key}`]?.is_open).map((key) => fileOf(scriptsOf(key)[0])) : []);
  const compared = {
    told: (isTold) => isHere && keys().flatMap(scriptsOf).filter(isTold).forEach(renew),
    look: () => Promise.all(open().map(({ look }) => look())),
    pause: () => Math.max(1000, ...open().map(({ pause }) => pause())),
  };

  const prepareCompare = (root) => root.querySelector("#compare")?.replaceChildren(...page());

  if (isHere) {
    if (!words().has("runs") && chosenRuns().length) setRuns(encoded(chosenRuns()).split(","));
    else bring();
    window.addEventListener("hashchange", bring);
    document.addEventListener("change", ({ target }) => {
      if (target.name !== "base") return;
      const said = words();
      said.set("base", encoded([target.value]));
      writeWords(said);
      overnight.redraw();
    });
    document.addEventListener("click", async ({ target }) => {
      const key = target.dataset?.without;
      if (key === undefined) return;
      unchoose(key);
      await setRuns(asked().filter((text) => runOf(text) !== key));
      document.querySelector("#beside [data-without]")?.focus();
    });
  }
  overnight.onPage(prepareCompare, "first");
  Object.assign(overnight, { compared, redraws: isHere });
})();
