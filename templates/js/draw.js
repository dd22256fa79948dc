
// Charts drawn anew as the reader looks at them: the same SVG as the server's, in the same classes.
(() => {
  const { make, view, hasLogY, scale, smooth, together, placeOf, reduce, shown, ends, percentiles, telling, split } = overnight;
  const { chartOf, figures, clocks, onAxis, stepAt, finest, deepen, measured, duration, moment } = overnight;
  const FORMS = { elapsed: "duration", time: "clock" };
  const LABELS = { step: "step", epoch: "epoch", elapsed: "training time", time: "time of day", tokens: "tokens", energy: "energy (J)" };

  const keyOf = (chart) => (chart.isTime ? "timeZoom" : "zoom");
  /// The x of a chart: its own where no run of it knows the one that is asked for.
  const axisOf = (chart) => {
    const known = clocks();
    // Means are of runs that meet on the axis: by the clock, those that ran one after the other never do.
    const meet = ({ members }) => {
      const ends = members.map(({ x, runKey }) => onAxis([x[0], x[x.length - 1]], runKey, view.x));
      return ends.every(Boolean) && Math.max(...ends.map(([first]) => first)) < Math.min(...ends.map(([, last]) => last));
    };
    const isKnown = chart.series.some((series) => (series.members.length ? meet(series) : known[series.runKey]?.[view.x]));
    return chart.isTime || !isKnown ? "step" : view.x;
  };

  /// Whether the server's own drawing shows just this.
  const isAsDrawn = (figure, chart) =>
    !chart.isGrown && !view[keyOf(chart)] && axisOf(chart) === "step" && !(view.logX && !chart.isTime) && !hasLogY(figure)
      && view.smoothing === null && !view.outliers && !(view.whole && chart.y.range === "telling") && !chart.series.some(({ key, runKey }) => view.hidden.has(key) || overnight.away?.has(runKey));

  /// Lines as they are drawn: the average with the values behind it, or the values themselves.
  const linesOf = (chart, zoom) => {
    const axis = axisOf(chart);
    const lines = [];
    for (const series of chart.series) {
      if (view.hidden.has(series.key)) continue;
      const known = zoom ? finest(series, ...zoom.map((end) => stepAt(end, series.runKey, axis))) : series;
      const weight = view.smoothing === null ? series.smoothing : view.smoothing;
      const on = (line) => {
        const x = onAxis(line.x, series.runKey, axis);
        return x && { x, y: line.y };
      };
      // A mean is that of values at the same place of the axis, whichever it is.
      const members = series.members.map(({ x, y, runKey }) => ({ x: onAxis(x, runKey, axis), y }));
      if (members.some(({ x }) => !x)) continue;
      const joined = members.length ? together(members) : null;
      const values = joined || on(known);
      if (!values || !values.x.length) continue;
      const average = weight > 0 ? (joined ? smooth(joined, weight) : on(smooth(known === series ? series : known, weight))) : null;
      const isFaint = average && (view.smoothing !== null || series.faint);
      const bands = series.band ? [joined] : axis === "step" ? series.edges ?? [] : [];
      // The first is what the cursor tells of a line.
      lines.push({ series, ...(average || values), faint: isFaint ? values : null, values, band: bands[0] ?? null, bands });
    }
    return lines;
  };

  const rangeOfX = (chart, lines, zoom = view[keyOf(chart)]) => {
    const isLog = view.logX && !chart.isTime;
    if (zoom) return [zoom.low, zoom.high];
    if (axisOf(chart) === "step" && !isLog) return [chart.x.low, chart.x.high];
    let [low, high] = [Infinity, -Infinity];
    for (const { x } of lines) {
      const first = isLog ? x.find((value) => value > 0) ?? Infinity : x[0];
      [low, high] = [Math.min(low, first), Math.max(high, x[x.length - 1])];
    }
    if (!isLog && axisOf(chart) !== "time" && low > 0 && low < high * 0.05) low = 0;
    return [low, high];
  };

  const rangeOfY = (figure, chart, lines, [low, high]) => {
    const isLog = hasLogY(figure);
    if (isAsDrawn(figure, chart)) return { ends: [chart.y.low, chart.y.high], rounded: false };
    if (chart.y.range === "fixed" && !isLog && !view.outliers) return { ends: [chart.y.low, chart.y.high], rounded: true };
    const isZoomed = view[keyOf(chart)] !== null;
    const values = shown(lines, low, high, isLog);
    const behind = lines.flatMap(({ faint }) => (faint ? [faint] : []));
    const edges = lines.flatMap(({ bands }) => bands.flatMap(({ x, low, high }) => [{ x, y: low }, { x, y: high }]));
    values.push(...shown(edges, low, high, isLog));
    // Of the values behind an average the outermost stay outside: it is about the average.
    if (view.whole) values.push(...shown(behind, low, high, isLog));
    else if (isZoomed && !view.outliers) values.push(...percentiles(shown(behind, low, high, isLog), 0.02).filter(Number.isFinite));
    let range = chart.y.range === "telling" && !isLog && !isZoomed && !view.whole ? telling([...lines, ...behind, ...edges], low, high) : ends(values);
    // Never wider than without: what the range above leaves out already are no outliers to ask back.
    if (view.outliers) {
      const [inner, outer] = percentiles(values);
      range = [Math.max(range[0], inner), Math.min(range[1], outer)];
    }
    if (range[0] > range[1]) range = [chart.y.low, chart.y.high];
    if (chart.y.range === "from-zero" && !isLog && !view.outliers) range = [Math.min(0, range[0]), Math.max(0, range[1])];
    return { ends: range, rounded: true };
  };

  const sizeOf = (figure) => {
    const live = document.getElementById(figure.id);
    const svg = (live || figure).querySelector("svg.chart");
    const plot = figure.querySelector("svg.plot").getAttribute("viewBox").split(" ");
    // As high as the server took it for: the same ticks.
    return { nominal: Number(plot[3]) / 10, width: svg.clientWidth || svg.getBoundingClientRect().width || 600, height: svg.getBoundingClientRect().height || 200 };
  };

  const areWhole = (lists) => lists.every((list) => list.every((value) => Number.isInteger(value) || !Number.isFinite(value)));

  /// Everything that decides how a figure looks now.
  const modelOf = (figure) => {
    const chart = chartOf(figure);
    const zoom = view[keyOf(chart)];
    const lines = linesOf(chart, zoom && [zoom.low, zoom.high]);
    const rangeX = rangeOfX(chart, lines);
    const rangeY = rangeOfY(figure, chart, lines, rangeX);
    const { width, height, nominal } = sizeOf(figure);
    const axis = axisOf(chart);
    const form = FORMS[axis] || "number";
    const x = scale(...rangeX, { isLog: view.logX && !chart.isTime, form, counts: axis === "step" && !chart.isTime && areWhole(lines.map((line) => line.x)), about: Math.min(8, Math.max(2, Math.floor(width / 110))) });
    const isLog = hasLogY(figure);
    const counts = areWhole(lines.flatMap(({ y: values, band }) => [values, ...(band ? [band.low, band.high] : [])]));
    const y = scale(...rangeY.ends, { isLog, rounded: rangeY.rounded, counts, about: Math.max(isLog ? 3 : 2, Math.floor(nominal / 42)) });
    const first = chart.series[0];
    const events = chart.events.map(({ x: step, word }) => ({ word, x: (onAxis([step], first?.runKey, axis) || [NaN])[0] }));
    return { figure, chart, lines, x, y, events, width, height, axis, label: chart.isTime ? chart.x.label : LABELS[axis] };
  };

  /// The ends of x with nothing zoomed.
  const wholeOf = (figure) => {
    const chart = chartOf(figure);
    return rangeOfX(chart, linesOf(chart, null), null);
  };

  /// A value of x in words: "step 1,230", "12 min 5 s".
  const wordOf = (model, value) => {
    if (model.x.form === "duration") return duration(value);
    if (model.x.form === "clock") return `${moment(value, 86400)} ${moment(value)}`;
    if (model.label === "step") return `step ${Math.round(value).toLocaleString("en-US")}`;
    // As exactly as the screen tells places apart.
    const grain = model.x.isLog ? value / 500 : (model.x.high - model.x.low) / model.width;
    const decimals = Math.min(12, Math.max(0, Math.ceil(-Math.log10(grain))));
    const seen = Math.abs(value) < 1e15 ? Number(value.toFixed(decimals)) : value;
    return `${model.label} ${measured(seen, Math.abs(seen) >= 1e6 ? 6 : 12).replace(/(\.\d*?)0+(?=$| )/, "$1").replace(/\.(?=$| )/, "")}`;
  };

  // ---- drawing --------------------------------------------------------------------------------------

  const percent = (part) => `${Math.round(part * 1e4) / 100}%`;
  const isInside = (part) => part >= -1e-6 && part <= 1 + 1e-6;
  const wide = (text) => text.length * 6.1;

  const label = (text, attributes) => make("text", attributes, text);

  const paintScale = (model) => {
    const { x, y, width } = model;
    const group = make("g", { class: "scale" });
    for (const [at, tick] of y.ticks.entries()) {
      const place = percent(1 - y.fraction(tick));
      if (!isInside(y.fraction(tick))) continue;
      group.append(make("line", { class: "gridline", x1: 0, y1: place, x2: "100%", y2: place }));
      group.append(label(y.words[at], { x: 0, dx: -8, y: place, dy: 4, "text-anchor": "end" }));
    }
    let free = -Infinity;
    for (const [at, tick] of x.ticks.entries()) {
      const part = x.fraction(tick);
      const half = wide(x.words[at]) / 2;
      const isLast = part * width + half - width > 12;
      const left = part * width - (isLast ? half * 2 : half);
      if (!isInside(part) || left < free) continue;
      free = left + half * 2 + 10;
      group.append(label(x.words[at], { x: percent(part), y: "100%", dy: 17, "text-anchor": isLast ? "end" : "middle" }));
    }
    return group;
  };

  const paintEvents = (model, group, over) => {
    let free = 0;
    for (const { x, word } of [...model.events].sort((one, other) => one.x - other.x)) {
      const part = model.x.fraction(x);
      if (!Number.isFinite(x) || !isInside(part)) continue;
      group.append(make("line", { class: "event", x1: percent(part), y1: "100%", x2: percent(part), y2: "0%" }));
      const length = wide(word) + 10;
      const isLeft = part * model.width + length > model.width;
      const left = part * model.width - (isLeft ? length : 0);
      if (left < free) continue;
      free = left + length;
      over.push(label(word, { class: "word", x: percent(part), dx: isLeft ? -5 : 5, y: "0%", dy: 11, "text-anchor": isLeft ? "end" : "start" }));
    }
  };

  /// The part of a line that shows, with the neighbor beyond each end.
  const reaching = ({ x, y }, low, high) => {
    const from = Math.max(0, placeOf(x, low) - 1);
    const to = Math.min(x.length, placeOf(x, high) + 2);
    return { x: x.slice(from, to), y: y.slice(from, to) };
  };

  /// One line's paths and single points, `place` from values to units of the canvas.
  const paintLine = (line, model, classes, place, paths, over) => {
    const { x, y } = model;
    const part = reaching(line, x.low, x.high);
    const few = x.isLog ? part : reduce(part, x.low, x.high, Math.max(200, Math.round(model.width)));
    const { stretches, gaps } = split(few);
    for (const [from, to] of stretches) {
      if (to - from === 1) {
        const [across, up] = [x.fraction(few.x[from]), y.fraction(few.y[from])];
        if (isInside(across) && isInside(up)) over.push(make("circle", { class: `dot ${classes.color}`, cx: percent(across), cy: percent(1 - up), r: 2.2 }));
        continue;
      }
      const d = [];
      for (let at = from; at < to; at++) d.push(`${place(few.x[at], few.y[at])}`);
      paths.push(make("path", { class: `line ${classes.color}${classes.weight}`, d: `M${d.join("L")}` }));
    }
    return gaps;
  };

  /// The area between the lowest and the highest of several lines: there below and back above.
  const paintBand = ({ x, low, high }, series, model, place) => {
    const edge = (y) => {
      const part = reaching({ x, y }, model.x.low, model.x.high);
      const few = model.x.isLog ? part : reduce(part, model.x.low, model.x.high, Math.max(200, Math.round(model.width)));
      return [...few.x].map((at, point) => place(at, few.y[point]));
    };
    return make("path", { class: `spread ${series.class}`, d: `M${[...edge(low), ...edge(high).reverse()].join("L")}Z` });
  };

  const paintGaps = (gaps, model, color, over) => {
    let last = null;
    for (const gap of gaps.slice(0, 100)) {
      const across = model.x.fraction(gap.x);
      const pixel = Math.round(across * model.width);
      if (!isInside(across) || pixel === last) continue;
      last = pixel;
      const up = Math.min(1, Math.max(0, gap.beside === null ? 0 : model.y.fraction(gap.beside)));
      over.push(make("circle", { class: `gap ${color}`, cx: percent(across), cy: percent(1 - up), r: 3 }));
    }
  };

  /// Puts the model into the chart's SVG, in place of what it showed.
  const paint = (model) => {
    const svg = model.figure.querySelector("svg.chart");
    const plot = svg.querySelector(":scope > svg.plot");
    const [, , width, height] = plot.getAttribute("viewBox").split(" ").map(Number);
    const place = (x, y) => `${Math.round(model.x.fraction(x) * width)} ${Math.round((1 - model.y.fraction(y)) * height)}`;
    const [paths, over] = [[], []];
    const group = paintScale(model);
    paintEvents(model, group, over);
    for (const { bands, series } of model.lines) for (const band of bands) paths.push(paintBand(band, series, model, place));
    for (const line of model.lines) {
      const color = line.series.class + (overnight.away?.has(line.series.runKey) ? " away" : "");
      if (line.faint) paintLine(line.faint, model, { color, weight: " faint" }, place, paths, over);
      const gaps = paintLine(line, model, { color, weight: line.series.lead ? " lead" : "" }, place, paths, over);
      paintGaps(line.faint ? split(reaching(line.values, model.x.low, model.x.high)).gaps : gaps, model, color, over);
    }
    const room = Math.min(12, Math.max(5, Math.ceil((Math.max(0, ...model.y.words.map(wide)) + 10) / 8)));
    svg.setAttribute("class", svg.getAttribute("class").replace(/\by\d+\b/, `y${room}`));
    plot.dataset.x = `${model.x.low} ${model.x.high} ${model.x.isLog ? "log" : "linear"}`;
    plot.replaceChildren(...paths);
    svg.querySelector(":scope > g.scale").replaceWith(group);
    for (const old of [...svg.querySelectorAll(":scope > circle, :scope > text")]) old.remove();
    svg.append(...over);
    model.figure.dataset.view = isAsDrawn(model.figure, model.chart) ? "" : "own";
    if (model.figure.isConnected) look(model);
  };

  /// Fetches what the page does not hold, where the reader looks closely.
  const look = (model) => {
    const zoom = view[keyOf(model.chart)];
    if (!zoom) return;
    for (const { series } of model.lines) {
      const [low, high] = [zoom.low, zoom.high].map((end) => stepAt(end, series.runKey, model.axis));
      deepen(series, low, high, model.width, () => document.contains(model.figure) && paint(modelOf(model.figure)));
    }
  };

  /// Draws what differs from the server's drawing; `root` is the page, or the next one before it is shown.
  const drawAll = (root = document) => {
    clocks(root);
    for (const figure of figures(root)) {
      const isOwn = figure.dataset.view === "own" || (root === document && figure.dataset.view !== undefined);
      if (isOwn || !isAsDrawn(figure, chartOf(figure))) paint(modelOf(figure));
    }
  };

  Object.assign(overnight, { modelOf, isAsDrawn, wholeOf, drawAll, paint, wordOf, keyOf, LABELS });
})();
