
// Bars over the night follow the charts below them: the same zoom, the same cursor.
(() => {
  const { make, view, onView, chartOf, figures } = overnight;

  const follow = (root = document) => {
    for (const night of root.querySelectorAll("svg.night")) {
      const figure = figures(root).find((one) => chartOf(one).isTime);
      const lanes = night.querySelector("svg.lanes");
      if (!figure || !lanes) continue;
      const { from, unit } = chartOf(figure).x;
      const [begin, end] = [night.dataset.from, night.dataset.to].map(Number);
      const { low, high } = view.timeZoom || { low: (begin - from) / unit, high: (end - from) / unit };
      const part = (at) => (at * unit + from - begin) / (end - begin);
      const width = 100 / (part(high) - part(low));
      lanes.setAttribute("x", `${-part(low) * width}%`);
      lanes.setAttribute("width", `${width}%`);
    }
  };

  /// A line at a moment, or none.
  const pointNights = (time) => {
    for (const night of document.querySelectorAll("svg.night")) {
      night.querySelector("g.cursor")?.remove();
      const across = ((time - night.dataset.from) / (night.dataset.to - night.dataset.from)) * 100;
      if (!(across >= 0 && across <= 100)) continue;
      const line = make("line", { x1: `${across}%`, x2: `${across}%`, y1: 0, y2: night.getAttribute("height") });
      night.querySelector("svg.lanes").append(make("g", { class: "cursor" }, line));
    }
  };

  onView(() => follow());
  Object.assign(overnight, { followNights: follow, pointNights });
})();
