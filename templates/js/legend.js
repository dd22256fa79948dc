
// Legends: a click hides a line on all charts of the page, a double click singles it out.
(() => {
  const { make, view, setView, chartOf, figures } = overnight;

  /// Lines whose hiding is felt: each key once, in the order of the legend.
  const keysOf = (chart) => [...new Map(chart.series.map((series) => [series.key, series])).values()];

  const everyKey = () => new Set(figures().flatMap((figure) => chartOf(figure).series.map(({ key }) => key)));

  const toggle = (key) => {
    const hidden = new Set(view.hidden);
    if (!hidden.delete(key)) hidden.add(key);
    setView({ hidden });
  };

  /// Hides all others of the same chart, or shows them again where that is how it stands.
  const single = (figure, key) => {
    const own = keysOf(chartOf(figure)).map((series) => series.key);
    const others = own.filter((other) => other !== key);
    const isSingle = !view.hidden.has(key) && others.every((other) => view.hidden.has(other));
    const hidden = new Set([...view.hidden].filter((other) => !own.includes(other)));
    if (!isSingle) for (const other of others) hidden.add(other);
    setView({ hidden });
  };

  const item = (series, name, link) => {
    const isHidden = view.hidden.has(series.key);
    const button = make("button", {
      type: "button",
      "aria-pressed": String(!isHidden),
      "data-key": series.key,
      title: "Click: hide or show. Double click, or Shift and Enter: this one alone.",
    }, make("span", { class: `swatch ${series.class}` }), name);
    const parts = [button];
    if (link) parts.push(make("a", { href: link, "aria-label": `page of ${name}` }, "↗"));
    return make("li", {}, ...parts);
  };

  /// Turns the legends below `root` into switches.
  const prepareLegends = (root) => {
    for (const figure of figures(root)) {
      const chart = chartOf(figure);
      const lines = keysOf(chart);
      const list = figure.querySelector("ul.legend");
      // One that is folded is filled when it is opened: it may be of hundreds.
      const folded = list?.closest("details");
      if (!list || (folded && !(document.getElementById(folded.id) ?? folded).open)) continue;
      // As the server orders its own: the best first, which is drawn last.
      const order = lines.length <= 2 ? lines : [...lines].reverse();
      list.replaceChildren(...order.map((series) => item(series, series.label, series.href)));
    }
  };
  document.addEventListener("toggle", ({ target }) => {
    const figure = target.matches("details.lines[open]") && target.closest("figure[data-chart]");
    if (figure && !target.querySelector("li")) prepareLegends(figure);
  }, true);

  /// Brings the switches up to the view without making them anew, so that the focus stays.
  const refreshLegends = () => {
    for (const button of document.querySelectorAll(".legend button[data-key]")) {
      button.setAttribute("aria-pressed", String(!view.hidden.has(button.dataset.key)));
    }
  };

  const buttonOf = (event) => event.target.closest?.(".legend button[data-key]");
  document.addEventListener("click", (event) => {
    const button = buttonOf(event);
    if (!button) return;
    if (event.shiftKey) single(button.closest("figure"), button.dataset.key);
    else toggle(button.dataset.key);
  });
  document.addEventListener("dblclick", (event) => {
    const button = buttonOf(event);
    // Its two clicks took each other back.
    if (button) single(button.closest("figure"), button.dataset.key);
  });
  document.addEventListener("keydown", (event) => {
    const button = event.key === "Enter" && event.shiftKey && buttonOf(event);
    if (!button) return;
    event.preventDefault();
    single(button.closest("figure"), button.dataset.key);
  });

  overnight.onView(refreshLegends);
  Object.assign(overnight, { prepareLegends, everyKey, single, keysOf });
})();
