// What pages do beyond showing: sort tables, zoom charts, follow a run while it is served.
// Without this file every chart and number is there all the same.
"use strict";
(() => {
  const main = () => document.getElementById("main");

  // ---- tables that sort by a click on a heading --------------------------------------------------

  const sorted = new Map(); // table id → { column, direction }

  const sortKey = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return null;
    if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
    const text = cell.textContent.trim();
    return text === "" ? null : text;
  };

  const compare = (one, other) => {
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other), undefined, { numeric: true });
  };

  const sortTable = (table) => {
    const { column, direction } = sorted.get(table.id);
    const rows = [...table.tBodies[0].rows];
    const keyed = rows.map((row) => [sortKey(row, column), row]);
    // Rows without a value come last in both directions.
    keyed.sort(([one], [other]) =>
      one === null || other === null ? (one === null) - (other === null) : direction * compare(one, other));
    const order = keyed.map(([, row]) => row);
    if (order.some((row, place) => row !== rows[place])) table.tBodies[0].append(...order);
    [...table.tHead.rows[0].cells].forEach((head, place) => {
      if (place === column) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  };

  const prepareTables = (root) => {
    for (const table of root.querySelectorAll("table.sortable")) {
      for (const head of table.tHead.rows[0].cells) {
        if (head.querySelector("button")) continue;
        const button = root.ownerDocument.createElement("button");
        button.type = "button";
        button.append(...head.childNodes);
        head.append(button);
      }
      if (sorted.has(table.id)) sortTable(table);
    }
  };

  document.addEventListener("click", (event) => {
    const head = event.target.closest("table.sortable th");
    if (!head || !event.target.closest("button")) return;
    const table = head.closest("table");
    const column = head.cellIndex;
    const before = sorted.get(table.id);
    const direction = before && before.column === column ? -before.direction : 1;
    sorted.set(table.id, { column, direction });
    sortTable(table);
  });

  // ---- charts that zoom: drag along x, all charts over the same x follow --------------------------

  let zoom = null; // { low, high } in units of x

  const axisOf = (plot) => {
    const [low, high, spread] = plot.dataset.x.split(" ");
    return { low: Number(low), high: Number(high), isLog: spread === "log" };
  };
  const toFraction = (axis, value) => axis.isLog
    ? Math.log(value / axis.low) / Math.log(axis.high / axis.low)
    : (value - axis.low) / (axis.high - axis.low);
  const toValue = (axis, fraction) => axis.isLog
    ? axis.low * Math.pow(axis.high / axis.low, fraction)
    : axis.low + fraction * (axis.high - axis.low);

  const roundTicks = (low, high, about) => {
    const ideal = (high - low) / about;
    const power = Math.pow(10, Math.floor(Math.log10(ideal)));
    const step = power * [1, 2, 5, 10].find((digit) => digit * power >= ideal * 0.999);
    const ticks = [];
    for (let index = Math.ceil(low / step - 1e-9); index * step <= high * (1 + 1e-12); index++) ticks.push(index * step);
    const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const text = (tick) => tick.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    return ticks.map((tick) => [tick, text(tick)]);
  };

  const PLACES = ["x", "cx", "x1", "x2"];

  // Shows the part `from`..`to` (fractions of the whole) of a chart: the lines by the inner view
  // box, everything placed by percentages by moving it.
  const showPart = (chart, from, to) => {
    const plot = chart.querySelector(":scope > svg.plot");
    const whole = plot.dataset.whole || plot.getAttribute("viewBox");
    const [, , width, height] = whole.split(" ").map(Number);
    plot.dataset.whole = whole;
    plot.setAttribute("viewBox", `${from * width} 0 ${(to - from) * width} ${height}`);
    for (const item of chart.querySelectorAll("circle, line.event, text.word")) {
      for (const place of PLACES) {
        const now = item.getAttribute(place);
        if (now === null) continue;
        const original = item.dataset[place] || now;
        item.dataset[place] = original;
        const moved = (parseFloat(original) / 100 - from) / (to - from);
        item.setAttribute(place, `${moved * 100}%`);
        item.setAttribute("visibility", moved < -0.001 || moved > 1.001 ? "hidden" : "visible");
      }
    }
    const scale = chart.querySelector("g.scale");
    // The labels of y stand beside the plot and have a dx.
    for (const text of scale.querySelectorAll('text[y="100%"]:not([dx])')) text.remove();
    const axis = axisOf(plot);
    const about = Math.max(2, Math.round(chart.clientWidth / 150) || 4);
    for (const [tick, label] of roundTicks(toValue(axis, from), toValue(axis, to), about)) {
      const text = chart.ownerDocument.createElementNS("http://www.w3.org/2000/svg", "text");
      text.setAttribute("x", `${((toFraction(axis, tick) - from) / (to - from)) * 100}%`);
      text.setAttribute("y", "100%");
      text.setAttribute("dy", "17");
      text.setAttribute("text-anchor", "middle");
      text.textContent = label;
      scale.append(text);
    }
  };

  const prepareCharts = (root) => {
    for (const chart of root.querySelectorAll("svg.chart")) {
      const plot = chart.querySelector(":scope > svg.plot");
      if (!plot || !chart.closest("figure")) continue;
      chart.classList.add("zoomable");
      if (!zoom || !isZoomed(chart)) continue;
      const axis = axisOf(plot);
      const from = Math.max(0, toFraction(axis, zoom.low));
      const to = Math.min(1, toFraction(axis, zoom.high));
      if (to - from > 1e-6) showPart(chart, from, to);
    }
  };

  // Telemetry runs over time, curves over steps: only charts of the same kind move together.
  const kindOf = (chart) => (chart.closest("figure").id.startsWith("telemetry") ? "time" : "step");
  const isZoomed = (chart) => zoom.kind === kindOf(chart);

  const setZoom = (next) => {
    zoom = next;
    let button = document.getElementById("unzoom");
    if (zoom && !button) {
      button = document.createElement("button");
      button.id = "unzoom";
      button.type = "button";
      button.textContent = "Show all steps";
      button.addEventListener("click", () => setZoom(null));
      document.body.append(button);
    } else if (!zoom && button) {
      button.remove();
    }
    if (button && zoom) button.textContent = zoom.kind === "time" ? "Show the whole time" : "Show all steps";
    // The drawings as they came, with the new part shown: patched in like an update.
    if (original) apply(original);
  };

  let drag = null;
  document.addEventListener("pointerdown", (event) => {
    const chart = event.target.closest && event.target.closest("svg.zoomable");
    if (!chart || event.button !== 0 || event.pointerType === "touch") return;
    const box = chart.getBoundingClientRect();
    drag = { chart, box, start: event.clientX, band: null };
    event.preventDefault();
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const from = Math.min(drag.start, event.clientX) - drag.box.left;
    const to = Math.max(drag.start, event.clientX) - drag.box.left;
    if (!drag.band) {
      if (to - from < 4) return;
      drag.band = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      drag.band.setAttribute("class", "band");
      drag.band.setAttribute("height", "100%");
      drag.chart.append(drag.band);
    }
    drag.band.setAttribute("x", Math.max(0, from));
    drag.band.setAttribute("width", Math.max(0, Math.min(drag.box.width, to) - Math.max(0, from)));
  });
  document.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { chart, box, start, band } = drag;
    drag = null;
    if (band) band.remove();
    const inside = (x) => Math.min(1, Math.max(0, (x - box.left) / box.width));
    const [from, to] = [inside(Math.min(start, event.clientX)), inside(Math.max(start, event.clientX))];
    if (!band || to - from < 0.01) return;
    const plot = chart.querySelector(":scope > svg.plot");
    const whole = (plot.dataset.whole || plot.getAttribute("viewBox")).split(" ").map(Number)[2];
    const [left, , width] = plot.getAttribute("viewBox").split(" ").map(Number);
    const axis = axisOf(plot);
    const value = (fraction) => toValue(axis, (left + fraction * width) / whole);
    setZoom({ low: value(from), high: value(to), kind: kindOf(chart) });
  });
  document.addEventListener("dblclick", (event) => {
    if (zoom && event.target.closest("svg.zoomable")) setZoom(null);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && zoom) setZoom(null);
  });

  // ---- patching: only what differs is touched, so scroll, selection and focus stay -----------------

  const patch = (old, next) => {
    if (old.isEqualNode(next)) return;
    if (old.nodeType !== 1 || next.nodeType !== 1) {
      if (old.nodeType === 3 && next.nodeType === 3) old.data = next.data;
      else old.replaceWith(document.importNode(next, true));
      return;
    }
    if (old.nodeName !== next.nodeName) {
      old.replaceWith(document.importNode(next, true));
      return;
    }
    for (const { name } of [...old.attributes]) {
      // What the reader opened stays open.
      if (!next.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
    }
    for (const { name, value } of [...next.attributes]) {
      if (name === "open" && old.nodeName === "DETAILS") continue;
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const known = new Map();
    for (const child of old.children) if (child.id) known.set(child.id, child);
    let at = old.firstChild;
    for (const wanted of [...next.childNodes]) {
      const same = wanted.id ? known.get(wanted.id) : null;
      if (same) {
        if (same !== at) old.insertBefore(same, at);
        else at = at.nextSibling;
        patch(same, wanted);
      } else if (at && !(at.id && at.id !== wanted.id) && at.nodeName === wanted.nodeName && !wanted.id) {
        const here = at;
        at = at.nextSibling;
        patch(here, wanted);
      } else {
        old.insertBefore(document.importNode(wanted, true), at);
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  };

  let original = null; // the page as the server last gave it, as text

  const apply = (html) => {
    const next = new DOMParser().parseFromString(html, "text/html");
    const content = next.getElementById("main");
    if (!content) return;
    original = html;
    prepareTables(content);
    prepareCharts(content);
    patch(main(), content);
    const [built, nextBuilt] = [document.getElementById("built"), next.getElementById("built")];
    if (built && nextBuilt) patch(built, nextBuilt);
    document.title = next.title;
  };

  // ---- following: an event says "look now", the page itself is asked again ------------------------

  const connection = document.getElementById("connection");
  const say = (word, className) => {
    connection.textContent = word;
    connection.className = className;
  };

  const root = new URL(document.querySelector('link[rel="stylesheet"]').href).pathname.replace(/assets\/style\.css$/, "");
  const own = () => {
    const path = decodeURIComponent(location.pathname.slice(root.length));
    return path === "" || path.endsWith("/") ? `${path}index.html` : path;
  };

  let asking = false;
  let again = false;
  const refresh = async () => {
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    try {
      const answer = await fetch(location.pathname, { cache: "no-cache" });
      if (answer.ok) {
        const html = await answer.text();
        if (html !== original) apply(html);
      }
    } catch {
      // The stream reconnects and asks again.
    } finally {
      asking = false;
      if (again) {
        again = false;
        refresh();
      }
    }
  };

  const showProblem = (problem) => {
    const banner = document.getElementById("problem");
    banner.hidden = problem === null;
    banner.textContent = problem === null ? "" : `The report could not be built: ${problem}`;
  };

  const hear = ({ type, data }) => {
    if (type === "open") {
      showProblem(null);
      return say("live", "live");
    }
    if (type === "who") return;
    if (type === "lost") return say("not connected", "live lost");
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return refresh();
    }
    if (type === "problem") {
      return showProblem(message.problem);
    }
    if (message.missed || !message.paths || message.paths.includes(own())) refresh();
  };

  // One tab of a browser holds the stream and tells the others; a hidden page holds none.
  const byEvents = () => {
    const workspace = document.documentElement.dataset.workspace;
    const channel = typeof BroadcastChannel === "function" ? new BroadcastChannel(`overnight-${workspace}`) : null;
    let stream = null;
    let release = null;
    let problem = null; // what the stream last said of a failed build
    let later = 0; // the timer of another try
    const tell = (event) => {
      hear(event);
      if (channel) channel.postMessage(event);
    };
    const listen = () => {
      stream = new EventSource(`${root}events`);
      stream.onopen = () => {
        problem = null; // whatever stands is told anew
        tell({ type: "open" });
      };
      stream.onerror = (event) => {
        tell({ type: "lost" });
        // Refused for good, as browsers see it; a server too busy is not.
        if (event.target === stream && stream.readyState === EventSource.CLOSED) later = setTimeout(listen, 3000);
      };
      stream.onmessage = (event) => tell({ type: "message", data: event.data });
      stream.addEventListener("problem", (event) => {
        problem = { type: "problem", data: event.data };
        tell(problem);
      });
    };
    const start = () => {
      if (stream || release) return;
      if (!channel || !navigator.locks) return listen();
      const given = new AbortController();
      release = () => given.abort();
      navigator.locks.request(`overnight-events-${workspace}`, { signal: given.signal }, () => new Promise((done) => {
        release = done;
        listen();
      })).catch(() => {});
      refresh();
      if (channel) channel.postMessage({ type: "who" });
    };
    const stop = () => {
      clearTimeout(later);
      if (stream) stream.close();
      stream = null;
      if (release) release();
      release = null;
    };
    if (channel) {
      channel.onmessage = ({ data }) => {
        if (data.type === "who" && stream && stream.readyState === EventSource.OPEN) {
          channel.postMessage({ type: "open" });
          if (problem) channel.postMessage(problem);
        }
        if (!document.hidden) hear(data);
      };
    }
    return { start, stop };
  };

  // A server that only has files: the page's twin tells that the page changed, the CSV has new rows.
  const byFiles = () => {
    let stops = null;
    const onEnd = (worked) => (worked ? say("live", "live") : say("not connected", "live lost"));
    const start = () => {
      if (stops) return;
      const held = document.getElementById("rows");
      const twin = overnight.followFile("index.json", refresh);
      const rows = held && overnight.followRows("metrics.csv", { at: Number(held.dataset.at), row: held.dataset.row }, refresh);
      stops = [twin, rows].filter(Boolean).map((file) => overnight.keepLooking(file, onEnd));
    };
    const stop = () => {
      for (const end of stops || []) end();
      stops = null;
    };
    return { start, stop };
  };

  /// Asks the server once whether it tells of changes; one that cannot be reached is asked again.
  const follow = async () => {
    let answer = null;
    while (!answer) {
      try {
        answer = await fetch(location.pathname, { method: "HEAD", cache: "no-store" });
      } catch {
        say("not connected", "live lost");
        await new Promise((then) => setTimeout(then, 2000));
      }
    }
    const hasEvents = answer.headers.has("Overnight-Events") && typeof EventSource === "function";
    const { start, stop } = hasEvents ? byEvents() : byFiles();
    document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
    if (!document.hidden) start();
  };

  // The page as it came, before anything here changes it: what zooming goes back to.
  original = document.documentElement.outerHTML;
  prepareTables(main());
  prepareCharts(main());
  if (location.protocol.startsWith("http")) follow();
})();
