
// A file that was sent: its charts' data stands in it packed, and is given to a section's charts while the
// section is near the window. Where a browser cannot unpack, the drawings and tables stay as they are.
(() => {
  const { measured, newFigure, chartOf, isAsDrawn, modelOf, paint, showCursor } = overnight;
  const { prepareFigures, prepareLegends, prepareTools, make } = overnight;
  const NEAR = "600px";

  const unpacked = async (text) => {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };

  const number = (value) => (typeof value === "number" ? value : { nan: NaN, inf: Infinity, "-inf": -Infinity }[value]);
  const brief = (value) => Number(value.toPrecision(12));

  /// Places that stand as differences, with what is beside each of them, in turn.
  const inTurn = (steps, ...others) => {
    let at = 0;
    return steps.flatMap((step, row) => [(at = brief(at + step)), ...others.map((other) => other[row])]);
  };

  /// What a page would hold of a chart; a line stands in the data once, whichever charts have it.
  const chartFrom = (chart, lines) => ({
    ...chart,
    series: chart.series.map((series) => {
      const { x, y, at, mean, of, rows } = lines[series.line];
      const members = series.members?.map((member) => ({ ...member, points: inTurn(lines[member.line].x, lines[member.line].y) }));
      return { ...series, members, points: inTurn(x, y), rows, ...(at.length && { means: inTurn(at, mean, of) }) };
    }),
  });

  const toldOf = ({ series }) => [...series].reverse().map(({ label, points }) => `${label}: ${measured(number(points.at(-1)))} at ${points.at(-2)}`);

  const texts = new Map(); // id of figure → its chart as text, once it was asked for
  const wake = (section, { lines, figures }) => {
    const further = section.querySelector(".further");
    for (const { id, title, note, chart } of figures[section.dataset.charts] || []) {
      let figure = document.getElementById(id);
      if (!figure) {
        const whole = chartFrom(chart, lines);
        figure = newFigure({ id, title, note, chart: whole, told: toldOf(whole), hasLegend: false });
        further.hidden = false;
        further.querySelector(".grid").append(figure);
        texts.set(id, figure.dataset.chart);
      }
      if (!texts.has(id)) texts.set(id, JSON.stringify(chartFrom(chart, lines)));
      figure.dataset.chart = texts.get(id);
    }
    const awake = overnight.figures(section);
    prepareFigures(section);
    prepareLegends(section);
    for (const figure of awake) if (figure.dataset.view === "own" || !isAsDrawn(figure, chartOf(figure))) paint(modelOf(figure));
    showCursor();
  };
  // What is far away is not drawn anew with each change of the view.
  const rest = (section) => overnight.figures(section).forEach((figure) => delete figure.dataset.chart);

  const open = async (block) => {
    const data = await unpacked(block.textContent.trim());
    const main = document.getElementById("main");
    main.prepend(make("div", { id: "clocks", hidden: true, "data-clocks": JSON.stringify(data.clocks) }));
    const sections = [...document.querySelectorAll("section[data-charts]")];
    const first = sections.find((section) => data.figures[section.dataset.charts]?.length);
    if (!first) return;
    overnight.clocks(main);
    wake(first, data);
    prepareTools(main);
    const near = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) (isIntersecting ? wake : rest)(target, data);
    }, { rootMargin: NEAR });
    for (const section of sections) near.observe(section);
    // On paper everything is near.
    window.addEventListener("beforeprint", () => sections.forEach((section) => wake(section, data)));
    document.documentElement.dataset.sent = "ready";
  };

  const block = document.getElementById("charts");
  // A damaged block leaves the page as it came.
  if (block && typeof DecompressionStream === "function") window.addEventListener("load", () => open(block).catch(() => {}));
})();
