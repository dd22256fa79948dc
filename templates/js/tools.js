
// The row of switches above the charts of a page.
(() => {
  const { make, view, setView, onView, chartOf, figures, clocks, AXES } = overnight;
  const NAMES = { step: "step", epoch: "epoch", elapsed: "training time", time: "time of day", tokens: "tokens", energy: "energy" };

  /// Positions of the slider are powers, so that 0.9, 0.99 and 0.999 are as far apart as they look.
  const weightAt = (position) => (position <= 0 ? 0 : Math.min(0.999, 1 - 10 ** (-3 * position / 100)));
  const positionOf = (weight) => Math.round((-100 / 3) * Math.log10(1 - Math.min(0.999, weight)));

  const isChanged = () => view.x !== "step" || view.logX || view.logY.size > 0 || view.smoothing !== null
    || view.outliers || view.zoom || view.timeZoom || view.hidden.size > 0;

  const drawnWeight = (charts) => Math.max(0, ...charts.flatMap((chart) => chart.series.map(({ smoothing }) => smoothing)));

  const words = (weight, isOwn) => (weight === 0 ? "off" : weight.toFixed(weight > 0.99 ? 3 : 2) + (isOwn ? "" : " where noisy"));

  const check = (id, text, isOn, title) =>
    make("label", { title }, make("input", { type: "checkbox", id, checked: isOn }), ` ${text}`);

  const build = (charts) => {
    const known = Object.values(clocks());
    const axes = AXES.filter((axis) => axis === "step" || known.some((knots) => knots[axis]));
    const options = axes.map((axis) => make("option", { value: axis, selected: axis === view.x }, NAMES[axis]));
    const weight = view.smoothing ?? drawnWeight(charts);
    const slider = make("input", {
      type: "range", id: "tool-smooth", min: 0, max: 100, step: 1, value: positionOf(weight),
      "aria-valuetext": words(weight, view.smoothing !== null),
    });
    // Over time there is no other x, and its logarithm says nothing; one x is no choice.
    const isOfTime = charts.every(({ isTime }) => isTime);
    return [
      ...(isOfTime || axes.length < 2 ? [] : [make("label", {}, "x: ", make("select", { id: "tool-x" }, ...options))]),
      ...(isOfTime ? [] : [check("tool-log-x", "log x", view.logX)]),
      check("tool-log-y", "log y", view.logY.has("*"), "All charts; key L on one of them"),
      make("label", {}, "smoothing ", slider, " ", make("output", { for: "tool-smooth" }, words(weight, view.smoothing !== null))),
      check("tool-outliers", "ignore outliers", view.outliers, "The range without the outermost twentieth at each end"),
      make("button", { type: "button", id: "reset", hidden: !isChanged() }, "Show all as drawn"),
      make("span", { class: "soft hint" }, "Drag to zoom, double click to see all, right button to save; or with arrows, +, - and M on a chart."),
    ];
  };

  /// Puts the row before the first charts below `root`.
  const prepareTools = (root) => {
    const charts = figures(root).map(chartOf);
    if (!charts.length) return;
    clocks(root);
    const first = figures(root)[0];
    if (root.querySelector("#tools")) return;
    const row = make("div", { id: "tools", role: "group", "aria-label": "How charts are shown" }, ...build(charts));
    // Among sections of several experiments it belongs to none of them, and steps back.
    const section = first.closest("section");
    if (section) section.before(make("details", { id: "tools-of-all" }, make("summary", {}, "How charts are shown"), row));
    else (first.closest(".grid") || first).before(row);
  };

  const refreshTools = () => {
    const tools = document.getElementById("tools");
    if (!tools) return;
    const charts = figures().map(chartOf);
    const weight = view.smoothing ?? drawnWeight(charts);
    const [x, logX] = ["tool-x", "tool-log-x"].map((id) => document.getElementById(id));
    if (x) x.value = view.x;
    if (logX) logX.checked = view.logX;
    document.getElementById("tool-log-y").checked = view.logY.has("*");
    document.getElementById("tool-outliers").checked = view.outliers;
    const slider = document.getElementById("tool-smooth");
    if (document.activeElement !== slider) slider.value = positionOf(weight);
    slider.setAttribute("aria-valuetext", words(weight, view.smoothing !== null));
    tools.querySelector("output").textContent = words(weight, view.smoothing !== null);
    document.getElementById("reset").hidden = !isChanged();
  };

  const reset = () => setView({
    x: "step", logX: false, logY: new Set(), smoothing: null, outliers: false, zoom: null, timeZoom: null, hidden: new Set(),
  });

  document.addEventListener("input", ({ target }) => {
    if (target.id === "tool-smooth") setView({ smoothing: Number(weightAt(Number(target.value)).toFixed(4)) });
  });
  document.addEventListener("change", ({ target }) => {
    // Another x has other ends: what was zoomed to is no place on it.
    if (target.id === "tool-x") setView({ x: target.value, zoom: null });
    if (target.id === "tool-log-x") setView({ logX: target.checked });
    if (target.id === "tool-log-y") setView({ logY: new Set(target.checked ? ["*"] : []) });
    if (target.id === "tool-outliers") setView({ outliers: target.checked });
  });
  document.addEventListener("click", ({ target }) => {
    if (target.id !== "reset") return;
    reset();
    document.querySelector("#tools select, #tools input").focus();
  });
  onView(refreshTools);
  Object.assign(overnight, { prepareTools, reset });
})();
