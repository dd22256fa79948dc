
// The page of an experiment: its table narrowed, axes brushed, points moved to other fields.
(() => {
  const { make, words, taken, listed, writeWords, onPage, scale, setView } = overnight;
  const get = (id, root = document) => root.querySelector(`#${id}`);
  const percent = (part) => `${Math.round(part * 1e4) / 100}%`;
  const [TOP, HEIGHT] = [26, 220]; // px, as on the server
  const MOST = 50; // brushes in an address
  let data = null;

  // ---- state in the address: find, differ, brush=field:low,high, sx, sy, slog -------------------------

  const change = (name, ...values) => {
    const said = words();
    said.delete(name);
    for (const value of values) said.append(name, value);
    writeWords(said);
    show(document);
    setView({});
  };

  const axes = (root) => [...root.querySelectorAll(".parallel .axis")];
  const scaleOf = ({ dataset: { low, high, log } }) => {
    const [from, to] = [low, high].map((end) => (log === "1" ? Math.log(Number(end)) : Number(end)));
    const at = (part) => (log === "1" ? Math.exp(from + part * (to - from)) : from + part * (to - from));
    const fraction = (value) => ((log === "1" ? Math.log(value) : value) - from) / (to - from);
    return { at, fraction };
  };

  /// The brushes by their field, each [low, high] in shares of its axis.
  const brushes = (root = document) => {
    const found = new Map();
    for (const word of listed("brush", MOST)[0]) {
      const [, field, low, high] = /^(.*):([^:,]+),([^:,]+)$/.exec(word) || [];
      const axis = axes(root).find(({ dataset }) => dataset.field === field);
      const ends = axis ? [low, high].map((end) => scaleOf(axis).fraction(Number(end))) : [];
      if (ends.length && ends.every(Number.isFinite) && ends[0] < ends[1]) found.set(field, ends);
    }
    return found;
  };

  const setBrush = (axis, ends) => {
    const all = brushes();
    if (ends) all.set(axis.dataset.field, ends);
    else all.delete(axis.dataset.field);
    const told = (field, ends) => {
      const { at } = scaleOf(axes(document).find(({ dataset }) => dataset.field === field));
      return `${field}:${ends.map((end) => Number(at(end).toPrecision(6)))}`;
    };
    change("brush", ...[...all].map(([field, ends]) => told(field, ends)));
  };

  // ---- parallel coordinates ---------------------------------------------------------------------------

  const showBrushes = (root) => {
    const all = brushes(root);
    const away = new Set();
    const own = axes(root);
    get("parallel", root).querySelector("figcaption span").textContent = `drag along an axis to keep a part of the runs, double click for all; or arrows, Shift and Escape.${listed("brush", MOST)[1]}`;
    for (const line of root.querySelectorAll(".parallel path.line")) {
      const at = line.dataset.at.split(" ").map(Number);
      const isIn = own.every(({ dataset }, place) => {
        const ends = all.get(dataset.field);
        return !ends || (at[place] >= ends[0] - 1e-4 && at[place] <= ends[1] + 1e-4);
      });
      if (!isIn) away.add(line.dataset.run);
    }
    for (const axis of own) {
      const ends = all.get(axis.dataset.field);
      const line = axis.querySelector("line");
      const x = line.getAttribute("x1");
      if (!axis.querySelector(".hit")) {
        axis.prepend(make("rect", { class: "hit", x, y: 0, width: 44, height: TOP + HEIGHT, transform: "translate(-10)" }),
          make("rect", { class: "brush", x, width: 14, transform: "translate(-7)" }));
        for (const [name, value] of Object.entries({ tabindex: 0, role: "slider", "aria-label": axis.dataset.field, "aria-valuemin": 0, "aria-valuemax": 100, "aria-orientation": "vertical" })) axis.setAttribute(name, value);
      }
      const [low, high] = ends || [0, 0];
      const { at } = scaleOf(axis);
      axis.setAttribute("aria-valuenow", Math.round(50 * (ends ? low + high : 1)));
      axis.setAttribute("aria-valuetext", ends ? `${overnight.measured(at(low))} to ${overnight.measured(at(high))}` : "all");
      const brush = axis.querySelector(".brush");
      brush.setAttribute("y", TOP + (1 - high) * HEIGHT);
      brush.setAttribute("height", Math.max(0, (high - low) * HEIGHT));
    }
    for (const one of root.querySelectorAll(".parallel [data-run], .scatter [data-run]")) one.classList.toggle("away", away.has(one.dataset.run));
    for (const tick of root.querySelectorAll("#sweep .tick")) tick.closest("tr").classList.toggle("away", away.has(tick.dataset.run));
    overnight.away = away;
  };

  let drag = null;
  const partAt = (axis, event) => {
    const { top } = axis.closest("svg").getBoundingClientRect();
    return Math.min(1, Math.max(0, 1 - (event.clientY - top - TOP) / HEIGHT));
  };
  document.addEventListener("pointerdown", (event) => {
    const axis = event.button === 0 && event.target.closest?.(".parallel .axis");
    if (axis) drag = { axis, from: partAt(axis, event) };
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const to = partAt(drag.axis, event);
    if (Math.abs(to - drag.from) > 0.015) setBrush(drag.axis, [Math.min(drag.from, to), Math.max(drag.from, to)]);
  });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => (drag = null));
  document.addEventListener("dblclick", (event) => {
    const axis = event.target.closest?.(".parallel .axis");
    if (axis) setBrush(axis, null);
  });
  // Arrows move the brush, with Shift they move its upper end.
  document.addEventListener("keydown", (event) => {
    const axis = event.target.closest?.(".parallel .axis");
    const step = { ArrowUp: 0.05, ArrowRight: 0.05, ArrowDown: -0.05, ArrowLeft: -0.05 }[event.key];
    if (!axis || !(step || event.key === "Escape")) return;
    event.preventDefault();
    if (!step) return setBrush(axis, null);
    const [low, high] = brushes().get(axis.dataset.field) || [0, 1];
    const limit = (value, from, to) => Math.min(to, Math.max(from, value));
    if (event.shiftKey) return setBrush(axis, [low, limit(high + step, low + 0.05, 1)]);
    // From the whole axis it begins as the half that the arrow points to.
    if (high - low > 0.99) return setBrush(axis, step > 0 ? [0.5, 1] : [0, 0.5]);
    const by = limit(step, -low, 1 - high);
    setBrush(axis, [low + by, high + by]);
  });
  // What is pointed at stands out among the lines, and a line says whose it is: thin as they are, from a
  // few pixels off.
  const name = make("p", { id: "named", hidden: true, "aria-hidden": "true" });
  const lineAt = ({ target, clientX, clientY }) =>
    !drag && target.closest?.(".parallel") && [0, -2, 2, -4, 4].map((off) => document.elementFromPoint(clientX, clientY + off)).find((found) => found?.matches(".parallel path.line"));
  const pointAt = (event) => {
    const line = lineAt(event);
    const key = (line || event.target.closest?.("[data-run]") || event.target.closest?.("#sweep tr")?.querySelector("[data-run]"))?.dataset.run;
    for (const other of document.querySelectorAll(".parallel path.line")) other.classList.toggle("named", other.dataset.run === key);
    name.hidden = !line;
    if (!line) return;
    if (!name.isConnected) document.body.append(name);
    name.textContent = line.querySelector("title").textContent;
    const isRight = event.clientX + name.offsetWidth + 20 > document.documentElement.clientWidth;
    name.style.left = `${Math.max(4, event.clientX + (isRight ? -12 - name.offsetWidth : 12))}px`;
    name.style.top = `${Math.max(4, event.clientY - 34)}px`;
  };
  document.addEventListener("pointerover", pointAt);
  document.addEventListener("pointermove", (event) => event.target.closest?.(".parallel") && pointAt(event));

  // ---- scatter ----------------------------------------------------------------------------------------

  const chosen = () => {
    const said = words();
    const of = (name, other) => {
      const place = data.fields.findIndex((field) => field.name === said.get(name));
      return place < 0 ? other : place;
    };
    const [x, y] = [of("sx", data.x), of("sy", data.y)];
    const isLog = (axis, at) => {
      const own = said.getAll("slog").find((word) => word[0] === axis);
      return own ? own[1] === "1" : data.fields[at].log;
    };
    return { x, y, logX: isLog("x", x), logY: isLog("y", y) };
  };

  const axisOf = ({ kinds, values }, isLog, about) => {
    const known = values.filter((value) => value !== null && (kinds || !isLog || value > 0));
    const [low, high] = kinds ? [-0.25, kinds.length - 0.75] : [Math.min(...known), Math.max(...known)];
    const made = scale(low, high, { isLog: isLog && !kinds, about, counts: !kinds && known.every(Number.isInteger) });
    const inside = (value) => 0.03 + 0.94 * made.fraction(value); // room at the edge, as on the server
    const place = (value) => (value === null || (made.isLog && value <= 0) ? null : inside(value));
    const ticks = kinds ? kinds.map((kind, at) => [inside(at), kind]) : made.ticks.map((tick, at) => [inside(tick), made.words[at]]);
    return { place, ticks };
  };

  const showScatter = (root) => {
    const { x, y, logX, logY } = chosen();
    const svg = root.querySelector("svg.scatter");
    for (const [id, value] of [["sx", x], ["sy", y]]) get(id, root).value = data.fields[value].name;
    get("slog-x", root).checked = logX;
    get("slog-y", root).checked = logY;
    // The server's own drawing shows just this.
    const isAsDrawn = x === data.x && y === data.y && logX === data.fields[x].log && logY === data.fields[y].log;
    if (isAsDrawn && svg.dataset.own === undefined) return rove(svg);
    svg.dataset.own = "";
    const [fieldX, fieldY] = [data.fields[x], data.fields[y]];
    const [across, up] = [axisOf(fieldX, logX, 6), axisOf(fieldY, logY, 4)];
    const parts = up.ticks.flatMap(([part, word]) => [
      make("line", { class: "gridline", x1: 0, x2: "100%", y1: percent(1 - part), y2: percent(1 - part) }),
      make("text", { x: 0, dx: -8, y: percent(1 - part), dy: 4, "text-anchor": "end" }, word.length > 9 ? `${word.slice(0, 8)}…` : word),
    ]);
    for (const [part, word] of across.ticks) parts.push(make("text", { x: percent(part), y: "100%", dy: 17, "text-anchor": part > 0.97 ? "end" : "middle" }, word));
    svg.querySelector(".scale").replaceChildren(...parts);
    const title = `${fieldY.name} against ${fieldX.name}`;
    svg.setAttribute("aria-label", title);
    get("scatter", root).querySelector("figcaption b").textContent = title;
    const said = ({ name, kinds, values }, at) => `${name} ${values[at] === null ? "no value" : kinds ? kinds[values[at]] : overnight.measured(values[at])}`;
    for (const link of svg.querySelectorAll("a")) {
      const at = data.runs.indexOf(link.dataset.run);
      const [left, high] = [across.place(fieldX.values[at] ?? null), up.place(fieldY.values[at] ?? null)];
      const circle = link.querySelector("circle");
      circle.setAttribute("cx", percent(left ?? 0));
      circle.setAttribute("cy", percent(1 - (high ?? 0)));
      circle.classList.toggle("gap", left === null || high === null);
      circle.classList.toggle("dot", left !== null && high !== null);
      link.setAttribute("aria-label", `${link.querySelector("title").textContent}: ${said(fieldX, at)}, ${said(fieldY, at)}`);
    }
    rove(svg);
  };

  // The points are one stop on the way by Tab: arrows go from each to the next one along x or y.
  let stop = null; // the run of the point that has the stop
  const rove = (svg) => {
    const links = [...svg.querySelectorAll("a")];
    const own = links.find((link) => link.dataset.run === stop) ?? links.at(-1);
    for (const link of links) link.setAttribute("tabindex", link === own ? 0 : -1);
  };
  const KEYS = { ArrowRight: ["cx", 1], ArrowLeft: ["cx", -1], ArrowUp: ["cy", -1], ArrowDown: ["cy", 1], Home: ["cx", -Infinity], End: ["cx", Infinity] };
  document.addEventListener("keydown", (event) => {
    const link = event.target.closest?.(".scatter a");
    const [along, by] = (!event.ctrlKey && !event.metaKey && !event.altKey && KEYS[event.key]) || [];
    if (!link || !along) return;
    event.preventDefault();
    const at = (one, name) => parseFloat(one.querySelector("circle").getAttribute(name));
    const across = along === "cx" ? "cy" : "cx";
    const order = [...link.parentNode.querySelectorAll("a")].sort((one, other) => at(one, along) - at(other, along) || at(one, across) - at(other, across));
    const next = order[Math.min(order.length - 1, Math.max(0, order.indexOf(link) + by))];
    stop = next.dataset.run;
    rove(link.parentNode);
    next.focus();
  });
  document.addEventListener("focusin", ({ target }) => {
    const link = target.closest?.(".scatter a");
    if (!link || link.dataset.run === stop) return;
    stop = link.dataset.run;
    rove(link.parentNode);
  });

  // ---- the table --------------------------------------------------------------------------------------

  const showTable = (root) => {
    const table = get("sweep", root);
    const [[find, told], differ] = [taken("find"), words().has("differ")];
    const rows = [...table.tBodies[0].rows];
    const wanted = find.toLowerCase().split(/\s+/);
    // Of a table that shows all, and shall, nothing is asked.
    const isWhole = !find && !differ && !table.querySelector("[hidden]");
    for (const row of isWhole ? [] : rows) row.hidden = !wanted.every((word) => row.textContent.toLowerCase().includes(word));
    const count = table.tHead.rows[0].cells.length;
    for (let at = 1; at < count && !isWhole; at++) {
      const isSame = differ && rows.length > 1 && rows.every((row) => row.cells[at].textContent === rows[0].cells[at].textContent);
      for (const row of [table.tHead.rows[0], ...rows]) row.cells[at].hidden = isSame;
    }
    const field = get("sweep-find", root);
    if (!field) return;
    if (field.value.trim() !== find) field.value = find;
    get("sweep-differ", root).checked = differ;
    get("sweep-found", root).textContent = find ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}${told && `.${told}`}` : "";
  };

  const tools = (root) => {
    const check = (id, text) => make("label", {}, make("input", { type: "checkbox", id }), ` ${text}`);
    // One run is found, and differs from nothing.
    if (!get("sweep-tools", root) && get("sweep", root).tBodies[0].rows.length > 1) {
      get("sweep", root).closest(".scroll").before(make("div", { id: "sweep-tools" },
        make("input", { type: "search", id: "sweep-find", placeholder: "Find runs", "aria-label": "Find runs" }),
        check("sweep-differ", "only what differs"), make("output", { id: "sweep-found", for: "sweep-find" })));
    }
    if (!data || get("scatter-tools", root)) return;
    const choice = (id, text) => make("label", {}, `${text} `, make("select", { id }, ...data.fields.map(({ name }) => make("option", {}, name))));
    get("scatter", root).querySelector("figcaption").after(make("div", { id: "scatter-tools" },
      choice("sx", "x"), check("slog-x", "log x"), choice("sy", "y"), check("slog-y", "log y")));
    get("scatter", root).querySelector("figcaption span").textContent = "each point a run, hollow without a value; arrows go from one to the next";
  };

  document.addEventListener("input", ({ target: { id, value } }) => {
    if (id === "sweep-find") change("find", ...(value.trim() ? [value.trim()] : []));
  });
  document.addEventListener("change", ({ target: { id, value, checked } }) => {
    if (id === "sweep-differ") change("differ", ...(checked ? ["1"] : []));
    if (id === "sx" || id === "sy") change(id, value);
    if (/^slog-[xy]$/.test(id)) {
      const others = listed("slog", MOST)[0].filter((word) => word[0] !== id[5]);
      change("slog", ...others, `${id[5]}${checked ? 1 : 0}`);
    }
  });

  /// The fields, where the page has them by now; read once for each version of them.
  let from = null;
  const take = (root) => {
    const text = get("sweep-data", root)?.dataset.sweep;
    if (text === from) return;
    from = text;
    data = text ? overnight.parsed(overnight.held("sweep-data", text)) : null;
  };

  const show = (root) => {
    showTable(root);
    if (!data) return;
    showBrushes(root);
    showScatter(root);
  };
  onPage((root) => {
    if (!get("sweep", root)) return;
    take(root);
    tools(root);
    show(root);
  }, "first");
  onPage((root) => {
    take(root);
    tools(root);
    show(root);
  }, "aside");
  document.addEventListener("overnight:rows", () => get("sweep") && showTable(document));
  window.addEventListener("hashchange", () => get("sweep") && show(document));
})();
