
// The log of a run: search in all of it. The page holds its end; the rest comes as a script when it is
// asked for, because a page opened from a file can read no other file.
(() => {
  const { make, framed } = overnight;
  const AROUND = 200; // lines shown before and after the one that was found
  const LONGEST = 2000; // characters shown of a line
  let asked = null; // the script that holds what `lines` holds
  let lines = null;
  let tail = ""; // the log's end, as the page has it
  let query = "";
  let isFilter = false;
  let at = 0; // which of the lines that were found

  const block = () => document.getElementById("log-block");
  const pattern = (flags) => new RegExp(query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), flags);

  /// A line with its hits marked; of a long one what is around the first.
  const told = (line, isHit, isNow) => {
    if (line.length > LONGEST) {
      const from = isHit ? Math.max(0, line.search(pattern("i")) - LONGEST / 4) : 0;
      line = `${from ? "…" : ""}${line.slice(from, from + LONGEST)}… (${line.length.toLocaleString("en")} characters)`;
    }
    if (!isHit) return `${line}\n`;
    const parts = [];
    let end = 0;
    for (const { index, 0: { length } } of line.matchAll(pattern("gi"))) {
      parts.push(line.slice(end, index), make("mark", {}, line.slice(index, index + length)));
      end = index + length;
    }
    return make("span", { class: isNow && "now" }, ...parts, `${line.slice(end)}\n`);
  };

  /// Shows in `box` what is searched for, and says how often it is there.
  const show = (box) => {
    const pre = box.querySelector("pre");
    const all = lines ?? tail.split("\n");
    if (!query) {
      pre.textContent = tail;
      box.querySelector("output").textContent = "";
      return;
    }
    const isFound = pattern("i");
    const found = all.map((line, place) => place).filter((place) => isFound.test(all[place]));
    at = found.length ? (at + found.length) % found.length : 0;
    const middle = isFilter ? at : found[at] ?? all.length;
    const shown = (isFilter ? found : all.map((_, place) => place)).slice(Math.max(0, middle - AROUND), middle + AROUND + 1);
    const hits = new Set(found);
    pre.replaceChildren(...shown.map((place) => told(all[place], hits.has(place), place === found[at])));
    box.querySelector("output").textContent = found.length ? `${at + 1} of ${found.length} lines` : "not found";
  };

  const renew = framed(() => {
    const box = block();
    if (!box) return;
    show(box);
    const now = box.querySelector(".now");
    if (now) now.parentNode.scrollTop = now.offsetTop - now.parentNode.clientHeight / 2;
  });

  /// Asks for all of the log, as `box` names it: each state of it has an address of its own.
  const load = (box = block()) => {
    const wanted = box?.dataset.log;
    if (!wanted || wanted === asked) return;
    asked = wanted;
    const script = make("script", { src: wanted });
    script.onload = () => script.remove();
    script.onerror = () => (asked = null);
    document.head.append(script);
  };

  const hearLog = (text) => {
    lines = text.replace(/\n$/, "").split("\n");
    renew();
  };

  const button = (title, id, sign) => make("button", { type: "button", id, title, "aria-label": title }, sign);

  const prepareLog = (root) => {
    const box = root.querySelector("#log-block");
    if (!box) return;
    tail = box.querySelector("pre").textContent;
    box.prepend(make("div", { class: "tools", role: "search", "aria-label": "Log" },
      make("label", {}, "search ", make("input", { type: "search", id: "log-search", autocomplete: "off", spellcheck: "false" })),
      button("Previous line found", "log-before", "↑"),
      button("Next line found", "log-after", "↓"),
      make("label", {}, make("input", { type: "checkbox", id: "log-filter" }), " only lines found"),
      make("output", { for: "log-search" })));
    show(box);
    if (asked) load(box);
  };

  const go = (steps) => {
    at += steps;
    renew();
  };

  document.addEventListener("input", ({ target }) => {
    if (target.id === "log-filter") isFilter = target.checked;
    else if (target.id === "log-search") [query, at] = [target.value, 0];
    else return;
    load();
    renew();
  });
  document.addEventListener("click", ({ target }) => {
    if (target.id === "log-before") go(-1);
    if (target.id === "log-after") go(1);
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.id !== "log-search" || event.key !== "Enter") return;
    event.preventDefault();
    go(event.shiftKey ? -1 : 1);
  });

  Object.assign(overnight, { prepareLog, hearLog });
})();
