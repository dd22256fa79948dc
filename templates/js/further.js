
// Metrics beyond those that a run's page draws: drawn when somebody asks for one, from the rows beside the
// page. A file may load nothing beside it but scripts, so there a script of few points for each group stands
// in for the rows.
(() => {
  const { make, measured, figures, chartOf, newFigure, column, reduce, redrawn, onPage } = overnight;
  const MOST = 24; // charts at a time
  const COLUMNS = 1176; // as the server reduces a chart over the whole width
  const shown = new Map(); // place in the header → what its figure is made of
  const canAsk = location.protocol.startsWith("http") && typeof TextDecoderStream === "function";
  const canDraw = (section) => canAsk || "beside" in (section?.dataset ?? {});

  const spelled = (value) => (Number.isFinite(value) ? value : Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf");

  /// Where the run's own charts begin and end, and whose they are.
  const planOf = (name, place, found) => {
    const like = figures().map(chartOf).find((chart) => !chart.isTime && chart.series.length);
    const own = like?.series.at(-1);
    const csv = { href: "metrics.csv", x: Number(document.getElementById("further").dataset.step), y: place, from: 0, unit: 1, divisor: 1 };
    const few = reduce(found, found.x[0], found.x.at(-1), COLUMNS);
    const whose = { run: own?.run ?? "", experiment: own?.experiment ?? "", number: own?.number ?? 0, class: own?.class ?? "c1" };
    const series = { id: name, label: name, metric: name, ...whose, lead: false, points: Array.from(few.x).flatMap((x, at) => [x, spelled(few.y[at])]), rows: found.rows ?? found.x.length, smoothing: 0, faint: false, ...(canAsk && { csv }) };
    const [low, high] = like ? [like.x.low, like.x.high] : [found.x[0], found.x.at(-1)];
    const chart = { size: "third", series: [series], events: like?.events ?? [], x: { label: "step", kind: "step", low, high }, y: { label: name, low: 0, high: 1, range: "telling" } };
    const told = [`${name}: ${measured(found.y.at(-1))} at step ${found.x.at(-1).toLocaleString("en-US")}, ${(found.rows ?? found.x.length).toLocaleString("en-US")} values`];
    return { id: `further-chart-${place}`, title: name, note: "", chart, told, hasLegend: false };
  };

  /// The curve of a metric as a script beside the page has it, brought with the others of its group.
  const brought = async (group, place) => {
    const find = () => window.overnightFurther?.find(([own]) => own === place);
    if (!find()) await overnight.load(`${group.id}.js`);
    const [, rows, flat] = find();
    const number = (value) => ({ nan: NaN, inf: Infinity, "-inf": -Infinity })[value] ?? value;
    const every = (offset) => Array.from({ length: flat.length / 2 }, (_, at) => number(flat[2 * at + offset]));
    return { x: every(0), y: every(1), rows };
  };

  const placesOf = (group) => [...group.querySelectorAll("tr[data-place]")];
  const mark = (group) => {
    for (const row of placesOf(group)) {
      let button = row.cells[0].querySelector("button");
      if (!button) {
        button = make("button", { type: "button", class: "draw", "aria-label": `draw ${row.cells[0].textContent}` }, "draw");
        row.cells[0].append(" ", button);
      }
      button.setAttribute("aria-pressed", String(shown.has(row.dataset.place)));
    }
  };

  /// Puts what is drawn below the groups of `root`, and switches into those that are open.
  const prepareFurther = (root) => {
    const section = root.querySelector("#further");
    if (!section) return;
    section.querySelector("#further-how").hidden = !canDraw(section);
    // A template of the workspace may be older.
    const why = section.querySelector("#further-why");
    if (why) why.hidden = canDraw(section);
    if (!canDraw(section)) return;
    for (const group of section.querySelectorAll("details")) if ((document.getElementById(group.id) ?? group).open) mark(group);
    let grid = section.querySelector("#further-charts");
    if (!grid && shown.size) {
      grid = make("div", { class: "grid", id: "further-charts" });
      section.append(grid);
    }
    if (!grid) return;
    const kept = [...shown.values()];
    for (const figure of [...grid.children]) if (!kept.some(({ id }) => id === figure.id)) figure.remove();
    for (const plan of kept) if (!grid.querySelector(`#${plan.id}`)) grid.append(newFigure(plan));
    if (!shown.size) grid.remove();
  };

  document.addEventListener("toggle", ({ target }) => {
    if (target.matches("#further details[open]") && canDraw(target.closest("#further"))) mark(target);
  }, true);

  document.addEventListener("click", async ({ target }) => {
    const row = target.closest("#further th button")?.closest("tr");
    if (!row) return;
    const [button, { place }] = [target.closest("button"), row.dataset];
    const name = row.cells[0].firstChild.data;
    const say = (words) => (button.textContent = words);
    if (shown.delete(place)) return show();
    if (shown.size >= MOST) return say(`draw: of ${MOST} charts, first close one`);
    say("reading …");
    try {
      const step = Number(document.getElementById("further").dataset.step);
      const found = !canAsk ? await brought(row.closest("details"), Number(place)) : await column({ href: "metrics.csv", x: step, y: Number(place), from: 0, unit: 1, divisor: 1 });
      if (!found.x.length) return say("draw: no values by step");
      shown.set(place, planOf(name, Number(place), found));
      say("draw");
      show();
      document.getElementById(`further-chart-${place}`).scrollIntoView({ block: "nearest" });
    } catch {
      say(canAsk ? "draw: metrics.csv cannot be read now" : "draw: its script does not lie beside this page");
    }
  });

  const show = () => {
    prepareFurther(document);
    const grid = document.getElementById("further-charts");
    if (grid) redrawn(grid);
  };

  onPage(prepareFurther, "first");
})();
