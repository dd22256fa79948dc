
// The row of switches above the charts of a page.
(() => {
  const { view, setView, onView, chartOf, figures, clocks } = overnight;

  /// Positions of the slider are powers, so that 0.9, 0.99 and 0.999 are as far apart as they look.
  const weightAt = (position) => (position <= 0 ? 0 : Math.min(0.999, 1 - 10 ** (-3 * position / 100)));
  const positionOf = (weight) => Math.round((-100 / 3) * Math.log10(1 - Math.min(0.999, weight)));

  const isChanged = () => view.x !== "step" || view.logX || view.logY.size > 0 || view.smoothing !== null
    || view.outliers || view.whole || view.zoom || view.timeZoom || view.hidden.size > 0;

  const drawnWeight = (charts) => Math.max(0, ...charts.flatMap((chart) => chart.series.map(({ smoothing }) => smoothing)));

  const words = (weight, isOwn) => (weight === 0 ? "off" : weight.toFixed(weight > 0.99 ? 3 : 2) + (isOwn ? "" : " where noisy"));

  /// Brings the row up to the view.
  const fill = (tools, charts) => {
    const at = (id) => tools.querySelector(`#${id}`);
    const weight = view.smoothing ?? drawnWeight(charts);
    if (at("tool-x")) at("tool-x").value = view.x;
    if (at("tool-log-x")) at("tool-log-x").checked = view.logX;
    at("tool-log-y").checked = view.logY.has("*");
    at("tool-outliers").checked = view.outliers;
    // A template of the workspace may be older.
    if (at("tool-whole")) at("tool-whole").checked = view.whole;
    const slider = at("tool-smooth");
    if (document.activeElement !== slider) slider.value = positionOf(weight);
    slider.setAttribute("aria-valuetext", words(weight, view.smoothing !== null));
    tools.querySelector(".said")?.remove();
    if (overnight.leftOut()) tools.append(overnight.make("p", { class: "soft said" }, overnight.leftOut()));
    tools.querySelector("output").textContent = words(weight, view.smoothing !== null);
    at("reset").hidden = !isChanged();
  };

  /// Takes from the row below `root` what none of its charts has; where the row waits, it comes before the
  /// first of them.
  const prepareTools = (root) => {
    const row = root.querySelector("#tools");
    const all = figures(root);
    if (!row || !all.length) return;
    clocks(root);
    const known = Object.values(clocks());
    for (const option of row.querySelectorAll("#tool-x option")) {
      if (option.value !== "step" && !known.some((knots) => knots[option.value])) option.remove();
    }
    // One x is no choice.
    if (row.querySelectorAll("#tool-x option").length === 1) row.querySelector("#tool-x").parentNode.remove();
    const waiting = [row, row.closest("details")].find((part) => part?.hidden);
    if (waiting) {
      const before = waiting === row ? ".grid" : "section";
      (all[0].closest(before) || all[0]).before(waiting);
      waiting.hidden = false;
    }
    if (root.isConnected) refreshTools();
    else fill(row, all.map(chartOf));
  };

  const refreshTools = () => {
    const tools = document.getElementById("tools");
    if (tools) fill(tools, figures().map(chartOf));
  };

  const reset = () => setView({
    x: "step", logX: false, logY: new Set(), smoothing: null, outliers: false, whole: false, zoom: null, timeZoom: null, hidden: new Set(),
  });

  document.addEventListener("input", ({ target }) => {
    if (target.id === "tool-smooth") setView({ smoothing: Number(weightAt(Number(target.value)).toFixed(4)) });
  });
  document.addEventListener("change", ({ target }) => {
    // Another x has other ends: what was zoomed to is no place on it.
    if (target.id === "tool-x") setView({ x: target.value, zoom: null });
    if (target.id === "tool-log-x") setView({ logX: target.checked });
    if (target.id === "tool-log-y") setView({ logY: new Set(target.checked ? ["*"] : []) });
    // One says more of the values, the other less.
    if (target.id === "tool-outliers") setView({ outliers: target.checked, whole: false });
    if (target.id === "tool-whole") setView({ whole: target.checked, outliers: false });
  });
  document.addEventListener("click", ({ target }) => {
    if (target.id !== "reset") return;
    reset();
    document.querySelector("#tools select, #tools input").focus();
  });
  onView(refreshTools);
  Object.assign(overnight, { prepareTools, refreshTools, reset });
})();
