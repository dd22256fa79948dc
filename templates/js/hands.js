
// Charts by mouse, pen, finger and keyboard.
(() => {
  const { make, view, setView, keyOf, chartOf, wholeOf, modelNow, point, unpoint, cursorOf, nearest } = overnight;
  const { openMenu, closeMenu, toggleLog } = overnight;

  const figureOf = (target) => {
    const svg = target.closest?.("svg.chart");
    const figure = svg?.closest("figure[data-chart]");
    return figure ? { figure, svg } : null;
  };

  /// Shows a part of x, or all of it where the part is all of it.
  const zoomTo = (figure, low, high) => {
    const key = keyOf(chartOf(figure));
    const [first, last] = wholeOf(figure);
    // What misses an end by rounding only is at it.
    const grain = (last - first) * 1e-9;
    [low, high] = [low < first + grain ? first : low, high > last - grain ? last : high];
    const isAll = low <= first && high >= last;
    if (!(high > low) || high - low < grain) return;
    setView({ [key]: isAll ? null : { low, high } });
  };

  const partOf = (box, x) => Math.min(1, Math.max(0, (x - box.left) / box.width));
  const pointTo = (figure, box, event) => {
    const model = modelNow(figure);
    point(figure, model.x.at(partOf(box, event.clientX)), 1 - Math.min(1, Math.max(0, (event.clientY - box.top) / box.height)));
  };

  // ---- mouse and pen: hover, drag, double click -----------------------------------------------------

  let drag = null;
  const fingers = new Map(); // pointer → { x, y } of the chart `pinch` is about
  let pinch = null;
  let tap = { time: 0, x: 0, y: 0 };

  document.addEventListener("pointerdown", (event) => {
    const found = figureOf(event.target);
    if (!found) {
      if (cursorOf() && event.pointerType === "touch") unpoint();
      return;
    }
    const { figure, svg } = found;
    const box = svg.getBoundingClientRect();
    if (event.pointerType === "touch") {
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY, figure });
      const pair = [...fingers.values()].filter((finger) => finger.figure === figure);
      if (pair.length === 2) pinch = { figure, box, from: modelNow(figure).x, starts: pair.map(({ x }) => (x - box.left) / box.width) };
      pointTo(figure, box, event);
      return;
    }
    if (event.button !== 0) return;
    drag = { figure, svg, box, start: event.clientX, band: null, from: modelNow(figure).x };
    svg.setPointerCapture?.(event.pointerId);
    svg.focus({ preventScroll: true, focusVisible: false });
    event.preventDefault();
  });

  const stretch = ({ figure, box, from, starts }) => {
    const [one, other] = [...fingers.values()].filter((finger) => finger.figure === figure).map(({ x }) => (x - box.left) / box.width);
    if (Math.abs(other - one) < 0.02) return;
    // What was below each finger stays below it.
    const low = (starts[0] * other - starts[1] * one) / (other - one);
    const high = low + (starts[1] - starts[0]) / (other - one);
    if (high > low) zoomTo(figure, from.at(low), from.at(high));
  };

  document.addEventListener("pointermove", (event) => {
    if (drag) {
      const { svg, box, start } = drag;
      const inside = (x) => Math.min(box.width, Math.max(0, x - box.left));
      const [from, to] = [inside(Math.min(start, event.clientX)), inside(Math.max(start, event.clientX))];
      if (!drag.band && to - from < 4) return;
      if (!drag.band) {
        drag.band = make("rect", { class: "band", height: "100%" });
        svg.append(drag.band);
      }
      drag.band.setAttribute("x", from);
      drag.band.setAttribute("width", to - from);
      return;
    }
    const finger = fingers.get(event.pointerId);
    if (finger) Object.assign(finger, { x: event.clientX, y: event.clientY });
    if (pinch) return stretch(pinch);
    const found = figureOf(event.target);
    if (found) pointTo(found.figure, found.svg.getBoundingClientRect(), event);
    else if (cursorOf() && !cursorOf().isKeyboard && event.pointerType !== "touch") unpoint();
  });

  const isSecondTap = (event) => {
    const before = tap;
    tap = { time: event.timeStamp, x: event.clientX, y: event.clientY };
    return tap.time - before.time < 350 && Math.hypot(tap.x - before.x, tap.y - before.y) < 30;
  };

  const lift = (event) => {
    const finger = fingers.get(event.pointerId);
    fingers.delete(event.pointerId);
    if (finger && fingers.size < 2) {
      // The last finger of a pinch makes no tap.
      for (const other of fingers.values()) other.isPinching = pinch !== null;
      const isTap = pinch === null && !finger.isPinching && event.type === "pointerup";
      pinch = null;
      if (isTap && isSecondTap(event)) showAll(finger.figure);
    }
    if (!drag) return;
    const { figure, box, start, band, from } = drag;
    drag = null;
    band?.remove();
    if (!band || event.type === "pointercancel") return;
    const ends = [partOf(box, Math.min(start, event.clientX)), partOf(box, Math.max(start, event.clientX))];
    if (ends[1] - ends[0] >= 0.01) zoomTo(figure, from.at(ends[0]), from.at(ends[1]));
  };
  document.addEventListener("pointerup", lift);
  document.addEventListener("pointercancel", lift);
  document.addEventListener("pointerleave", ({ pointerType }) => {
    // A finger that is lifted leaves as well, and what it pointed at is still being read.
    if (pointerType !== "touch" && cursorOf() && !cursorOf().isKeyboard) unpoint();
  });

  const showAll = (figure) => setView({ [keyOf(chartOf(figure))]: null });
  document.addEventListener("dblclick", (event) => {
    const found = figureOf(event.target);
    if (found) showAll(found.figure);
  });

  // ---- keyboard -------------------------------------------------------------------------------------

  /// The line whose points the arrows step through: the leading one, which lies on top.
  const guideOf = (model) => model.lines[model.lines.length - 1];

  const step = (figure, by) => {
    const model = modelNow(figure);
    const guide = guideOf(model);
    if (!guide) return;
    const { x } = guide;
    const now = cursorOf()?.id === figure.id ? cursorOf().value : null;
    // With no cursor yet, the first step enters from the side it comes from.
    let at = Number.isFinite(by) ? (now === null ? (by > 0 ? 0 : x.length - 1) : nearest(x, now) + by) : by;
    at = Math.min(x.length - 1, Math.max(0, at));
    const reach = (model.x.high - model.x.low) * 1e-9;
    while (at < x.length - 1 && x[at] < model.x.low - reach) at++;
    while (at > 0 && x[at] > model.x.high + reach) at--;
    point(figure, x[at], null, true);
  };

  const zoomBy = (figure, factor) => {
    const model = modelNow(figure);
    const middle = cursorOf()?.id === figure.id ? model.x.fraction(cursorOf().value) : 0.5;
    zoomTo(figure, model.x.at(middle - middle * factor), model.x.at(middle + (1 - middle) * factor));
  };

  const KEYS = {
    ArrowRight: (figure, event) => step(figure, event.shiftKey ? 10 : 1),
    ArrowLeft: (figure, event) => step(figure, event.shiftKey ? -10 : -1),
    Home: (figure) => step(figure, -Infinity),
    End: (figure) => step(figure, Infinity),
    "+": (figure) => zoomBy(figure, 0.5),
    "=": (figure) => zoomBy(figure, 0.5),
    "-": (figure) => zoomBy(figure, 2),
    l: (figure) => toggleLog(figure),
    m: (figure) => openMenu(figure),
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (drag) {
        drag.band?.remove();
        drag = null;
        return;
      }
      if (closeMenu()) return;
      unpoint();
      if (view.zoom || view.timeZoom) setView({ zoom: null, timeZoom: null });
      return;
    }
    const found = figureOf(event.target);
    if (!found || event.ctrlKey || event.altKey || event.metaKey) return;
    const act = KEYS[event.key] || KEYS[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act(found.figure, event);
  });
  document.addEventListener("focusout", (event) => {
    if (figureOf(event.target) && cursorOf()?.isKeyboard) unpoint();
  });

  Object.assign(overnight, { zoomTo });
})();
