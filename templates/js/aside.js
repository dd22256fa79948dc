
// Where a page is too large to hold what its charts are made of, that comes in a script beside it
// (src/report/aside.rs), asked for when the page is shown and taken in chart by chart, in pauses.
(() => {
  const { make, pause, preparers, clocks, figures, chartOf, isAsDrawn, modelOf, paint, prepareFigures, prepareLegends, prepareTools } = overnight;
  let asked = {}; // the last address, and when its script has come

  const load = (src) => new Promise((then) => {
    const script = make("script", { src });
    script.onload = script.onerror = () => {
      script.remove();
      then();
    };
    document.head.append(script);
  });

  /// What belongs to a page, here or on its way; nothing where the page holds all itself.
  const bringAside = (root) => {
    const src = root.querySelector("#aside")?.dataset.src;
    if (src && asked.src !== src) asked = { src, come: load(src) };
    return src && asked.come;
  };

  /// Marks an element as if it held what the script brought; says whether that is there.
  const settle = (element) => {
    if (!Object.hasOwn(window.overnightAside ?? {}, element.id)) return false;
    element.dataset[element.matches("figure") ? "chart" : element.id.split("-")[0]] = element.dataset.aside;
    delete element.dataset.aside;
    return true;
  };
  const settleAll = (root) => root.querySelectorAll("[data-aside]").forEach(settle);

  /// When the page has been painted, or is hidden.
  const painted = () => new Promise((then) => {
    setTimeout(then, 500);
    requestAnimationFrame(() => setTimeout(then));
  });

  /// Makes charts of figures that came after the page.
  const redrawn = (root) => {
    prepareFigures(root);
    prepareLegends(root);
    for (const figure of figures(root)) if (!isAsDrawn(figure, chartOf(figure))) paint(modelOf(figure));
  };

  /// Makes charts of the drawings on the page that is shown.
  const takeAside = async (root) => {
    if (!root.querySelector("#aside")) return;
    await painted();
    await bringAside(root);
    for (const element of root.querySelectorAll("[data-aside]")) {
      await pause();
      // The page may have been made anew meanwhile.
      if (!element.isConnected || element.dataset.aside === undefined || !settle(element)) continue;
      if (element.id === "clocks") clocks(root);
      if (element.id.startsWith("sweep-")) for (const add of preparers.aside) add(root);
      if (!element.matches("figure")) continue;
      redrawn(element);
      prepareTools(root);
    }
  };

  Object.assign(overnight, { load, bringAside, settleAll, takeAside, redrawn });
})();
