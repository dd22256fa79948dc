
// The cursor: a line over all charts of the page at the same place, with the nearest points of every
// line, and beside the chart that is pointed at a list of them, sorted by value.
(() => {
  const { make, figures, modelOf, wordOf, nearest, measured, view, onView, clocks, onAxis, stepAt } = overnight;
  const MOST_ROWS = 14;
  let cursor = null; // { id of figure, value of x, part of height or null, isKeyboard }

  const tip = make("div", { id: "tip", hidden: true, "aria-hidden": "true" });
  const spoken = make("p", { id: "spoken", class: "heard", role: "status" });

  const models = new Map(); // id → { figure, text, model }: until something changes
  const modelNow = (figure) => {
    const known = models.get(figure.id);
    if (known && known.figure === figure && known.text === figure.dataset.chart) return known.model;
    const model = modelOf(figure);
    models.set(figure.id, { figure, text: figure.dataset.chart, model });
    return model;
  };
  const forget = () => models.clear();

  /// The nearest point of each line that reaches there, from top to bottom.
  const points = (model, value) => {
    const found = [];
    for (const line of model.lines) {
      const at = nearest(line.x, value);
      const reach = (model.x.high - model.x.low) * 0.02;
      if (at < 0 || value < line.x[0] - reach || value > line.x[line.x.length - 1] + reach) continue;
      const behind = line.faint ? line.faint.y[nearest(line.faint.x, value)] : null;
      const { band } = line;
      const place = band ? nearest(band.x, value) : -1;
      found.push({ line, x: line.x[at], y: line.y[at], behind, range: place < 0 ? null : [band.low[place], band.high[place]] });
    }
    const rank = ({ y }) => (Number.isNaN(y) ? -Infinity : y);
    return found.sort((one, other) => rank(other) - rank(one));
  };

  /// The same place on a chart over another x: through the one run that the page is about.
  const converted = (value, from, to) => {
    if (from.chart.isTime === to.chart.isTime) {
      if (!from.chart.isTime) return value;
      return (value * from.chart.x.unit + from.chart.x.from - to.chart.x.from) / to.chart.x.unit;
    }
    const runs = Object.keys(clocks());
    if (runs.length !== 1) return NaN;
    if (from.chart.isTime) {
      const step = stepAt(value * from.chart.x.unit + from.chart.x.from, runs[0], "time");
      return (onAxis([step], runs[0], to.axis) || [NaN])[0];
    }
    const step = stepAt(value, runs[0], from.axis);
    const time = (onAxis([step], runs[0], "time") || [NaN])[0];
    return (time - to.chart.x.from) / to.chart.x.unit;
  };

  const mark = (model, value, list) => {
    const svg = model.figure.querySelector("svg.chart");
    svg.querySelector(":scope > g.cursor")?.remove();
    const across = model.x.fraction(value);
    if (!(across >= 0 && across <= 1)) return;
    const percent = (part) => `${part * 100}%`;
    const group = make("g", { class: "cursor" }, make("line", { x1: percent(across), x2: percent(across), y1: "0%", y2: "100%" }));
    for (const { line, x, y } of list) {
      const [at, up] = [model.x.fraction(x), model.y.fraction(y)];
      if (!Number.isFinite(y) || at < 0 || at > 1 || up < 0 || up > 1) continue;
      group.append(make("circle", { class: `dot ${line.series.class}`, cx: percent(at), cy: percent(1 - up), r: 3 }));
    }
    svg.append(group);
  };

  const row = ({ line, y, behind, range }, isNearest) => {
    const value = make("b", {}, measured(y));
    const cells = [make("span", { class: `swatch ${line.series.class}` }), make("span", {}, line.series.label), value];
    if (range) cells.push(make("small", {}, range.map((end) => measured(end)).join(" to ")));
    else if (behind !== null) cells.push(make("small", {}, measured(behind)));
    return make("li", { class: isNearest ? "near" : null }, ...cells);
  };

  const fill = (model, value, list, height) => {
    const distance = ({ y }) => Math.abs(model.y.fraction(y) - height);
    let near = height === null ? -1 : list.reduce((best, point, at) => (best < 0 || distance(point) < distance(list[best]) ? at : best), -1);
    const from = Math.max(0, Math.min(list.length - MOST_ROWS, (near < 0 ? 0 : near) - MOST_ROWS / 2));
    const shownRows = list.slice(from, from + MOST_ROWS);
    const rows = shownRows.map((point, at) => row(point, from + at === near));
    if (list.length > shownRows.length) rows.push(make("li", { class: "soft" }, `and ${list.length - shownRows.length} more`));
    tip.replaceChildren(make("p", {}, wordOf(model, value)), make("ul", {}, ...rows));
  };

  const placeTip = (model, value, height) => {
    const box = model.figure.querySelector("svg.chart").getBoundingClientRect();
    tip.hidden = false;
    const x = box.left + model.x.fraction(value) * box.width;
    const y = box.top + (height === null ? 0.2 : 1 - height) * box.height;
    const [width, tall] = [tip.offsetWidth, tip.offsetHeight];
    const isLeft = x + 16 + width > document.documentElement.clientWidth;
    tip.style.left = `${Math.max(4, isLeft ? x - 16 - width : x + 16)}px`;
    tip.style.top = `${Math.max(4, Math.min(innerHeight - tall - 4, y - tall / 2))}px`;
  };

  const hide = () => {
    cursor = null;
    tip.hidden = true;
    for (const group of document.querySelectorAll("g.cursor")) group.remove();
  };

  /// Draws the cursor where it is, or nothing.
  const show = () => {
    const figure = cursor && document.getElementById(cursor.id);
    if (!figure || !figure.dataset.chart) return hide();
    if (!tip.isConnected) document.body.append(tip, spoken);
    const model = modelNow(figure);
    const across = model.x.fraction(cursor.value);
    if (!(across >= 0 && across <= 1)) return hide();
    for (const other of figures()) {
      const box = other.getBoundingClientRect();
      if (other !== figure && (box.bottom < -200 || box.top > innerHeight + 200)) {
        other.querySelector("g.cursor")?.remove();
        continue;
      }
      const there = other === figure ? model : modelNow(other);
      const value = other === figure ? cursor.value : converted(cursor.value, model, there);
      mark(there, value, Number.isFinite(value) ? points(there, value) : []);
    }
    if (model.chart.isTime) overnight.pointNights(cursor.value * model.chart.x.unit + model.chart.x.from);
    const list = points(model, cursor.value);
    fill(model, cursor.value, list, cursor.height);
    placeTip(model, cursor.value, cursor.height);
    if (cursor.isKeyboard) {
      const said = list.slice(0, MOST_ROWS).map(({ line, y }) => `${line.series.label} ${measured(y)}`);
      spoken.textContent = `${wordOf(model, cursor.value)}: ${said.join(", ") || "no values"}`;
    }
  };
  const soon = overnight.framed(show);

  const point = (figure, value, height, isKeyboard = false) => {
    cursor = { id: figure.id, value, height, isKeyboard };
    soon();
  };
  const unpoint = () => {
    hide();
    soon();
  };

  onView(() => {
    forget();
    if (cursor) soon();
  });
  window.addEventListener("resize", forget);
  Object.assign(overnight, { point, unpoint, showCursor: () => { forget(); if (cursor) show(); }, cursorOf: () => cursor, modelNow, pointsAt: points, view });
})();
