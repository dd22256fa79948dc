
// The page of all runs: every run of the workspace in one table, found, filtered, sorted and turned over
// by what its data scripts hold. The state stands in the address.
(() => {
  const { make, pause, measured, typed, duration, iso, words, taken, writeWords, terms, stands, isFound } = overnight;
  const ROWS = 100;
  const MOST_COLUMNS = 60; // at a time
  const FIRST = ["run", "experiment", "metric", "best", "at step", "steps", "training", "last heard", "state"];
  const MORE = ["tag", "description", "rate", "energy", "planned", "queued"];
  const TEXTS = ["run", "id", "experiment", "tag", "description", "notes"];
  const ALIAS = { status: "state", name: "run", tags: "tag" };
  const collator = new Intl.Collator(undefined, { numeric: true });

  const parts = []; // the data by its place, with its version
  let known = null; // what all parts together have: columns, values of state and tag
  const fresh = () => ({ find: "", sort: "-last heard", columns: FIRST, page: 1 });
  let asked = fresh();
  let cut = []; // what of the address was not taken, in sentences

  /// A column of a part; names come from files and addresses, and `constructor` is one as well.
  const own = (part, name) => {
    const [kind, key] = [["is", name], ["set", name], ["last", name.replace(/, last$/, "")]].find(([kind, key]) => Object.hasOwn(part[kind], key)) || [];
    return kind && part[kind][key];
  };
  const placeIn = ({ of, at }, row) => (at ? at[row] : of.length > 1 ? row : 0);
  const valueOf = ([part, row], name) => {
    const column = own(part, name);
    return column ? column.of[placeIn(column, row)] ?? null : null;
  };

  const readAddress = () => {
    const said = words();
    asked = fresh();
    cut = [];
    for (const name of ["find", "sort"]) {
      if (!said.has(name)) continue;
      const [text, told] = taken(name);
      asked[name] = text;
      cut.push(told);
    }
    if (said.has("columns")) {
      const columns = said.get("columns").split(";").filter(Boolean);
      asked.columns = columns.slice(0, MOST_COLUMNS);
      if (columns.length > MOST_COLUMNS) cut.push(` Of ${columns.length.toLocaleString("en-US")} columns in the address the first ${MOST_COLUMNS} are taken.`);
    }
    asked.page = Math.max(1, Math.floor(Number(said.get("page"))) || 1);
  };

  const ask = (change) => {
    Object.assign(asked, { page: 1 }, change);
    cut = [];
    const [said, plain] = [words(), fresh()];
    for (const name of Object.keys(plain)) {
      const [is, was] = [asked[name], plain[name]].map((value) => (Array.isArray(value) ? value.join(";") : String(value)));
      if (is === was) said.delete(name);
      else said.set(name, is);
    }
    writeWords(said);
    show(document);
  };

  const countsOf = (name) => {
    const counts = new Map();
    for (const part of parts) {
      for (let row = 0; row < part.rows; row++) {
        for (const value of [valueOf([part, row], name)].flat()) if (value !== null) counts.set(value, (counts.get(value) || 0) + 1);
      }
    }
    return [...counts].sort(([one], [other]) => collator.compare(one, other));
  };

  const survey = () => {
    const names = (kind) => [...new Set(parts.flatMap((part) => Object.keys(part[kind])))].sort();
    const differs = (name) => new Set(parts.flatMap((part) => (own(part, name)?.of ?? [null]).map(String))).size > 1;
    const set = names("set");
    known = { hasMetrics: differs("metric"), set, varied: set.filter(differs), last: names("last").map((name) => `${name}, last`), state: countsOf("state"), tag: countsOf("tag") };
    known.all = [...FIRST, ...MORE, ...known.set, ...known.last];
  };

  /// The columns that a name of the search means: its own, or settings whose path is it or ends in it: a
  /// setting of another program hides none of ours.
  const meant = (name) => {
    const wanted = Object.hasOwn(ALIAS, name) ? ALIAS[name] : name;
    const is = (column) => column.toLowerCase() === wanted.toLowerCase();
    const ends = (path) => [".", "/"].some((sign) => path.toLowerCase().endsWith(sign + wanted.toLowerCase()));
    const own = [...FIRST, ...MORE, "imported"].filter((column) => is(column.replaceAll(" ", "-")));
    const found = [own, known.set.filter((path) => is(path) || ends(path)), known.last.filter((name) => is(name.replace(/, last$/, "")))];
    return found.find((columns) => columns.length) || [];
  };

  /// The rows that are asked for, in order, and what could not be understood.
  const find = () => {
    const [unknown, wrong] = [[], []];
    const tests = terms(asked.find).map(({ isNot, name, way, wanted, wrong: typed }) => {
      if (typed) {
        wrong.push(typed);
        return () => () => false;
      }
      const columns = name ? [...meant(name)] : [...TEXTS, ...known.set];
      const isImported = !name && wanted === "imported";
      // One that starts or is about to stop has a word of its own, and is at work all the same.
      if (columns[0] === "state" && wanted === "running") columns.push("class");
      if (!columns.length) unknown.push(name);
      // Not to differ in any is to be equal in one: said of several columns, all must differ.
      const [test, all] = name ? [(value) => stands(value, way, wanted), way === "!="] : [(value) => isFound(value, wanted), false];
      return (part) => {
        // Each value of a column is judged once, however many rows have it.
        const judged = columns.map((name) => own(part, name) || { of: [null] }).map((column) => [column, column.of.map(test)]);
        const whence = isImported && own(part, "imported");
        if (whence) judged.push([whence, whence.of]);
        const holds = (row) => judged[all ? "every" : "some"](([column, ok]) => ok[placeIn(column, row)]);
        return (row) => holds(row) !== isNot;
      };
    });
    const rows = [];
    for (const part of parts) {
      const ofPart = tests.map((test) => test(part));
      for (let row = 0; row < part.rows; row++) if (ofPart.every((test) => test(row))) rows.push([part, row]);
    }
    const [name, way] = asked.sort.startsWith("-") ? [asked.sort.slice(1), -1] : [asked.sort, 1];
    const keyed = rows.map((row) => [[valueOf(row, name)].flat().join() || null, row]);
    for (const one of keyed) if (one[0] !== null && !Number.isNaN(Number(one[0]))) one[0] = Number(one[0]);
    // Values of different metrics do not compare: those of one stand together, of the commonest first.
    const counts = new Map();
    const metricOf = (row) => (name === "best" ? valueOf(row, "metric") : "");
    for (const [key, row] of keyed) if (key !== null) counts.set(metricOf(row), (counts.get(metricOf(row)) || 0) + 1);
    const places = new Map([...counts].sort(([a, one], [b, other]) => other - one || collator.compare(a, b)).map(([metric], at) => [metric, at]));
    const compare = (one, other) => (typeof one === "number" && typeof other === "number" ? one - other : collator.compare(one, other));
    // Rows without a value come last in both directions.
    keyed.sort(([one, a], [other, b]) => (one === null || other === null
      ? (one === null) - (other === null)
      : places.get(metricOf(a)) - places.get(metricOf(b)) || way * compare(one, other)));
    return { rows: keyed.map(([, row]) => row), unknown, wrong };
  };

  const momentOf = (row, name) => {
    const then = iso(valueOf(row, name) + valueOf(row, "zone"));
    if (!then) return "";
    const built = document.querySelector("#built time")?.dateTime || "";
    const day = new Date(then).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC", year: then.slice(0, 4) === built.slice(0, 4) ? undefined : "numeric" });
    return `${then.slice(0, 10) === built.slice(0, 10) ? "" : `${day} `}${then.slice(11, 16)}`;
  };


  const textOf = (row, name) => {
    const value = valueOf(row, name);
    if (value === null || value === "") return "";
    if (name === "last heard" || name === "queued") return momentOf(row, name);
    if (name === "training") return duration(value);
    if (["at step", "steps", "planned"].includes(name)) return value.toLocaleString("en-US");
    if (name === "energy") return `${measured(value / 3.6e6, 3)} kWh`;
    if (name === "rate") return typeof value === "number" ? `${measured(value)} ${valueOf(row, "rate unit") ?? ""}` : value;
    if (name === "best" || name.endsWith(", last")) return typeof value === "number" ? measured(value) : value;
    return name === "tag" ? value.join(", ") : typed(value);
  };

  const address = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt().toString(16).toUpperCase()}`);
  const isNumeric = (name) => /, last$/.test(name) || ["best", "at step", "steps", "training", "rate", "energy", "planned"].includes(name)
    || (known.set.includes(name) && parts.every((part) => (own(part, name)?.of ?? []).every((value) => value === null || typeof value === "number")));

  /// A setting's last word, where no other column ends so.
  const short = (name) => {
    if (!known.set.includes(name)) return name;
    const word = name.split(".").pop();
    return asked.columns.some((other) => other !== name && other.split(".").pop() === word) ? name : word;
  };

  const rowOf = (row, place, root, columns) => {
    const [run, id, experiment] = ["run", "id", "experiment"].map((name) => valueOf(row, name));
    const folder = address(/^index\./.test(experiment) ? `${experiment}~` : experiment);
    const cell = (name) => {
      if (name === "run") {
        return make("td", {},
          make("input", { type: "checkbox", class: "tick", "data-run": `${experiment}/${id}`, "aria-label": `compare ${run}` }),
          make("span", { class: `swatch ${valueOf(row, "color")}` }),
          make("a", { href: `${root}runs/${folder}/${address(id)}/index.html`, title: id }, run));
      }
      if (name === "experiment") return make("td", { class: "hide-s" }, make("a", { href: `${root}experiments/${folder}/index.html` }, experiment));
      if (name === "state") {
        return make("td", {}, make("span", { class: `st ${valueOf(row, "class")}`, title: valueOf(row, "why") }, valueOf(row, "state")),
          ...(valueOf(row, "imported") ? [" ", make("span", { class: "soft imported" }, "imported")] : []));
      }
      // Where a narrow page has no room for the column of it.
      const metric = name === "best" && known.hasMetrics && columns === FIRST && valueOf(row, "best") !== null && valueOf(row, "metric");
      return make("td", { class: classOf(name, columns), "data-of": metric }, textOf(row, name));
    };
    return make("tr", { id: `run-${address(experiment)}--${address(id)}`, "aria-rowindex": place }, ...columns.map(cell));
  };

  const classOf = (name, columns) =>
    [isNumeric(name) && "n", !["run", "best", "state"].includes(name) && columns === FIRST && "hide-s"].filter(Boolean).join(" ");

  const options = (select, name) => {
    const picked = terms(asked.find).find((term) => term.name === name && term.way === "=" && !term.isNot)?.wanted;
    const option = (value, text) => make("option", { value, selected: value.toLowerCase() === (picked || "") }, text);
    select.replaceChildren(option("", `any ${name}`), ...known[name].map(([value, count]) => option(value, `${value} (${count.toLocaleString("en-US")})`)));
    select.hidden = known[name].length < 2 && !picked;
  };

  /// Fills the page below `root` from the data and the address.
  const show = (root) => {
    const table = root.querySelector("#runs");
    if (!table || !known) return;
    const { rows, unknown, wrong } = find();
    const columns = asked.columns.length === FIRST.length && asked.columns.every((name, at) => name === FIRST[at])
      ? FIRST
      : asked.columns.filter((name) => known.all.includes(name));
    const pages = Math.max(1, Math.ceil(rows.length / ROWS));
    asked.page = Math.min(asked.page, pages);
    const from = (asked.page - 1) * ROWS;
    const heads = columns.map((name) => make("th", {
      scope: "col", id: `head-${name}`, class: name === "experiment" ? "hide-s" : classOf(name, columns), title: known.set.includes(name) && name,
      "aria-sort": asked.sort === name ? "ascending" : asked.sort === `-${name}` && "descending",
    }, make("button", { type: "button", "data-sort": name }, short(name))));
    const next = table.cloneNode();
    next.setAttribute("aria-rowcount", rows.length + 1);
    next.append(
      make("thead", {}, make("tr", { "aria-rowindex": 1 }, ...heads)),
      make("tbody", {}, ...rows.slice(from, from + ROWS).map((row, at) => rowOf(row, from + at + 2, table.dataset.root, columns))),
    );
    overnight.patch(table, next);

    const total = parts.reduce((sum, part) => sum + part.rows, 0);
    const said = (count) => count.toLocaleString("en-US");
    root.querySelector("#found").textContent = [
      rows.length === total ? `${said(total)} ${total === 1 ? "run" : "runs"}.` : `${said(rows.length)} of ${said(total)} runs.`,
      ...unknown.map((name) => ` No column, setting or metric is called ${name}.`),
      ...wrong.map((text) => ` ${text} is no question: write a name, a sign and a value, as lr>1e-3.`),
      ...cut,
    ].join("");
    const turn = root.querySelector("#turn");
    turn.hidden = pages < 2;
    turn.querySelector("span").textContent = `${said(from + 1)} to ${said(Math.min(from + ROWS, rows.length))}`;
    root.querySelector("#back").disabled = asked.page === 1;
    root.querySelector("#on").disabled = asked.page === pages;
    const field = root.querySelector("#find");
    if (field.value !== asked.find) field.value = asked.find;
    for (const name of ["state", "tag"]) options(root.querySelector(`#find-${name}`), name);
    if (root === document) showBoxes();
    if (root === document) document.dispatchEvent(new CustomEvent("overnight:rows"));
  };

  /// The columns to choose from, where somebody does: they may be hundreds.
  const showBoxes = () => {
    const boxes = document.getElementById("column-boxes");
    if (!known || !boxes?.parentNode.open) return;
    const box = (name) => make("label", { title: name }, make("input", { type: "checkbox", value: name, checked: asked.columns.includes(name) }), ` ${name}`);
    const offered = [...FIRST.slice(1), ...MORE, ...known.varied, ...known.last, ...asked.columns.filter((name) => known.set.includes(name) && !known.varied.includes(name))];
    boxes.replaceChildren(...offered.map(box));
  };
  document.addEventListener("toggle", ({ target }) => target.id === "columns-of-runs" && showBoxes(), true);

  const load = (table) => {
    const versions = table.dataset.scripts.split(" ").filter(Boolean);
    const missing = versions.map((version, place) => [version, place]).filter(([version, place]) => parts[place]?.version !== version);
    return Promise.all(missing.map(([version, place]) => new Promise((done) => {
      const script = make("script", { src: `${table.dataset.root}data/runs-${place}.js?${version}` });
      const end = () => {
        const part = (window.overnightData || {})[`runs-${place}`];
        if (part) parts[place] = { ...part, version };
        script.remove();
        done();
      };
      Object.assign(script, { onload: end, onerror: end });
      document.head.append(script);
    }))).then(async () => {
      parts.length = versions.length;
      if (!versions.every((_, place) => parts[place])) return;
      await pause();
      if (missing.length || !known) survey();
      await pause();
      show(document);
    });
  };

  /// Shows at once what is known, and again when new data has come.
  const prepareRuns = (root) => {
    const table = root.querySelector("#runs");
    if (!table) return;
    show(root);
    load(table);
  };

  document.addEventListener("input", ({ target }) => target.id === "find" && ask({ find: target.value }));
  document.addEventListener("submit", (event) => event.target.id === "finder" && event.preventDefault());
  document.addEventListener("change", ({ target }) => {
    const facet = /^find-(state|tag)$/.exec(target.id || "");
    if (facet) {
      const others = asked.find.replace(new RegExp(`(^|\\s)${facet[1]}=("[^"]*"?|\\S*)`, "g"), "").trim();
      const value = /[\s,]/.test(target.value) ? `"${target.value}"` : target.value;
      ask({ find: `${others} ${target.value && `${facet[1]}=${value}`}`.trim() });
    }
    if (target.closest("#column-boxes")) {
      const { value, checked } = target;
      const columns = checked ? [...asked.columns.filter((name) => name !== "state"), value, "state"] : asked.columns.filter((name) => name !== value);
      ask({ columns: [...new Set(columns)], page: asked.page });
    }
  });
  document.addEventListener("click", ({ target }) => {
    const head = target.closest("#runs th button");
    if (head) ask({ sort: asked.sort === head.dataset.sort ? `-${head.dataset.sort}` : head.dataset.sort });
    const turn = { back: -1, on: 1 }[target.id];
    if (!turn) return;
    ask({ page: asked.page + turn });
    document.getElementById("runs").scrollIntoView({ block: "nearest" });
  });
  window.addEventListener("hashchange", () => {
    readAddress();
    show(document);
  });
  readAddress();
  overnight.onPage(prepareRuns);
})();
