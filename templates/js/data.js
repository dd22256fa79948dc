
// What the page holds of its charts (see src/report/chart/data.rs for the form), and further rows of
// the CSV beside it where the reader looks closer than that.
(() => {
  const { between, placeOf } = overnight;
  const number = (value) => (typeof value === "number" ? value : { nan: NaN, inf: Infinity, "-inf": -Infinity }[value]);
  const every = (flat, stride, offset) => Float64Array.from({ length: flat.length / stride }, (_, at) => number(flat[at * stride + offset]));

  const parse = (text) => {
    const chart = JSON.parse(text);
    const runs = new Set(chart.series.map(({ experiment, run }) => `${experiment}/${run}`));
    for (const series of chart.series) {
      series.runKey = `${series.experiment}/${series.run}`;
      // What is hidden by one key: a run on all its charts, or one of several lines of one run.
      series.key = runs.size > 1 ? series.runKey : series.metric || series.id;
      series.x = every(series.points, 2, 0);
      series.y = every(series.points, 2, 1);
      const means = series.means;
      series.means = means ? { x: every(means, 3, 0), y: every(means, 3, 1), n: every(means, 3, 2) } : null;
      series.members = (series.members || []).map(({ experiment, run, points }) => ({ runKey: `${experiment}/${run}`, x: every(points, 2, 0), y: every(points, 2, 1) }));
      series.edges = (series.edges || []).map((edges) => ({ x: every(edges, 3, 0), low: every(edges, 3, 1), high: every(edges, 3, 2) }));
      series.isReduced = series.rows > series.x.length;
    }
    chart.isTime = chart.x.kind === "time";
    return chart;
  };

  /// What an attribute holds: itself, or in its place the version of what came beside the page.
  const held = (id, text) => (text.startsWith("@") ? window.overnightAside[id] : text);

  const parsed = new Map(); // id of figure → { text, chart }
  const chartOf = (figure) => {
    const text = figure.dataset.chart;
    let known = parsed.get(figure.id);
    if (!known || known.text !== text) {
      known = { text, chart: parse(held(figure.id, text)) };
      parsed.set(figure.id, known);
    }
    return known.chart;
  };
  const figures = (root = document) => (root.matches?.("figure[data-chart]") ? [root] : [...root.querySelectorAll("figure[data-chart]")]);

  let clocksText = "{}";
  let clocksKnown = {};
  /// Knots of each run: what a step is on other axes. With `root`, of this page from now on.
  const clocks = (root = null) => {
    const text = root ? root.querySelector("#clocks")?.dataset.clocks ?? "{}" : clocksText;
    if (text !== clocksText) {
      clocksText = text;
      clocksKnown = overnight.parsed(held("clocks", text)) || {};
    }
    return clocksKnown;
  };

  /// Steps on another axis, never falling; null where the run does not know it.
  const onAxis = (steps, runKey, axis) => {
    if (axis === "step") return steps;
    const knots = clocksKnown[runKey];
    if (!knots || !knots[axis]) return null;
    let highest = -Infinity;
    return Float64Array.from(steps, (step) => (highest = Math.max(highest, between(knots.step, knots[axis], step))));
  };

  /// The step at a value of another axis.
  const stepAt = (value, runKey, axis) => {
    if (axis === "step") return value;
    const knots = clocksKnown[runKey];
    return knots && knots[axis] ? between(knots[axis], knots.step, value) : NaN;
  };

  // ---- looking closer: rows between two ends, by parts of the file where the server gives parts ----

  const details = new Map(); // CSV and column → { low, high, x, y }
  const whole = new Map(); // CSV that came whole → its text
  const asked = new Set();
  const MOST_BYTES = 8e6;
  const MOST_WHOLE = 4e7;

  /// The rows of a text, put behind those that were found before.
  const rows = (text, { x, y, from, unit, divisor }, found = { x: [], y: [] }) => {
    for (const line of text.split("\n")) {
      const cells = line.split(",", Math.max(x, y) + 1);
      if (cells.length <= Math.max(x, y) || cells[y] === "" || cells[x] === "") continue;
      const [place, value] = [cells[x], cells[y]].map((cell) => number(cell) ?? Number(cell));
      if (!Number.isFinite(place) || (Number.isNaN(value) && cells[y] !== "nan")) continue;
      const at = (place - from) / unit;
      // Where steps go back, the later rows count.
      while (found.x.length && found.x[found.x.length - 1] >= at) {
        found.x.pop();
        found.y.pop();
      }
      found.x.push(at);
      found.y.push(value / divisor);
    }
    return found;
  };

  const part = async (href, from, to) => {
    const answer = await fetch(href, { headers: { Range: `bytes=${from}-${to}` }, cache: "no-cache" });
    if (answer.status === 206) {
      const total = Number((answer.headers.get("Content-Range") || "").split("/")[1]);
      const text = await answer.text();
      // The first line may be half of one, and the last as well.
      const [start, end] = [from === 0 ? 0 : text.indexOf("\n") + 1, text.lastIndexOf("\n") + 1];
      return { text: text.slice(start, end), total };
    }
    // A server without parts gives everything, which may be more than a page should hold.
    if (!answer.ok || Number(answer.headers.get("Content-Length")) > MOST_WHOLE) {
      answer.body?.cancel();
      return null;
    }
    const text = await answer.text();
    whole.set(href, text);
    return { text, total: text.length };
  };

  /// Rows that reach over both ends, or as many as may be asked for.
  const load = async (series, low, high) => {
    const { csv } = series;
    if (whole.has(csv.href)) return rows(whole.get(csv.href), csv);
    const [first, last] = [series.x[0], series.x[series.x.length - 1]];
    const head = await part(csv.href, 0, 4095);
    if (!head) return null;
    if (whole.has(csv.href) || head.total <= 4096) return rows(head.text, csv);
    let margin = head.total * 0.02 + 4096;
    for (let tries = 0; tries < 6; tries++) {
      const place = (at) => ((at - first) / (last - first)) * head.total;
      const from = Math.max(0, Math.floor(place(low) - margin));
      const to = Math.min(head.total - 1, Math.ceil(place(high) + margin));
      if (to - from > MOST_BYTES) return null;
      const answer = await part(csv.href, from, to);
      if (!answer) return null;
      const found = rows(answer.text, csv);
      const reaches = (from === 0 || found.x[0] <= low) && (to === head.total - 1 || found.x[found.x.length - 1] >= high);
      if (whole.has(csv.href) || reaches) return found;
      margin *= 4;
    }
    return null;
  };

  /// A whole column, read as it comes: of a file of thousands of columns no page should hold the text.
  const column = async (csv) => {
    const answer = await fetch(csv.href, { cache: "no-cache" });
    if (!answer.ok) throw new Error(`${csv.href}: ${answer.status}`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const found = { x: [], y: [] };
    for (let rest = ""; ;) {
      const { done, value } = await reader.read();
      if (done) return found;
      rest += value;
      const end = rest.lastIndexOf("\n") + 1;
      if (!end) continue;
      rows(rest.slice(0, end), csv, found);
      rest = rest.slice(end);
    }
  };

  const nameOf = ({ csv }) => `${csv.href} ${csv.y}`;

  /// The finest that is known of a series between two ends of x as it is stored.
  const finest = (series, low, high) => {
    const detail = series.csv && details.get(nameOf(series));
    // Rows that came since are in what the page holds, not in what was loaded.
    return detail && detail.low <= low && detail.high >= high && detail.rows === series.rows ? detail : series;
  };

  /// Asks for the rows between two ends where the page holds fewer; `then` is called when they are there.
  const deepen = async (series, low, high, columns, then) => {
    if (!series.isReduced || !series.csv || !location.protocol.startsWith("http")) return;
    const held = placeOf(series.x, high) - placeOf(series.x, low);
    if (held > columns * 2 || finest(series, low, high) !== series) return;
    const name = `${nameOf(series)} ${low} ${high} ${series.rows}`;
    if (asked.has(name)) return;
    // A live run is asked for anew with each of its rows.
    if (asked.size > 500) asked.clear();
    asked.add(name);
    try {
      const margin = (high - low) / 2;
      const found = await load(series, low - margin, high + margin);
      if (!found || !found.x.length) return;
      details.set(nameOf(series), { ...found, means: null, low: low - margin, high: high + margin, rows: series.rows });
      then();
    } catch {
      // Not to be had now; what the page holds stays.
      asked.delete(name);
    }
  };

  Object.assign(overnight, { held, column, chartOf, figures, clocks, onAxis, stepAt, finest, deepen });
})();
