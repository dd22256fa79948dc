
// Runs chosen by ticks. The choice is the browser's, kept for this workspace, so that ticks on several pages
// add up; a bar says how many there are and leads to the page that compares them.
(() => {
  const { make, kept, keep } = overnight;
  const NAME = `overnight-chosen-${document.documentElement.dataset.workspace}`;
  let chosen = [];

  // No more than a page can compare many times over, and only what an address can hold.
  const [MOST, LONGEST] = [1000, 600];
  const isName = (key) => typeof key === "string" && key.length < LONGEST && !/[\ud800-\udfff]/u.test(key);
  const read = () => {
    const found = kept(NAME);
    // Where nothing may be kept, the choice lives as long as the page.
    if (found !== undefined) chosen = Array.isArray(found) ? found.filter(isName).slice(0, MOST) : [];
  };

  /// Runs as the address of the page that compares them has them: each part encoded, and then the whole.
  const encoded = (keys) => keys.map((key) => key.split("/").map(encodeURIComponent).join("/")).join(",");

  const root = document.querySelector('link[rel="stylesheet"]')?.getAttribute("href").replace(/assets\/style\.css$/, "") ?? "";
  const spoken = make("p", { class: "heard", role: "status" });
  const count = make("b");
  const link = make("a", {}, "Compare");
  const clear = make("button", { type: "button" }, "Clear");
  const bar = make("section", { id: "chosen", "aria-label": "Chosen runs", hidden: true }, count, link, clear);

  const show = () => {
    const boxes = document.querySelectorAll("input.tick");
    const known = new Set(chosen);
    for (const box of boxes) box.checked = known.has(box.dataset.run);
    count.textContent = `${chosen.length} ${chosen.length === 1 ? "run" : "runs"} chosen`;
    link.href = `${root}compare.html#runs=${encoded(chosen).replace(/%/g, "%25")}`;
    bar.hidden = !chosen.length || !boxes.length;
    document.documentElement.classList.toggle("choosing", !bar.hidden);
  };

  const choose = (keys) => {
    chosen = keys;
    keep(NAME, keys);
    show();
    spoken.textContent = count.textContent;
  };
  const without = (key) => chosen.filter((other) => other !== key);

  document.addEventListener("change", ({ target }) => {
    if (!target.matches?.("input.tick")) return;
    const others = without(target.dataset.run);
    choose(target.checked ? [...others, target.dataset.run] : others);
  });
  document.addEventListener("click", ({ target }) => {
    const one = target.closest?.("a[data-compare]");
    if (!one) return;
    // To be compared with those that are chosen already.
    choose([...without(one.dataset.compare), one.dataset.compare]);
    one.href = link.href;
  });
  clear.addEventListener("click", () => {
    choose([]);
    document.querySelector("input.tick")?.focus({ preventScroll: true });
  });
  const look = () => {
    read();
    show();
  };
  window.addEventListener("storage", look);
  // Browsers that bring a page back put their own ticks into it.
  window.addEventListener("pageshow", look);
  document.addEventListener("overnight:rows", show);
  document.body.append(spoken, bar);
  look();
  Object.assign(overnight, { encoded, chosenRuns: () => chosen, unchoose: (key) => choose(without(key)) });
})();
