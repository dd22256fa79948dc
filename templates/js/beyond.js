
// Rows of a long table beyond those that the page holds (src/report/experiment_page/beyond.rs): put behind them
// in slices when the page is seen, and all at once into a page that is made anew.
(() => {
  const { make, onPage, pause, parsed } = overnight;
  const SLICE = 150;

  const address = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt().toString(16).toUpperCase()}`);

  /// A row as the server writes it; `like` is one of its own.
  const rowOf = ({ experiment, folder, id, states }, [run, name, color, state, cells], like) => {
    const [word, kind, detail, isImported] = states[state];
    return make("tr", { id: id + address(run) },
      make("td", {}, make("input", { type: "checkbox", class: "tick", "data-run": `${experiment}/${run}`, "aria-label": `compare ${name}` }),
        make("span", { class: `swatch ${color}` }), make("a", { href: `${folder}${address(run)}/index.html`, title: run }, name)),
      ...cells.map(([text, sort], at) => make("td", { class: like.cells[at + 1].className, "data-sort": sort }, text)),
      make("td", {}, make("span", { class: `st ${kind}`, title: detail }, word), ...(isImported ? [" ", make("span", { class: "soft imported" }, "imported")] : [])));
  };

  const from = new WeakMap(); // table → the text that its further rows are from

  const put = async (root) => {
    const body = root.querySelector("#sweep")?.tBodies[0];
    const text = root.querySelector("#sweep-rows")?.dataset.sweep;
    if (!text || !body?.rows.length || from.get(body) === text) return;
    from.set(body, text);
    const data = parsed(overnight.held("sweep-rows", text));
    if (!data) return;
    const like = body.rows[0];
    let count = body.rows.length;
    for (let at = 0; at < data.rows.length; at += SLICE) {
      if (root.ownerDocument === document) await pause();
      // Meanwhile a new page may have come, with all its rows.
      if (body.rows.length !== count) return;
      body.append(...data.rows.slice(at, at + SLICE).map((row) => rowOf(data, row, like)));
      count = body.rows.length;
    }
    root.querySelector("#sweep-left")?.remove();
    if (root.ownerDocument !== document) return;
    overnight.prepareTables(root);
    document.dispatchEvent(new Event("overnight:rows"));
  };

  onPage(put, "first");
  onPage(put, "aside");
})();
