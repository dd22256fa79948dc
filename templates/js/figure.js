
// A figure that the server has not drawn: everything of it but the lines, which the drawing adds.
(() => {
  const { make } = overnight;
  // Columns of twelve, and the plot's width and height that ticks are chosen for (src/report/chart.rs).
  const SIZES = { full: ["w12", 1176, 260], "two-thirds": ["w8", 760, 260], half: ["w6", 556, 180], third: ["w4", 346, 120], strip: ["w12", 1176, 110] };
  const MANY = 12;

  /// `chart` is in the form of src/report/chart/data.rs; `told` are its lines in words, for its description
  /// and its table.
  const newFigure = ({ id, title, note, chart, told, hasLegend }) => {
    const { size } = chart;
    const [width, across, up] = SIZES[size];
    return make("figure", { id, class: width, "data-chart": JSON.stringify({ ...chart, isGrown: true }), "data-view": "own" },
      make("figcaption", {}, make("b", {}, title), make("span", {}, note)),
      make("svg", { class: `chart ${size} y5${chart.series.length > MANY ? " many" : ""}`, role: "img" },
        make("title", {}, title), make("desc", {}, `${title} over ${chart.x.label === "step" ? "the steps" : chart.x.label}. ${told.slice(0, MANY).join("; ")}.`), make("g", { class: "scale" }),
        make("svg", { class: "plot", viewBox: `0 0 ${across * 10} ${up * 10}`, preserveAspectRatio: "none", width: "100%", height: "100%", fill: "none" })),
      make("div", { class: "heard" }, make("table", {}, make("caption", {}, `${title}, last values`),
        make("tbody", {}, ...told.map((words) => make("tr", {}, make("td", {}, words)))))),
      ...(hasLegend ? [make("ul", { class: "legend" })] : []));
  };

  Object.assign(overnight, { newFigure });
})();
