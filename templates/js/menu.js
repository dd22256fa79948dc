
// What can be done with one chart: by the right button, the key M, or the button beside its title.
(() => {
  const { make, view, hasLogY, setView, save, keyOf, chartOf, figures } = overnight;
  let opener = null; // what gets the focus back

  const entries = (figure) => {
    const chart = chartOf(figure);
    const isLog = hasLogY(figure);
    return [
      ["Save as SVG", () => save(figure, "svg")],
      ["Save as PNG", () => save(figure, "png")],
      ["Save the values as CSV", () => save(figure, "csv")],
      ["Save as TikZ (pgfplots)", () => save(figure, "tex")],
      [isLog ? "Linear y" : "Logarithmic y", () => toggleLog(figure)],
      ...(view[keyOf(chart)] ? [["Show the whole range", () => setView({ [keyOf(chart)]: null })]] : []),
    ];
  };

  const toggleLog = (figure) => {
    const logY = new Set(view.logY);
    if (!logY.delete(figure.id)) logY.add(figure.id);
    setView({ logY });
  };

  const close = () => {
    const menu = document.getElementById("menu");
    if (!menu) return false;
    const hadFocus = menu.contains(document.activeElement);
    menu.remove();
    if (hadFocus && opener?.isConnected) opener.focus({ preventScroll: true });
    return true;
  };

  const open = (figure, x, y) => {
    close();
    opener = document.activeElement && document.activeElement !== document.body ? document.activeElement : figure.querySelector("svg.chart");
    const items = entries(figure).map(([name, act]) => {
      const item = make("button", { type: "button", role: "menuitem", tabindex: -1 }, name);
      item.addEventListener("click", () => {
        close();
        act();
      });
      return item;
    });
    const heading = figure.querySelector("figcaption b").textContent;
    const menu = make("div", { id: "menu", role: "menu", "aria-label": heading }, ...items);
    document.body.append(menu);
    menu.style.left = `${Math.max(4, Math.min(x, document.documentElement.clientWidth - menu.offsetWidth - 4))}px`;
    menu.style.top = `${Math.max(4, Math.min(y, innerHeight - menu.offsetHeight - 4))}px`;
    items[0].focus({ preventScroll: true });
  };

  const openAt = (figure) => {
    const box = figure.querySelector("svg.chart").getBoundingClientRect();
    open(figure, box.left + 16, Math.max(8, box.top + 16));
  };

  document.addEventListener("keydown", (event) => {
    const menu = event.target.closest?.("#menu");
    if (!menu) return;
    const items = [...menu.children];
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 + items.length, Home: 0, End: items.length - 1 }[event.key];
    if (to !== undefined) items[to % items.length].focus();
    else if (event.key === "Escape" || event.key === "Tab") close();
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  });
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest("#menu")) close();
  });
  document.addEventListener("contextmenu", (event) => {
    const figure = event.target.closest?.("figure[data-chart]");
    if (!figure || !event.target.closest("svg.chart") || event.shiftKey) return;
    event.preventDefault();
    // A key has no place on the screen.
    if (event.clientX || event.clientY) open(figure, event.clientX, event.clientY);
    else openAt(figure);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button.more");
    if (!button) return;
    const box = button.getBoundingClientRect();
    open(button.closest("figure"), box.left, box.bottom + 4);
  });

  /// A button in the heading of each chart below `root`, and a chart that takes the focus.
  const prepareFigures = (root) => {
    for (const figure of figures(root)) {
      const heading = figure.querySelector("figcaption");
      const name = heading.querySelector("b").textContent;
      if (!heading.querySelector("button.more")) {
        heading.append(make("button", { type: "button", class: "more", "aria-haspopup": "menu", "aria-label": `${name}: save or change` }, "⋯"));
      }
      const svg = figure.querySelector("svg.chart");
      svg.setAttribute("tabindex", "0");
      // The keys are the chart's own, not the screen reader's.
      svg.setAttribute("role", "application");
      svg.setAttribute("aria-roledescription", "chart");
      svg.setAttribute("aria-keyshortcuts", "ArrowLeft ArrowRight Home End + - Escape L M");
    }
  };

  Object.assign(overnight, { openMenu: openAt, closeMenu: close, prepareFigures, toggleLog });
})();
