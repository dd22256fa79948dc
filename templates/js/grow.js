
// Rows that came since the page was made, put behind the points that its charts hold.
(() => {
  const { chartOf, figures, modelOf, paint, showCursor } = overnight;
  const OWN = "metrics.csv";
  /// The page itself follows with all that the server makes of them; this many bridge the time until then.
  const MOST = 2000;
  const NAMES = { nan: NaN, inf: Infinity, "-inf": -Infinity };
  let recent = []; // cells of each row

  const number = (cell) => (cell in NAMES ? NAMES[cell] : Number(cell));

  const joined = (old, more) => {
    const all = new Float64Array(old.length + more.length);
    all.set(old);
    all.set(more, old.length);
    return all;
  };

  /// Adds what lies beyond the last point; says whether there was anything.
  const growSeries = (series) => {
    const { csv, x, y, means } = series;
    if (!csv || csv.href !== OWN) return false;
    let last = x.length ? x[x.length - 1] : -Infinity;
    const [places, values] = [[], []];
    for (const cells of recent) {
      if (cells.length <= Math.max(csv.x, csv.y) || cells[csv.x] === "" || cells[csv.y] === "") continue;
      const place = (number(cells[csv.x]) - csv.from) / csv.unit;
      if (!(place > last)) continue;
      last = place;
      places.push(place);
      values.push(number(cells[csv.y]) / csv.divisor);
    }
    if (!places.length) return false;
    [series.x, series.y] = [joined(x, places), joined(y, values)];
    if (means) series.means = { x: joined(means.x, places), y: joined(means.y, values), n: joined(means.n, places.map(() => 1)) };
    return true;
  };

  /// Brings the charts below `root` up to the rows that are known; the figures that changed by it.
  const grow = (root = document) => !recent.length ? [] : figures(root).filter((figure) => {
    const chart = chartOf(figure);
    if (!chart.series.map(growSeries).includes(true)) return false;
    chart.isGrown = true;
    for (const { x } of chart.series) if (x.length) chart.x.high = Math.max(chart.x.high, x[x.length - 1]);
    return true;
  });

  const addRows = (lines) => {
    recent = recent.concat(lines.map((line) => line.split(","))).slice(-MOST);
    for (const figure of grow()) paint(modelOf(figure));
    showCursor();
  };

  const forgetRows = () => {
    recent = [];
  };

  Object.assign(overnight, { addRows, forgetRows, grow });
})();
