// Several runs at once, words about one of them, and what is deleted for good.
(() => {
  const { make, onPage, patch, chosenRuns } = overnight;
  const { call, ask, field, tell, newKey, runPath, may, onPerson } = overnight.control;
  const { ACTS, NAMES, QUESTIONS, open, stateIn, bytes, button, say, short } = overnight.control;
  const WAITS = 60; // times that a run is asked for again where the server wants a pause

  const counted = (count, one = "run") => `${count.toLocaleString("en-US")} ${one}${count === 1 ? "" : "s"}`;

  /// A list of runs, each with a place for what came of it.
  const listed = (runs) => {
    const rows = new Map(runs.map((run) => [run, make("span", { class: "soft" })]));
    return { rows, list: make("ul", { class: "asked", tabindex: 0, "aria-label": "Runs" }, ...runs.map((run) => make("li", {}, make("span", { class: "mono" }, run), " ", rows.get(run)))) };
  };

  /// Asks one run, and waits where the server says so: the others wait with it.
  const patient = async (run, name, body, key, row) => {
    for (let tries = 0; ; tries++) {
      const answer = await call(runPath(run, name), body, key);
      if (answer.status !== 429 || tries === WAITS || !row.isConnected) return answer;
      row.textContent = `waits ${answer.wait} s`;
      await new Promise((then) => setTimeout(then, answer.wait * 1000));
    }
  };

  const one = (row, text, isBad) => {
    row.textContent = text;
    row.className = isBad ? "refused" : "soft";
  };

  const several = (name, runs) => {
    if (name === "clean") return clean(runs);
    const { word, isGrave, said } = ACTS[name];
    const [content, read] = QUESTIONS[name](false);
    const { rows, list } = listed(runs);
    const keys = new Map(runs.map((run) => [run, []]));
    return ask({
      title: `${word}: ${counted(runs.length)}`, content: [...content, list], word: `${word} ${runs.length}`, isGrave,
      send: async (elements, { go, leave }) => {
        const found = read(elements);
        if (typeof found === "string") return found;
        const bodies = [found].flat();
        let refusals = 0;
        for (const [run, row] of rows) {
          // Who closes the question asks no more runs.
          if (!row.isConnected) return null;
          let [status, refused] = [200, null];
          for (let at = 0; at < bodies.length && !refused; at++) {
            ({ status, refused } = await patient(run, name, bodies[at], (keys.get(run)[at] ??= newKey()), row));
          }
          one(row, refused ?? said, refused);
          if (refused) refusals += 1;
          if (status === 401 || status === 0) break;
        }
        go.remove();
        leave.textContent = "Close";
        leave.focus();
        tell(`${counted(runs.length - refusals)} asked${refusals ? `, ${refusals} refused` : ""}.`);
        return refusals ? `${refusals} of ${runs.length} refused.` : null;
      },
    });
  };

  // ---- deleting -------------------------------------------------------------------------------------------

  /// Says first what would go, as the server counts it, and deletes what may.
  const clean = async (runs) => {
    const { value, refused } = await call("clean", { runs, confirm: false }, newKey());
    if (refused) return runs.length === 1 && document.querySelector("[data-acts]") ? say(refused, true) : ask({ title: "Delete", content: [make("p", { class: "refused" }, refused)], close: "Close" });
    const can = value.runs.filter((run) => run.can_go);
    const { rows, list } = listed(value.runs.map(({ run }) => run));
    for (const { run, bytes: size, can_go, why } of value.runs) one(rows.get(run), can_go ? bytes(size) : why || "stays", !can_go);
    const key = newKey();
    const size = bytes(can.reduce((sum, run) => sum + run.bytes, 0));
    return ask({
      title: can.length ? `Delete ${counted(can.length)}, ${size}?` : "Nothing of this can be deleted",
      content: [...(can.length ? [make("p", {}, "Checkpoints, curves, samples and logs are gone for good: no other copy is kept here.")] : []), list],
      word: can.length ? `Delete ${size}` : null, isGrave: true, close: can.length ? "Cancel" : "Close",
      send: async (_, { go, leave }) => {
        const done = await call("clean", { runs: can.map(({ run }) => run), confirm: true }, key);
        if (done.refused) return done.refused;
        for (const { run, can_go, why } of done.value.runs) one(rows.get(run), can_go ? "deleted" : why || "stays", !can_go);
        go.remove();
        leave.textContent = "Close";
        leave.focus();
        for (const { run, can_go } of done.value.runs) if (can_go) overnight.unchoose(run);
        const text = `Deleted ${counted(done.value.runs.filter(({ can_go }) => can_go).length)}.`;
        if (document.querySelector("[data-acts]")) say(text);
        else tell(text);
        return null;
      },
    });
  };

  // ---- words about one run --------------------------------------------------------------------------------

  /// A list of tags or notes after something was asked.
  const applied = (list, { tag, text, remove }) => {
    if (text === "") return [];
    if (remove) return list.filter((one) => one !== tag);
    return list.includes(tag ?? text) ? list : [...list, tag ?? text];
  };
  const LATELY = 15_000; // ms for which the server's list may lag behind what was asked here
  let asked = []; // what was asked lately: { of, at, body }

  const words = async (run, name) => {
    const of = `${run} ${name}`;
    const known = await call(runPath(run));
    asked = asked.filter(({ at }) => performance.now() - at < LATELY);
    let has = asked.filter((one) => one.of === of).reduce((list, { body }) => applied(list, body), known.value?.[name === "tag" ? "tags" : "notes"] ?? []);
    const [content, read] = QUESTIONS[name](true);
    const place = make("ul", { class: name === "tag" ? "tags" : "notes" });
    let made = null;
    const settle = async (body) => {
      const { refused } = await call(runPath(run, name), body, newKey());
      made.said.textContent = refused ?? "";
      if (refused) return refused;
      asked.push({ of, at: performance.now(), body });
      has = applied(has, body);
      show();
      say(`${short(run)} ${ACTS[name].said}.`);
      return null;
    };
    const show = () => {
      place.replaceChildren(...has.map((text) => {
        const remove = make("button", { type: "button", class: "without", "aria-label": `remove ${text}` }, "×");
        remove.addEventListener("click", ({ detail }) => detail < 2 && settle({ tag: text, remove: true }));
        return make("li", {}, text, ...(name === "tag" ? [remove] : []));
      }));
    };
    show();
    made = ask({
      title: `${ACTS[name].word} of ${short(run)}`, content: [place, ...content], word: "Add", close: "Close",
      send: async (elements) => {
        const found = read(elements);
        if (typeof found === "string") return found;
        const bodies = [found].flat().filter(({ tag }) => !tag || !has.includes(tag));
        if (!bodies.length) return "It has that already.";
        for (const body of bodies) {
          const refused = await settle(body);
          if (refused) return refused;
        }
        return undefined;
      },
    });
    if (name !== "note" || !has.length) return;
    const all = make("button", { type: "button" }, has.length === 1 ? "Remove the note" : "Remove all notes");
    all.addEventListener("click", async ({ detail }) => {
      if (detail < 2 && await settle({ text: "" }) === null) all.remove();
    });
    made.leave.before(all);
  };

  // ---- chosen runs, and all that are shown ----------------------------------------------------------------

  /// The runs of this page's rows with their states.
  const rowsOf = (root) => new Map([...root.querySelectorAll("tr:not([hidden]) input.tick")].map((box) => {
    const row = box.closest("tr");
    return [box.dataset.run, stateIn(row, row.querySelector(".imported") !== null)];
  }));

  /// Of these runs those of which it can be asked; what a page does not show, the server judges.
  const those = (name, runs, known) => runs.filter((run) => {
    const row = known.get(run);
    return row ? open(row).includes(name) : may(name);
  });

  const showChosen = () => {
    const bar = document.getElementById("chosen");
    const runs = chosenRuns();
    const known = rowsOf(document);
    const offered = NAMES.map((name) => [name, those(name, runs, known).length]).filter(([, count]) => count);
    const next = make("span", { id: "chosen-acts", hidden: !offered.length }, ...offered.map(([name, count]) => button(`chosen-${name}`, `${ACTS[name].word} ${count}`, { chosen: name })));
    const old = document.getElementById("chosen-acts");
    // A patch is told to everybody, and so to this.
    if (!old) bar?.append(next);
    else if (!old.isEqualNode(next)) patch(old, next);
  };

  const ALL = ["pause", "resume", "stop"];
  const showAll = (root) => {
    const table = root.querySelector("#sweep");
    const old = root.querySelector("#all-acts");
    const known = table ? rowsOf(table) : new Map();
    const names = ALL.filter((name) => those(name, [...known.keys()], known).length);
    if (!names.length) return old?.remove();
    const next = make("p", { id: "all-acts", class: "acts" }, ...names.map((name) => button(`all-${name}`, `${ACTS[name].word} all shown`, { all: name })));
    if (old) patch(old, next);
    else table.closest(".scroll").before(next);
    return undefined;
  };

  document.addEventListener("click", ({ target, detail }) => {
    const { chosen, all } = target.dataset ?? {};
    if (detail > 1) return;
    if (chosen) several(chosen, those(chosen, chosenRuns(), rowsOf(document)));
    if (all) {
      const known = rowsOf(document.getElementById("sweep"));
      several(all, those(all, [...known.keys()], known));
    }
  });

  // ---- the batch ------------------------------------------------------------------------------------------

  let drained = { text: "", isBad: false };
  const isAtWork = (root) => root.querySelector(".st.running") !== null;
  const showBatch = (root) => {
    const head = root.querySelector("#since, #experiments-head");
    if (!head) return;
    const old = root.querySelector("#batch-acts");
    const made = [
      ...(may("queue") ? [button("queue-new", "Queue an experiment", { queue: "" })] : []),
      ...(may("drain") && head.id === "since" && isAtWork(root) ? [button("drain", "Drain", {})] : []),
    ];
    if (!made.length && !drained.text) return old?.remove();
    const next = make("section", { id: "batch-acts", class: "acts", "aria-label": "The queue" }, ...made, make("p", { id: "batch-said", class: drained.isBad && "refused" }, drained.text));
    if (old) patch(old, next);
    else if (head.id === "since") head.before(next);
    else head.after(next);
    return undefined;
  };

  const sayOfBatch = (text, isBad) => {
    drained = { text, isBad };
    showBatch(document);
    tell(text);
  };

  document.addEventListener("click", ({ target, detail }) => {
    if (target.id !== "drain" || detail > 1) return;
    const key = newKey();
    ask({
      title: "Drain the batch?",
      content: [make("p", {}, "Runs at work go on to their end; no other one is started. Then the runner ends, and what waits stays queued.")],
      word: "Drain",
      send: async () => {
        const { value, refused } = await call("queue/drain", {}, key);
        if (refused) return refused;
        sayOfBatch(`Batch ${value?.batch ?? ""} ends after its current runs.`, false);
        return undefined;
      },
    });
  });

  const showHere = () => {
    showChosen();
    showAll(document);
    showBatch(document);
  };
  onPage((root) => {
    showAll(root);
    showBatch(root);
  });
  document.addEventListener("overnight:rows", () => {
    showChosen();
    showAll(document);
  });
  document.addEventListener("change", ({ target }) => target.matches?.("input.tick") && showChosen());
  onPerson(() => {
    drained = { text: "", isBad: false };
    showHere();
  });
  showHere();
  Object.assign(overnight.control, { clean, words, counted });
})();
