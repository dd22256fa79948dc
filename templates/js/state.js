
// How the reader looks at the charts of a page. It is kept in the address (after #?, or after #runs= where
// it says which runs are shown), so it survives a reload and can be sent to somebody. Words there that are
// not ours stay: other parts keep theirs too.
(() => {
  const AXES = ["step", "epoch", "elapsed", "time", "tokens", "energy"];
  const fresh = () => ({
    x: "step",
    logX: false,
    logY: new Set(), // ids of figures; with "*" all but these
    smoothing: null, // null: as drawn
    outliers: false, // whether they are ignored
    whole: false, // whether y shows every value, first steps and far lines too
    zoom: null, // { low, high } in units of x
    timeZoom: null, // the same of charts over time
    hidden: new Set(), // keys of lines
  });
  const view = fresh();
  const OURS = ["x", "logx", "logy", "smooth", "outliers", "whole", "zoom", "time", "hide"];

  const words = () => new URLSearchParams(/^#(\?|runs=)/.test(location.hash) ? location.hash.slice(1).replace(/^\?/, "") : "");

  /// A word of the address as far as it is taken, and what to say where it is longer: an address may be a
  /// megabyte long.
  const LONGEST = 500;
  const taken = (name, text = words().get(name) || "") => [text.slice(0, LONGEST), text.length > LONGEST
    ? ` Of “${name}” in the address the first ${LONGEST} characters are taken, of ${text.length.toLocaleString("en-US")}.` : ""];

  /// The same of a word that an address may have many times.
  const MOST = 1000;
  const listed = (name, most = MOST) => {
    const all = words().getAll(name);
    const kept = all.slice(0, most).filter((text) => text.length <= 2 * LONGEST);
    return [kept, kept.length < all.length ? ` Of ${all.length.toLocaleString("en-US")} words “${name}” in the address ${kept.length.toLocaleString("en-US")} are taken.` : ""];
  };
  let leftOut = "";

  const writeWords = (said) => {
    const text = said.toString().replace(/%2F/g, "/").replace(/%2C/g, ",");
    if (!text && !words().size) return;
    const hash = text.startsWith("runs=") ? `#${text}` : `#?${text}`;
    // An address without a hash would keep the old one's scroll; the path must not change from a file.
    try {
      history.replaceState(history.state, "", text ? hash : location.pathname + location.search);
    } catch {
      // A page within another's frame may not write its address, and none as often as it likes.
    }
  };

  const range = (text) => {
    const ends = (text || "").slice(0, LONGEST).split(",").map(Number);
    return ends.length === 2 && ends.every(Number.isFinite) && ends[0] < ends[1] ? { low: ends[0], high: ends[1] } : null;
  };

  /// Takes the view from the address; what makes no sense there is left out.
  const readAddress = () => {
    const said = words();
    Object.assign(view, fresh());
    if (AXES.includes(said.get("x"))) view.x = said.get("x");
    view.logX = said.get("logx") === "1";
    const [[logY, ofLogY], [hidden, ofHidden]] = [listed("logy"), listed("hide")];
    leftOut = (ofLogY + ofHidden).trim();
    view.logY = new Set(logY);
    const weight = Number(said.get("smooth"));
    if (said.has("smooth") && weight >= 0 && weight < 1) view.smoothing = weight;
    view.outliers = said.get("outliers") === "1";
    view.whole = said.get("whole") === "1";
    view.zoom = range(said.get("zoom"));
    view.timeZoom = range(said.get("time"));
    view.hidden = new Set(hidden);
  };

  const writeAddress = () => {
    const said = words();
    for (const name of OURS) said.delete(name);
    if (view.x !== "step") said.set("x", view.x);
    if (view.logX) said.set("logx", "1");
    for (const id of view.logY) said.append("logy", id);
    if (view.smoothing !== null) said.set("smooth", String(view.smoothing));
    if (view.outliers) said.set("outliers", "1");
    if (view.whole) said.set("whole", "1");
    const told = ({ low, high }) => `${Number(low.toPrecision(12))},${Number(high.toPrecision(12))}`;
    if (view.zoom) said.set("zoom", told(view.zoom));
    if (view.timeZoom) said.set("time", told(view.timeZoom));
    for (const key of view.hidden) said.append("hide", key);
    writeWords(said);
  };

  /// Whether a figure's y is logarithmic.
  const hasLogY = ({ id }) => view.logY.has("*") !== view.logY.has(id);

  const listeners = [];
  const onView = (listener) => listeners.push(listener);
  const tell = overnight.framed(() => listeners.forEach((listener) => listener()));

  /// Changes the view; charts follow within a frame.
  const setView = (change) => {
    Object.assign(view, change);
    leftOut = "";
    writeAddress();
    tell();
  };

  window.addEventListener("hashchange", () => {
    // A place on the page says nothing of the view.
    if (document.querySelector(":target")) return;
    readAddress();
    tell();
  });
  readAddress();
  Object.assign(overnight, { words, taken, listed, leftOut: () => leftOut, writeWords, view, hasLogY, setView, onView, AXES });
})();
